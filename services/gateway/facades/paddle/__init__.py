"""Coupon calls of Paddle Classic."""

from services.gateway.facades.paddle.routes import create

__all__ = ["create"]
