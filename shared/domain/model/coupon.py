"""A coupon: one code and the state of its uses."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shared.domain.model.code_keys import folded_key
from shared.domain.model.customer import CustomerKey
from shared.domain.model.value import value

CouponStatus = Literal["active", "voided", "pooled"]
"""`pooled`: imported, but not yet issued; a redemption treats it as not existing."""


def code_key(code: str) -> str:
    """Return the form in which codes are compared: in upper case, without blanks, the same for every way to write it.

    Idempotent. Empty only if no character of the code can be seen. The only function that makes keys: SQL compares
    stored ones.
    """
    if code.isascii() and code.isprintable() and " " not in code:
        return code.upper()
    return folded_key(code)


@value
class Hold:
    """Uses of one coupon that an open lock holds."""

    lock_reference: str
    uses: int
    customer_key: CustomerKey | None = None
    order_id: str | None = None


@dataclass(slots=True)
class Coupon:
    """A coupon's state. `used` and `held` count uses; `uses_limit` None: unlimited. Times are UTC, half-open.

    `revoked`: its reward was revoked when all of its uses were used; a restored use voids it. Only `evolve` changes it.
    """

    coupon_id: str
    code: str
    campaign_id: str
    status: CouponStatus = "active"
    holder_key: CustomerKey | None = None
    uses_limit: int | None = 1
    used: int = 0
    held: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    revoked: bool = False
    holds: list[Hold] = field(default_factory=list)
