"""Issue coupons of campaigns to a customer."""

from dataclasses import replace
from datetime import datetime

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import IssueCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.state import NO_METER, State, Supply
from shared.domain.model.validity import own_end
from shared.domain.model.verdicts import AcceptedCoupon, LedgerEntry, RefusedCoupon, Verdict
from shared.domain.offers.exhausted import coupons_cap_reached


def issue(command: IssueCoupons, state: State, now: datetime) -> Verdict:
    """Judge each campaign on its own, in the given order. Campaigns that have issued for this natural key are skipped.

    A coupon is valid from the time of its occasion (never later than now) until `valid_for` later or the end of the
    campaign, whichever is earlier. A campaign with a shared code issues that one coupon to every customer.
    If a campaign doesn't allow all requested coupons, as many as allowed are issued and one refusal covers the rest.
    A reward that was revoked issues nothing, even if the revocation arrives first.
    """
    at = now if command.at is None or command.at > now else command.at
    customer_key = state.customers.get(command.command_id)
    issued: list[AcceptedCoupon] = []
    refused: list[RefusedCoupon] = []
    entries: list[LedgerEntry] = []
    requested_count = 0 if command.campaign_ids else 1
    is_revoked = command.natural_key in state.revoked
    for campaign_id in dict.fromkeys(command.campaign_ids):
        campaign, requested = state.campaigns.get(campaign_id), command.coupons_of(campaign_id)
        if is_revoked:
            requested_count += requested
            refused.append(_revoked(campaign_id))
            continue
        if command.natural_key is not None and (command.natural_key, campaign_id) in state.issued:
            continue
        requested_count += requested
        for issued_count in range(requested):
            supply = state.supplies.get((command.command_id, campaign_id, issued_count))
            refusal = _refusal(command, campaign_id, state, at, supply=supply, issued_count=issued_count)
            if refusal is not None:
                refused.append(_of_several(refusal, issued_count, requested))
                break
            if campaign is not None and supply is not None:
                issued.append(issued_coupon(campaign, supply, at))
                entries.append(
                    LedgerEntry("issued", supply.coupon_id, campaign_id, customer_key=customer_key, counted_at=at)
                )
    if not command.campaign_ids:
        message = f"No campaign issues a coupon for this {command.cause.type}."
        refused.append(RefusedCoupon(Reason.NOT_FOUND, message))
    return Verdict(
        command.command_id, "issued" if issued else "refused" if refused else "unchanged", now, accepted=tuple(issued),
        refused=tuple(refused), requested_count=requested_count, customer_key=customer_key, entries=tuple(entries),
        natural_key=command.natural_key,
    )  # fmt: skip


def _revoked(campaign_id: str) -> RefusedCoupon:
    message = f"The reward was revoked, so campaign {campaign_id!r} issues no coupon for it."
    return _refused(Reason.REWARD_REVOKED, message, campaign_id)


def _of_several(refusal: RefusedCoupon, issued_count: int, requested: int) -> RefusedCoupon:
    """Return the refusal with the number of issued coupons, if several were requested."""
    if requested == 1:
        return refusal
    message = f"{refusal.message} {issued_count} of {requested} coupons were issued."
    details = {**refusal.details, "asked": str(requested), "given": str(issued_count)}
    return replace(refusal, message=message, details=details)


def _refusal(
    command: IssueCoupons, campaign_id: str, state: State, at: datetime, *, supply: Supply | None, issued_count: int
) -> RefusedCoupon | None:
    """Return why the campaign issues no coupon after the first `issued_count`, checked in the order of `Reason`."""
    campaign = state.campaigns.get(campaign_id)
    if campaign is None:
        return _refused(Reason.NOT_FOUND, f"There is no campaign {campaign_id!r}.", campaign_id)
    refused = _campaign_refusal(campaign, at)
    if refused is not None:
        return refused
    refused = _customer_refusal(command, campaign, state)
    if refused is not None:
        return refused
    if supply is None or (supply.code is None and not campaign.source.without_code):
        return _refused(Reason.EXHAUSTED, _no_code_message(campaign), campaign_id)
    return _limit_refusal(campaign, state, state.customers.get(command.command_id), at, issued_count)


def _customer_refusal(command: IssueCoupons, campaign: Campaign, state: State) -> RefusedCoupon | None:
    campaign_id, customer_key = campaign.campaign_id, state.customers.get(command.command_id)
    if _refers_themselves(command, state, customer_key):
        message = f"Customers can't refer themselves, so campaign {campaign_id!r} issues no coupon."
        return _refused(Reason.WRONG_CUSTOMER, message, campaign_id)
    if customer_key is None and (campaign.eligibility.holder_only or campaign.limits.coupons_need_customer):
        message = f"Campaign {campaign_id!r} needs a customer; the request has no identifier of one."
        return _refused(Reason.CUSTOMER_REQUIRED, message, campaign_id)
    if campaign.source.kind == "external" and not (command.customer.email and command.customer.email.strip()):
        message = (
            f"Campaign {campaign_id!r} requests codes from an external API by email address; the customer has none."
        )
        return _refused(Reason.CUSTOMER_REQUIRED, message, campaign_id)
    return None


