"""Create: make many coupons of a campaign at once, without a holder. Any customer with a code may use it."""

from datetime import datetime

from shared.domain.coupons.issue import issued_coupon
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import CreateCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.reasons import Reason
from shared.domain.model.state import NO_METER, State
from shared.domain.model.verdicts import LedgerEntry, RefusedCoupon, Verdict
from shared.domain.offers.exhausted import coupons_cap_reached


def create(command: CreateCoupons, state: State, now: datetime) -> Verdict:
    """Create the requested coupons, all or none; codes that exist already are left out and refused by name.

    Coupons can be created for a campaign that is paused or hasn't started. Limits per customer don't apply, because the
    coupons have no holder. A coupon is valid from the time of the request (never later than now).
    """
    at = now if command.at is None or command.at > now else command.at
    campaign = state.campaigns.get(command.campaign_id)
    if campaign is None:
        return _refused(
            command, now, _refusal(command, Reason.NOT_FOUND, f"There is no campaign {command.campaign_id!r}.")
        )
    if (unfit := _campaign_refusal(command, campaign)) is not None:
        return _refused(command, now, unfit)
    taken = _taken(command, state)
    supplies = [
        supply
        for number in range(command.coupons)
        if number not in taken
        and (supply := state.supplies.get((command.command_id, campaign.campaign_id, number))) is not None
    ]
    if supplies and (reached := _limit_refusal(command, campaign, state, at, len(supplies))) is not None:
        return _refused(command, now, reached)
    created = tuple([issued_coupon(campaign, supply, at) for supply in supplies])
    return Verdict(
        command.command_id, "issued" if created else "refused", now, accepted=created, refused=tuple(taken.values()),
        requested_count=command.coupons,
        entries=tuple(
            [LedgerEntry("issued", coupon.coupon_id, coupon.campaign_id, counted_at=at) for coupon in created]
        ),
    )  # fmt: skip


def _campaign_refusal(command: CreateCoupons, campaign: Campaign) -> RefusedCoupon | None:
    """Return why no coupons of this campaign can be created ahead, or None if they can."""
    name = f"Campaign {campaign.campaign_id!r}"
    if campaign.status == "archived":
        return _refusal(command, Reason.CAMPAIGN_INACTIVE, f"{name} is archived.", status=campaign.status)
    if campaign.code.shared_code is not None:
        message = f"{name} has one shared code, {campaign.code.shared_code!r}; no other codes can be created."
        return _refusal(command, Reason.EXHAUSTED, message)
    if campaign.source.kind == "external":
        return _refusal(
            command, Reason.EXHAUSTED, f"{name} gets each code from an external API; none can be created here."
        )
    if campaign.source.kind == "pool":
        return _refusal(command, Reason.EXHAUSTED, f"{name} takes its codes from a pool; import codes into the pool.")
    return None


def _taken(command: CreateCoupons, state: State) -> dict[int, RefusedCoupon]:
    """Return refusals for codes that exist already, occur earlier in the list or can't be seen, keyed by position."""
    refused: dict[int, RefusedCoupon] = {}
    seen: set[str] = set()
    for number, code in enumerate(command.codes):
        key = code_key(code)
        if not key:
            message = f"The code {code!r} has no character that can be seen; choose another."
            refused[number] = RefusedCoupon(Reason.CODE_TAKEN, message, code, campaign_id=command.campaign_id)
            continue
        coupon = state.coupons.get(state.coupon_ids.get(key, ""))
        owner = state.taken.get(key) if coupon is None else coupon.campaign_id
        if owner is not None:
            message = f"The code {code.strip()!r} exists already, in campaign {owner!r}."
            refused[number] = RefusedCoupon(
                Reason.CODE_TAKEN, message, code, campaign_id=command.campaign_id, details={"campaign_id": owner}
            )
        elif key in seen:
            message = f"The code {code.strip()!r} is listed twice; it was used once."
            refused[number] = RefusedCoupon(Reason.CODE_TAKEN, message, code, campaign_id=command.campaign_id)
        seen.add(key)
    return refused


def _limit_refusal(
    command: CreateCoupons, campaign: Campaign, state: State, at: datetime, requested: int
) -> RefusedCoupon | None:
    """Return the refusal of the first limit without room for all `requested` coupons, or None."""
    limits, name = campaign.limits, f"Campaign {campaign.campaign_id!r}"
    if limits.coupons_total is not None:
        issued = state.meters.get((campaign.campaign_id, None), NO_METER).issued
        if issued + requested > limits.coupons_total:
            message = (
                f"{name} has issued {issued:,} of its {limits.coupons_total:,} coupons; {requested:,} more don't fit."
            )
            numbers = {"limit": str(limits.coupons_total), "issued": str(issued), "asked": str(requested)}
            return _refusal(command, Reason.CAMPAIGN_EXHAUSTED, message, **numbers)
    if (reached := coupons_cap_reached(state, campaign, None, at, "campaign", requested - 1)) is not None:
        issued = reached.counted - requested + 1
        message = f"{name} gives {reached.describe('coupon')} and has issued {issued:,} of them; "
        message += f"{requested:,} more don't fit."
        return _refusal(
            command,
            Reason.CAMPAIGN_EXHAUSTED,
            message,
            **{**reached.details("issued"), "issued": str(issued), "asked": str(requested)},
        )
    return None


def _refused(command: CreateCoupons, now: datetime, refusal: RefusedCoupon) -> Verdict:
    return Verdict.all_refused(command.command_id, now, [refusal], requested_count=command.coupons)


def _refusal(command: CreateCoupons, reason: Reason, message: str, **details: str) -> RefusedCoupon:
    return RefusedCoupon(reason, message, campaign_id=command.campaign_id, details=details)
