"""Coupon calls of Gameball v4.0."""

from services.gateway.facades.gameball.routes import create

__all__ = ["create"]