def _campaign_refusal(campaign: Campaign, at: datetime) -> RefusedCoupon | None:
    campaign_id, window = campaign.campaign_id, campaign.window
    if campaign.status != "active":
        message = f"Campaign {campaign_id!r} is {campaign.status}."
        return _refused(Reason.CAMPAIGN_INACTIVE, message, campaign_id, status=campaign.status)
    if window.starts_at is not None and at < window.starts_at:
        start = window.starts_at.isoformat()
        return _refused(
            Reason.NOT_STARTED, f"Campaign {campaign_id!r} begins at {start}.", campaign_id, starts_at=start
        )
    if window.ends_at is not None and at >= window.ends_at:
        end = window.ends_at.isoformat()
        return _refused(Reason.EXPIRED, f"Campaign {campaign_id!r} ended at {end}.", campaign_id, ends_at=end)
    return None


def _refers_themselves(command: IssueCoupons, state: State, customer_key: str | None) -> bool:
    """Return whether referrer and referred are the same customer, by id or by another identifier."""
    if command.referred is None:
        return False
    same_id = (command.referred.customer_id or "").strip() == (command.customer.customer_id or "").strip()
    return same_id or (
        customer_key is not None and state.customers.get(referred_key(command.command_id)) == customer_key
    )


def referred_key(command_id: str) -> str:
    """Return the key in `State.customers` of the customer that a command names as referred."""
    return f"{command_id}\treferred"


def _limit_refusal(
    campaign: Campaign, state: State, customer_key: str | None, at: datetime, issued_count: int
) -> RefusedCoupon | None:
    """Return the refusal of the first limit without room for one more coupon than this command has issued, or None."""
    campaign_id, limits = campaign.campaign_id, campaign.limits
    if limits.coupons_per_customer is not None:
        limit, had = (
            limits.coupons_per_customer,
            state.meters.get((campaign_id, customer_key), NO_METER).issued + issued_count,
        )
        if had >= limit:
            message = f"This customer already has the {_coupons(limit)} that campaign {campaign_id!r} allows."
            return _refused(Reason.CUSTOMER_LIMIT, message, campaign_id, limit=str(limit), issued=str(had))
    if (reached := coupons_cap_reached(state, campaign, customer_key, at, "customer", issued_count)) is not None:
        message = f"This customer already has the {reached.describe('coupon')} that campaign {campaign_id!r} allows."
        return _refused(Reason.CUSTOMER_LIMIT, message, campaign_id, **reached.details("issued"))
    if limits.coupons_total is not None:
        total, issued = limits.coupons_total, state.meters.get((campaign_id, None), NO_METER).issued + issued_count
        if issued >= total:
            message = f"Campaign {campaign_id!r} has issued all of its {_coupons(total)}."
            return _refused(Reason.CAMPAIGN_EXHAUSTED, message, campaign_id, limit=str(total), issued=str(issued))
    if (reached := coupons_cap_reached(state, campaign, customer_key, at, "campaign", issued_count)) is not None:
        message = f"Campaign {campaign_id!r} has issued all of its {reached.describe('coupon')}."
        return _refused(Reason.CAMPAIGN_EXHAUSTED, message, campaign_id, **reached.details("issued"))
    return None


def issued_coupon(campaign: Campaign, supply: Supply, at: datetime) -> AcceptedCoupon:
    """Return the coupon of `campaign` with the code of `supply`, valid from `at`."""
    own, ends_at = coupon_end(campaign, at), campaign.window.ends_at
    if own is not None:
        ends_at = own if ends_at is None else min(ends_at, own)
    return AcceptedCoupon(
        supply.coupon_id, supply.code or "", campaign.campaign_id, campaign.discount.kind, campaign.discount.value,
        uses=campaign.limits.uses_per_coupon or 0, starts_at=at, ends_at=ends_at,
        max_discount_minor=campaign.discount.max_discount_minor, currency=campaign.currency,
    )  # fmt: skip


def coupon_end(campaign: Campaign, starts_at: datetime | None) -> datetime | None:
    """Return the end of the coupon's own validity, or None. The campaign's end may change, so it is not stored with the
    coupon but checked when the coupon is used.
    """
    if campaign.code.shared_code is not None or starts_at is None:
        return None
    return own_end(campaign.window, starts_at)


def _no_code_message(campaign: Campaign) -> str:
    match campaign.source.kind:
        case "pool":
            return f"The code pool of campaign {campaign.campaign_id!r} is empty."
        case "external":
            return f"The external API of campaign {campaign.campaign_id!r} gave no code."
        case "generated":
            return f"No code could be made for campaign {campaign.campaign_id!r}."


def _refused(reason: Reason, message: str, campaign_id: str, **details: str) -> RefusedCoupon:
    return RefusedCoupon(reason, message, campaign_id=campaign_id, details=details)


def _coupons(number: int) -> str:
    return "1 coupon" if number == 1 else f"{number} coupons"
