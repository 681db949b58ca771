"""Revoke a reward: take back what it issued, as far as it is unused."""

from dataclasses import replace
from datetime import datetime

from shared.domain.coupons.change import changed_coupon, voided_entry
from shared.domain.model.commands import RevokeReward
from shared.domain.model.coupon import Coupon
from shared.domain.model.reasons import Reason
from shared.domain.model.state import State
from shared.domain.model.verdicts import AcceptedCoupon, LedgerEntry, RefusedCoupon, Revocation, Verdict, refuse


def revoke(command: RevokeReward, state: State, now: datetime) -> Verdict:
    """Void the coupons of the reward, and refuse those that can't be taken back, each with its reason.

    A coupon with uses left is voided even if a lock or an unpaid order holds it. What was used stays used; if the last
    use is restored later, the coupon is voided then. Shared codes aren't voided, because they belong to all customers.
    The revocation is recorded for an unknown reward too: the reward may still arrive, and then issues nothing.
    """
    if command.occasion in state.revoked:
        message = f"Reward {command.reward_id!r} was revoked before; nothing is left to do."
        return Verdict.all_refused(command.command_id, now, [RefusedCoupon(Reason.REWARD_REVOKED, message)])
    found = [state.coupons.get(coupon_id) for coupon_id in state.issued_for.get(command.occasion, ())]
    coupons = sorted([coupon for coupon in found if coupon is not None], key=lambda coupon: coupon.coupon_id)
    accepted: list[AcceptedCoupon] = []
    entries: list[LedgerEntry] = []
    refused: list[RefusedCoupon] = []
    used_up: list[str] = []
    for coupon in coupons:
        has_uses_left = coupon.uses_limit is None or coupon.used < coupon.uses_limit
        if coupon.status == "active" and has_uses_left:
            accepted.append(changed_coupon(coupon, state.campaigns.get(coupon.campaign_id)))
            entries.append(voided_entry(coupon))
        elif coupon.status == "active":
            used_up.append(coupon.coupon_id)
        elif not coupon.used:
            refused.append(refuse(Reason.VOIDED, f"Coupon {coupon.code!r} was voided before.", coupon.code, coupon))
        if coupon.used:
            refused.append(_used(coupon))
    refused += _shared(command, state)
    if not coupons and not refused:
        message = f"No coupon was issued for reward {command.reward_id!r}. If the reward arrives later, it issues none."
        refused.append(RefusedCoupon(Reason.NOT_FOUND, message))
    # Used coupons come first, because metrics count the first reason of a verdict.
    refused.sort(key=lambda one: (one.reason != Reason.ALREADY_REDEEMED, one.code or "", one.coupon_id or ""))
    at = now if command.at is None else min(command.at, now)
    return Verdict(
        command.command_id, "voided" if entries else "recorded", now, accepted=tuple(accepted), refused=tuple(refused),
        requested_count=len(coupons), customer_key=coupons[0].holder_key if coupons else None, entries=tuple(entries),
        metadata=None if command.reason is None else {"reason": command.reason},
        revocation=Revocation(command.occasion, at, tuple(used_up)),
    )  # fmt: skip


def void_restored(verdict: Verdict, state: State) -> Verdict:
    """Void the coupons of revoked rewards whose last use was used until this verdict restored it."""
    restored: dict[str, int] = {}
    for entry in verdict.entries:
        restored[entry.coupon_id] = restored.get(entry.coupon_id, 0) - entry.used_uses
    voided = [
        voided_entry(coupon)
        for coupon_id, uses in restored.items()
        if uses > 0 and (coupon := state.coupons.get(coupon_id)) is not None
        if coupon.revoked and coupon.status == "active"
    ]
    return replace(verdict, entries=(*verdict.entries, *voided)) if voided else verdict


def _used(coupon: Coupon) -> RefusedCoupon:
    limit = "" if coupon.uses_limit is None else f" of {coupon.uses_limit:,}"
    uses = "use" if (coupon.uses_limit or coupon.used) == 1 else "uses"
    message = f"Coupon {coupon.code!r} was redeemed: {coupon.used:,}{limit} {uses}. What was redeemed stays redeemed."
    return refuse(Reason.ALREADY_REDEEMED, message, coupon.code, coupon, {"used": str(coupon.used)})


def _shared(command: RevokeReward, state: State) -> list[RefusedCoupon]:
    """Return a refusal for each campaign that issued its shared code for the reward."""
    refused = []
    for campaign_id in sorted(campaign_id for occasion, campaign_id in state.issued if occasion == command.occasion):
        campaign = state.campaigns.get(campaign_id)
        if campaign is not None and (code := campaign.code.shared_code) is not None:
            message = f"Code {code!r} is shared by all customers, so it isn't voided for one of them."
            refused.append(RefusedCoupon(Reason.SHARED_CODE, message, code, campaign_id=campaign_id))
    return refused
