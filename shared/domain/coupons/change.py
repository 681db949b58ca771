"""Change one coupon: take it out of use, undo that, or move its own end."""

from collections.abc import Iterable
from datetime import datetime

from shared.domain.model.campaign import Campaign
from shared.domain.model.clock import later
from shared.domain.model.commands import ChangeCoupon, VoidCoupon
from shared.domain.model.coupon import Coupon, CouponStatus, code_key
from shared.domain.model.reasons import Reason
from shared.domain.model.state import ActiveRedemption, State
from shared.domain.model.verdicts import (
    AcceptedCoupon,
    LedgerEntry,
    MovedEnd,
    Outcome,
    RefusedCoupon,
    Verdict,
    refuse,
)

DAY_SECONDS = 24 * 60 * 60


def void(command: VoidCoupon, state: State, now: datetime) -> Verdict:
    """Take a coupon out of use, even one that is still in a pool or held by a lock. A repeated request changes nothing.

    What a lock or an unpaid order holds stays held: the lock can't be burned, but the order can be paid.
    """
    coupon = _named(command.code, state)
    if coupon is None:
        return _unknown(command, now)
    if coupon.status == "voided":
        return Verdict.unchanged(command.command_id, now, why="voided_already", requested_count=1)
    return _changed(command, state, now, coupon, [voided_entry(coupon)])


def change(command: ChangeCoupon, state: State, now: datetime) -> Verdict:
    """Make all requested changes of a coupon, or none. A request that would change nothing is refused."""
    coupon = _named(command.code, state)
    if coupon is None:
        return _unknown(command, now)
    campaign = state.campaigns.get(coupon.campaign_id)
    refused = _end_refusal(command, coupon, campaign, now) if command.moves_end else None
    entries: list[LedgerEntry] = []
    if refused is None:
        if command.status == "active" and coupon.status == "voided":
            entries.append(
                LedgerEntry("unvoided", coupon.coupon_id, coupon.campaign_id, customer_key=coupon.holder_key)
            )
        elif command.status == "voided" and coupon.status != "voided":
            entries.append(voided_entry(coupon))
        if command.moves_end and command.ends_at != coupon.ends_at:
            entries.append(_extended(coupon, command.ends_at))
        if not entries:
            refused = refuse(Reason.NO_EFFECT, _no_effect_message(command, coupon), command.code, coupon)
    if refused is not None:
        return Verdict.all_refused(
            command.command_id, now, [refused], requested_count=1, customer_key=coupon.holder_key
        )
    return _changed(command, state, now, coupon, entries)


def voided_entry(coupon: Coupon) -> LedgerEntry:
    """Return the entry that takes a coupon out of use."""
    return LedgerEntry("voided", coupon.coupon_id, coupon.campaign_id, customer_key=coupon.holder_key)


def status_after_undoing(coupon: Coupon, campaign: Campaign | None) -> CouponStatus:
    """Return the status of a coupon whose void is undone: one that was never issued goes back to its pool.

    Coupons that were issued from a pool have a start.
    """
    of_pool = campaign is not None and campaign.source.kind == "pool"
    return "pooled" if of_pool and coupon.starts_at is None else "active"


def ends_after_restore(state: State, restored: Iterable[ActiveRedemption], at: datetime) -> list[LedgerEntry]:
    """Return the entries that extend coupons whose use is restored at `at`, by the `restore_days` of their campaigns.

    Only coupons that have ended by then are extended; all others keep their end. `at` is the event's own time, as in
    all rules: a late event gives no more days.
    """
    entries = []
    for redemption in restored:
        campaign = state.campaigns.get(redemption.campaign_id)
        coupon = state.coupons.get(redemption.coupon_id)
        if campaign is None or coupon is None or not redemption.uses:
            continue
        entry = end_after_restore(coupon, campaign, at)
        if entry is not None:
            entries.append(entry)
    return entries


