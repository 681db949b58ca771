"""Convert the uses that an order's hold gave up to and from the column `lost` of locks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from shared.domain.model.state import LockedUse


def lost_document(lost: Sequence[LockedUse]) -> str | None:
    """Return the uses as JSON; None (NULL) if there are none."""
    if not lost:
        return None
    return orjson.dumps(
        [
            (
                use.coupon_id, use.campaign_id, use.uses, use.discount_minor, use.currency, use.lines, use.counted_at,
                use.subscription_id,
            )
            for use in lost
        ],
        option=orjson.OPT_UTC_Z,
    ).decode()  # fmt: skip


def lost_of(recorded: str | None) -> tuple[LockedUse, ...]:
    """Return the uses that `lost_document` wrote."""
    return () if recorded is None else tuple(map(_use, orjson.loads(recorded)))


def _use(stored: Sequence[Any]) -> LockedUse:
    coupon_id, campaign_id, uses, discount_minor, currency, lines, counted_at, subscription_id = stored
    return LockedUse(
        coupon_id, campaign_id, uses=uses, discount_minor=discount_minor, currency=currency,
        lines=tuple([(line_id, minor) for line_id, minor in lines]),
        counted_at=None if counted_at is None else datetime.fromisoformat(counted_at),
        subscription_id=subscription_id,
    )  # fmt: skip
