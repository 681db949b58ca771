"""The redeemer's own settings."""

from typing import Literal

from pydantic import Field

from shared.runtime.settings import CustomerSettings, Settings

HOUR_SECONDS = 60 * 60


class RedeemerSettings(Settings, CustomerSettings):
    """The settings of every service, and when an order uses its coupons."""

    burn_on: Literal["placed", "paid"] = Field(
        "placed",
        description="placed: an order uses its coupons when it is placed; paid: it holds them when placed and"
        " uses them when paid",
    )
    hold_seconds: int = Field(
        HOUR_SECONDS,
        ge=1,
        le=366 * 24 * 60 * 60,
        description="burn_on=paid: how long an unpaid order holds its coupons",
    )
    hold_takeover: Literal["same_customer", "never"] = Field(
        "same_customer",
        description="burn_on=paid: whether a newer order of the same customer takes over a coupon that an older unpaid"
        " order holds, if the coupon has no room for both",
    )
    note_orders: Literal["when_needed", "always"] = Field(
        "when_needed",
        description="when to record orders without coupons: when_needed, while a campaign is limited to first"
        " orders, or always, so that orders from before such a campaign count too",
    )
    sweep_seconds: float = Field(
        5.0, gt=0, le=3600, description="pause between two searches for expired locks, and for reminders that are due"
    )
    sweep_limit: int = Field(
        500, ge=1, le=10_000, description="maximum number of expired locks, and of reminders, per search"
    )
