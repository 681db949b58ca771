"""A part of Voucherify's API: vouchers, campaigns, publications, validations, redemptions."""

from services.gateway.facades.voucherify.application import create

__all__ = ["create"]
