"""Settle the coupons that an order has, after it changed or was placed again: adjust, restore or release them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.coupons.change import ends_after_restore
from shared.domain.coupons.entries import (
    accepted,
    accepted_use,
    active_redemption,
    adjusted,
    adjusted_hold,
    burned,
    released,
    restored,
    taken_into_lock,
)
from shared.domain.model.customer import CustomerKey
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, PartReturn
from shared.domain.model.verdicts import AcceptedCoupon, KeptCoupon, LedgerEntry
from shared.domain.offers.price import AppliedOffer
from shared.domain.orders.placing import Placing
from shared.domain.orders.return_shares import shares
from shared.domain.orders.returns import paid_minor
from shared.domain.orders.uses import restorable

Use = ActiveRedemption | LockedUse


@dataclass(slots=True)
class Effects:
    """What changing the order does to its coupons. `uses` are those that its hold has afterwards."""

    command: RedeemCoupons
    placing: Placing
    redemption: str
    entries: list[LedgerEntry] = field(default_factory=list)
    kept: list[KeptCoupon] = field(default_factory=list)
    accepted: list[AcceptedCoupon] = field(default_factory=list)
    uses: list[LockedUse] = field(default_factory=list)
    redeemed: list[ActiveRedemption] = field(default_factory=list)
    """the redemptions as they are on the changed order"""

    def burn(self, taken: AppliedOffer, customer_key: CustomerKey | None, at: datetime) -> None:
        """Redeem a coupon on the changed order."""
        entries = burned(taken, customer_key, self.command.order, self.redemption, at)
        self.entries += entries
        self.redeemed += [active_redemption(entry) for entry in entries if entry.order_id is not None]


def settle_redemption(effects: Effects, use: ActiveRedemption, keeps: AppliedOffer | None) -> None:
    """Restore a redeemed coupon, or give it its discount on the changed order."""
    order, request = effects.command.order, effects.placing.request
    in_currency = use.currency in (None, order.currency)
    if effects.placing.placed_again:
        if keeps is None:
            _keep_without_discount(effects, use, in_currency=in_currency)
            return
        in_currency = in_currency and use.discount_minor == use.burned_minor
    if keeps is None or not in_currency:
        effects.entries.append(restored(use, order.order_id))
        effects.entries += ends_after_restore(request.state, [use], request.at)
        if keeps is not None:  # in another currency, or parts of the closed order were returned: redeemed again
            at = use.counted_at or request.at
            effects.burn(keeps, use.customer_key, at)
            effects.accepted.append(accepted(keeps))
        return
    # Parts that were returned stay restored, so the discount can't fall by more than is left of it.
    difference = max((keeps.discount_minor or 0) - use.burned_minor, -use.discount_minor)
    if difference or keeps.shares != use.lines:
        effects.entries.append(adjusted(use, order.order_id, difference, keeps.shares))
    left = use.discount_minor + difference
    effects.redeemed.append(
        replace(use, discount_minor=left, burned_minor=use.burned_minor + difference, lines=keeps.shares)
    )
    coupon = replace(accepted(keeps), discount_minor=left, redemption_id=use.redemption_id)
    effects.kept.append(KeptCoupon(coupon, use.discount_minor, use.customer_key))


def _keep_without_discount(effects: Effects, use: ActiveRedemption, *, in_currency: bool) -> None:
    """Keep a use that closing the order didn't restore, but take nothing off the order that is placed again.

    A discount in another currency stays, because it took nothing off this order.
    """
    if not in_currency or not use.discount_minor:
        return
    effects.entries.append(adjusted(use, effects.command.order.order_id, -use.discount_minor, ()))
    left = replace(use, discount_minor=0, burned_minor=use.burned_minor - use.discount_minor, lines=())
    effects.redeemed.append(left)
    coupon = accepted_use(effects.placing.request.state, left, use.redemption_id)
    effects.kept.append(KeptCoupon(coupon, use.discount_minor, use.customer_key))


def restore_shares(effects: Effects, parts: Sequence[PartReturn]) -> None:
    """Restore what is missing of the shares of the parts that were returned before the order changed."""
    order, redeemed, state = effects.command.order, effects.redeemed, effects.placing.request.state
    paid = paid_minor(order, [*redeemed, *effects.uses])
    entries = shares(redeemed, state, order, paid=paid, before=None, after=parts)
    effects.entries += entries
    missing = {entry.coupon_id: entry.used_minor for entry in entries}
    for place, kept in enumerate(effects.kept):
        coupon = kept.coupon
        if coupon.redemption_id is not None and coupon.coupon_id in missing:
            left = replace(coupon, discount_minor=(coupon.discount_minor or 0) + missing[coupon.coupon_id])
            effects.kept[place] = replace(kept, coupon=left)
    effects.redeemed = [
        replace(one, discount_minor=one.discount_minor + missing.get(one.coupon_id, 0)) for one in redeemed
    ]


def restore_returned(effects: Effects) -> None:
    """Restore what a whole return restores: all of the changed order was returned before."""
    request, order_id = effects.placing.request, effects.command.order.order_id
    redemptions = restorable(request.state, effects.redeemed, "order.returned")
    effects.entries += [restored(one, order_id) for one in redemptions]
    effects.entries += ends_after_restore(request.state, redemptions, request.at)


def settle_hold(
    effects: Effects, hold: LockState, use: LockedUse, keeps: AppliedOffer | None, customer_key: CustomerKey | None
) -> None:
    """Release a coupon that the order holds, or hold it for `customer_key` with its discount on the changed order."""
    currency = effects.command.order.currency
    if keeps is None:
        effects.entries.append(released(hold, use))
        return
    now = replace(use, discount_minor=keeps.discount_minor or 0, lines=keeps.shares, currency=currency)
    effects.uses.append(now)
    if hold.customer_key != customer_key or use.currency not in (None, currency):
        effects.entries.append(released(hold, use))
        effects.entries.append(taken_into_lock(now, customer_key, hold.order_id, hold.lock_reference))
    elif now.discount_minor != use.discount_minor:
        effects.entries.append(adjusted_hold(hold, now, now.discount_minor - use.discount_minor))
    effects.kept.append(KeptCoupon(accepted(keeps), use.discount_minor, customer_key))
