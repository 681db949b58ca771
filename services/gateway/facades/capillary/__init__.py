"""Coupon redemption of Capillary v1.1."""

from services.gateway.facades.capillary.routes import create

__all__ = ["create"]
