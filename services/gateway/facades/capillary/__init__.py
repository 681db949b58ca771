"""Capillary v1.1's redemption of coupons."""

from services.gateway.facades.capillary.routes import create

__all__ = ["create"]
