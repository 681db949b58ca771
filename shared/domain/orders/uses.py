"""Steps that several decisions about orders have in common: whose use it is, what is held, what is restored."""

from collections.abc import Iterable
from dataclasses import replace

from shared.domain.coupons.entries import counted_at, held, subscription_of, uses_of
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import ActiveRedemption, LockedUse, State, order_hold
from shared.domain.model.verdicts import LedgerEntry, RefusedCoupon
from shared.domain.offers.price import AppliedOffer
from shared.domain.offers.request import Request
from shared.domain.offers.stack import refused_with, sorted_refusals


def customer_of(request: Request, applied: AppliedOffer) -> CustomerKey | None:
    """Return the customer whose use it is: the order's, or for a guest order the lock's."""
    if request.customer_key is None and applied.offer.lock is not None:
        return applied.offer.lock.customer_key
    return request.customer_key


def all_or_nothing(
    command: RedeemCoupons, applied: list[AppliedOffer], refused: list[RefusedCoupon]
) -> tuple[list[AppliedOffer], list[RefusedCoupon]]:
    """Return what an `atomic` request applies, and all refusals in their order."""
    if command.atomic and refused and applied:
        refused = sorted_refusals(refused)
        refused += refused_with(applied, refused[0], command.lock_reference)
        applied = []
    return applied, sorted_refusals(refused) if len(refused) > 1 else refused


def hold_uses(
    command: RedeemCoupons, request: Request, applied: Iterable[AppliedOffer], customer_key: CustomerKey | None
) -> tuple[list[LockedUse], list[LedgerEntry]]:
    """Return the uses that the order's own hold takes, and the ledger entries for that."""
    order, reference = command.order, order_hold(command.order.order_id)
    uses: list[LockedUse] = []
    entries: list[LedgerEntry] = []
    for use in applied:
        coupon = use.offer.coupon
        locked = LockedUse(
            coupon.coupon_id, coupon.campaign_id, uses=uses_of(use.offer), discount_minor=use.discount_minor or 0,
            currency=order.currency, lines=use.shares, counted_at=counted_at(use, request.at),
            subscription_id=subscription_of(use.offer, order),
        )  # fmt: skip
        uses.append(locked)
        entries += held(use, customer_key, order.order_id, reference, locked)
    return uses, entries


def without(lost: Iterable[LockedUse], uses: Iterable[LockedUse]) -> tuple[LockedUse, ...]:
    """Return the uses in `lost` of coupons that are in none of `uses`."""
    found = {use.coupon_id for use in uses}
    return tuple([use for use in lost if use.coupon_id not in found])


def restorable(state: State, redemptions: Iterable[ActiveRedemption], cause: str) -> list[ActiveRedemption]:
    """Return the redemptions that `cause` restores, sorted by coupon id so that the result is deterministic."""
    found = [
        redemption
        for redemption in redemptions
        if (campaign := state.campaigns.get(redemption.campaign_id)) is not None and cause in campaign.restore_on
    ]
    return sorted(found, key=lambda redemption: redemption.coupon_id)


def before_returns(redemptions: Iterable[ActiveRedemption]) -> list[ActiveRedemption]:
    """Return the redemptions with their full discounts: a return in part doesn't make room for another coupon."""
    return [
        use if use.discount_minor == use.burned_minor else replace(use, discount_minor=use.burned_minor)
        for use in redemptions
    ]
