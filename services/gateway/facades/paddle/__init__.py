"""Paddle Classic's calls about coupons."""

from services.gateway.facades.paddle.routes import create

__all__ = ["create"]
