"""Build the events of coupons that were voided, made usable again, or extended."""

from collections.abc import Callable, Mapping
from typing import Final

from shared.domain.model.commands import ChangeCoupon, Command, RevokeReward, VoidCoupon
from shared.domain.model.state import State
from shared.domain.model.verdicts import LedgerEntry, MovedEnd, Verdict
from shared.ledger.event_data import (
    CouponExtendedData,
    CouponUnvoidedData,
    CouponVoidedData,
    CustomerReferenceData,
    EventData,
)
from shared.ledger.event_parts import coupon_code, customer_reference

REVOKED: Final = "The reward was revoked."
"""The reason of a coupon that is voided when its last use is restored, because its reward was revoked meanwhile."""


_WITH_REASON: Final = (ChangeCoupon, RevokeReward)


def _voided(command: Command, entry: LedgerEntry, verdict: Verdict, state: State) -> CouponVoidedData:
    data: CouponVoidedData = {
        "coupon_id": entry.coupon_id,
        "code": coupon_code(entry, state),
        "campaign_id": entry.campaign_id,
        "voided_at": verdict.decided_at,
    }
    if (reason := command.reason if isinstance(command, _WITH_REASON) else _automatic(command)) is not None:
        data["reason"] = reason
    if (holder := _holder(entry, state)) is not None:
        data["customer"] = holder
    return data


def _unvoided(command: Command, entry: LedgerEntry, verdict: Verdict, state: State) -> CouponUnvoidedData:
    return {
        "coupon_id": entry.coupon_id,
        "code": coupon_code(entry, state),
        "campaign_id": entry.campaign_id,
        "customer": _holder(entry, state),
        "reason": command.reason if isinstance(command, _WITH_REASON) else None,
        "unvoided_at": verdict.decided_at,
    }


def _extended(command: Command, entry: LedgerEntry, verdict: Verdict, state: State) -> CouponExtendedData:
    end = entry.end or MovedEnd(None, None)
    return {
        "coupon_id": entry.coupon_id,
        "code": coupon_code(entry, state),
        "campaign_id": entry.campaign_id,
        "customer": _holder(entry, state),
        "reason": command.reason if isinstance(command, _WITH_REASON) else None,
        "ends_before": end.before,
        "ends_at": end.after,
        "extended_at": verdict.decided_at,
    }


COUPON_EVENTS: Final[Mapping[str, tuple[str, Callable[[Command, LedgerEntry, Verdict, State], EventData]]]] = {
    "voided": ("coupon.voided", _voided),
    "unvoided": ("coupon.unvoided", _unvoided),
    "extended": ("coupon.extended", _extended),
}
"""Kind of ledger entry → type and data of its event. Any command may cause such an entry."""


def _automatic(command: Command) -> str | None:
    """Return why a command that isn't about voiding has voided a coupon."""
    return None if isinstance(command, VoidCoupon) else REVOKED


def _holder(entry: LedgerEntry, state: State) -> CustomerReferenceData | None:
    """Return the holder of the coupon; None if it has none, or if a rehearsal doesn't load it."""
    holder_key = state.coupons[entry.coupon_id].holder_key
    holder = None if holder_key is None else state.holders.get(holder_key)
    return None if holder is None else customer_reference(holder)
