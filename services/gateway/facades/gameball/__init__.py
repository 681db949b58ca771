"""Gameball v4.0's coupon calls."""

from services.gateway.facades.gameball.routes import create

__all__ = ["create"]