def end_after_restore(coupon: Coupon, campaign: Campaign, at: datetime) -> LedgerEntry | None:
    """Return the entry that extends a coupon whose use is restored at `at`, or None if it keeps its end."""
    if not campaign.restore_days or coupon.ends_at is None or coupon.ends_at > at:
        return None
    if coupon.status != "active" or coupon.revoked:
        return None
    return _extended(coupon, later(at, campaign.restore_days * DAY_SECONDS))


def _extended(coupon: Coupon, ends_at: datetime | None) -> LedgerEntry:
    return LedgerEntry(
        "extended", coupon.coupon_id, coupon.campaign_id, customer_key=coupon.holder_key,
        end=MovedEnd(coupon.ends_at, ends_at),
    )  # fmt: skip


def _end_refusal(
    command: ChangeCoupon, coupon: Coupon, campaign: Campaign | None, now: datetime
) -> RefusedCoupon | None:
    """Return why the coupon's own end can't be moved as requested, or None. Reasons are in their order."""
    name, code, ends_at = f"Coupon {coupon.code!r}", command.code, command.ends_at
    if coupon.status == "voided" and command.status != "active":
        return refuse(Reason.VOIDED, f"{name} was taken out of use; undo that first.", code, coupon)
    if campaign is not None and campaign.code.shared_code is not None:
        message = f"{name} is shared by all customers and has no end of its own; change the campaign's window."
        return refuse(Reason.SHARED_CODE, message, code, coupon)
    if status_after_undoing(coupon, campaign) == "pooled":
        message = f"{name} is still in its pool. Its end can be moved once it is issued."
        return refuse(Reason.NOT_STARTED, message, code, coupon)
    if ends_at is not None and ends_at <= now:
        message = f"{ends_at.isoformat()} is in the past; give a later end, or void the coupon."
        return refuse(Reason.EXPIRED, message, code, coupon, {"ends_at": ends_at.isoformat()})
    return None


def _no_effect_message(command: ChangeCoupon, coupon: Coupon) -> str:
    """Return the message for a request that would change nothing."""
    facts = []
    if command.status is not None:
        facts.append("is voided already" if command.status == "voided" else "isn't voided")
    if command.moves_end:
        end = "has no end of its own" if coupon.ends_at is None else f"ends at {coupon.ends_at.isoformat()}"
        facts.append(f"{end} already")
    return f"Coupon {coupon.code!r} {' and '.join(facts) or 'stays as it is: the request names no change'}."


def _changed(
    command: VoidCoupon | ChangeCoupon, state: State, now: datetime, coupon: Coupon, entries: list[LedgerEntry]
) -> Verdict:
    campaign = state.campaigns.get(coupon.campaign_id)
    outcomes: dict[str, Outcome] = {"voided": "voided", "unvoided": "unvoided", "extended": "extended"}
    reason = command.reason if isinstance(command, ChangeCoupon) else None
    return Verdict(
        command.command_id, outcomes[entries[0].kind], now, accepted=(changed_coupon(coupon, campaign),),
        requested_count=1, customer_key=coupon.holder_key, entries=tuple(entries),
        metadata=None if reason is None else {"reason": reason},
    )  # fmt: skip


def changed_coupon(coupon: Coupon, campaign: Campaign | None) -> AcceptedCoupon:
    """Return a changed coupon as a verdict lists it."""
    kind, value = ("", "") if campaign is None else (campaign.discount.kind, campaign.discount.value)
    return AcceptedCoupon(coupon.coupon_id, coupon.code, coupon.campaign_id, kind, value)


def _named(code: str, state: State) -> Coupon | None:
    coupon_id = state.coupon_ids.get(code_key(code))
    return None if coupon_id is None else state.coupons.get(coupon_id)


def _unknown(command: VoidCoupon | ChangeCoupon, now: datetime) -> Verdict:
    refused = RefusedCoupon(Reason.NOT_FOUND, f"There is no coupon {command.code.strip()!r}.", command.code)
    return Verdict.all_refused(command.command_id, now, [refused], requested_count=1)
