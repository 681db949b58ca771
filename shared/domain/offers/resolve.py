"""Resolve a coupon for a request: which lines or units its discount comes from, what it takes off the untouched order,
and which hold pays for the use.

Everything that the rules and limits read is found here, before any of them runs. Nothing changes afterwards.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from shared.domain.model.campaign import Campaign, DiscountOffer, Scope
from shared.domain.model.coupon import Coupon, Hold
from shared.domain.model.money import MoneyError, parse_minor
from shared.domain.model.order import Line
from shared.domain.model.quantity import UnitPrice
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, is_holding, order_hold
from shared.domain.offers.cycles import is_trial
from shared.domain.offers.kinds import KINDS
from shared.domain.offers.price import price_of
from shared.domain.offers.request import NO_LINES, WHOLE_ORDER, Request, ResolvedOffer, Target, UnitGroup


def resolve(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> ResolvedOffer:
    """Resolve a coupon that the request names by its code."""
    price = _target_and_price(request, campaign)
    if not coupon.held:
        return ResolvedOffer(code, coupon, campaign, *price)
    lock, locked, others = _own_hold(request, coupon)
    older = _older_hold(request, coupon) if lock is None and request.takes_over else None
    return ResolvedOffer(code, coupon, campaign, *price, lock=lock, locked=locked, held_by_others=others, older=older)


def resolve_locked(
    request: Request, coupon: Coupon, campaign: Campaign, lock: LockState, locked: LockedUse
) -> ResolvedOffer:
    """Resolve a coupon of a lock that the request names: the lock pays for the use."""
    price = _target_and_price(request, campaign)
    return ResolvedOffer(
        coupon.code, coupon, campaign, *price, lock=lock, locked=locked, promised=True, recurring=not locked.uses
    )


def resolve_used(
    request: Request, code: str, coupon: Coupon, campaign: Campaign, redemption: ActiveRedemption
) -> ResolvedOffer:
    """Resolve a coupon that the order has redeemed: it keeps its use, on what the order is now."""
    price = _target_and_price(request, campaign)
    return ResolvedOffer(code, coupon, campaign, *price, promised=True, recurring=not redemption.uses, used=redemption)


def resolve_recurring(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> ResolvedOffer:
    """Resolve a coupon that continues with the order's subscription: it takes no use."""
    return ResolvedOffer(code, coupon, campaign, *_target_and_price(request, campaign), recurring=True)


# Lines and units


def is_restricted(campaign: Campaign) -> bool:
    """Return whether coupons of `campaign` apply to anything but the whole order. Computed once per campaign."""
    found: bool | None = campaign.cache.get("target")
    if found is None:
        scope, discount = campaign.scope, campaign.discount
        found = campaign.cache["target"] = (
            KINDS[discount.kind].takes_from != "scope" or discount.per_unit or scope.max_units is not None
            or bool(scope.product_ids or scope.variant_ids or scope.collection_ids) or scope.excludes
        )  # fmt: skip
    return found


def eligible_lines(scope: Scope, lines: tuple[Line, ...]) -> tuple[int, ...] | None:
    """Return the indices of the lines in `scope`; None if the scope is the whole order."""
    products, variants, collections = scope.product_ids, scope.variant_ids, scope.collection_ids
    wanted = products or variants or collections
    if not wanted and not scope.excludes:
        return None
    found: Iterable[int] = range(len(lines))
    if wanted:
        found = [
            index
            for index, line in enumerate(lines)
            if line.product_id in products
            or line.variant_id in variants
            or (collections and not collections.isdisjoint(line.collection_ids))
        ]
    return tuple([index for index in found if not _excluded(scope, lines[index])] if scope.excludes else found)


def _excluded(scope: Scope, line: Line) -> bool:
    return (
        line.product_id in scope.excluded_product_ids
        or line.variant_id in scope.excluded_variant_ids
        or not scope.excluded_collection_ids.isdisjoint(line.collection_ids)
    )


def eligible_quantity(scope: Scope, lines: tuple[Line, ...]) -> int:
    """Return how many units in `scope` cost something. A free sample or a rebate counts for no minimum."""
    indices = eligible_lines(scope, lines)
    eligible = lines if indices is None else [lines[index] for index in indices]
    return sum([line.quantity for line in eligible if line.unit_minor > 0 or line.amount_minor > 0])


@lru_cache(maxsize=4096)
def amount_in(value: str, currency: str) -> int | None:
    """Return an amount in minor units of `currency`; None if the currency has too few decimals for it."""
    try:
        return parse_minor(value, currency)
    except MoneyError:
        return None


_Terms = tuple[DiscountOffer, Target | None, int | None, int, Sequence[int], tuple[UnitGroup, ...], bool]


def _target_and_price(request: Request, campaign: Campaign) -> _Terms:
    """Return the discount, its target, the amount of a fixed one, the price on the untouched order, `trial`."""
    order, basket, discount = request.order, request.basket, campaign.discount
    if order is None:
        return discount, None, 0, 0, (), (), False
    fixed_minor = discount.amount_minor
    if fixed_minor is None:
        fixed_minor = amount_in(discount.value, order.currency)
    target = _target(campaign, order.lines) if is_restricted(campaign) else WHOLE_ORDER
    if basket is None or target is None or fixed_minor is None:
        return discount, target, fixed_minor, 0, (), (), False
    trial = campaign.recurring_cycles is not None and is_trial(order)
    return (discount, target, fixed_minor, *price_of(basket, discount, target, fixed_minor), trial)


def _target(campaign: Campaign, lines: tuple[Line, ...]) -> Target | None:
    """Return the target of a restricted campaign; None if no line of the order is eligible."""
    scope, discount = campaign.scope, campaign.discount
    indices = eligible_lines(scope, lines)
    if indices is not None and not indices:
        return None
    takes_from = KINDS[discount.kind].takes_from
    if takes_from == "product":
        listed = [index for index, line in enumerate(lines) if line.product_id == discount.product_id]
        return Target(_by_price(lines, listed), by_unit=True, max_units=discount.units)
    if takes_from != "scope":
        return NO_LINES
    if scope.max_units is None and not discount.per_unit:
        return Target(indices)
    eligible = range(len(lines)) if indices is None else indices
    if not any(lines[index].quantity > 0 for index in eligible):
        return None
    taken = _by_price(lines, eligible, most_expensive_first=scope.most_expensive_first)
    return Target(taken, by_unit=True, max_units=scope.max_units)


def _by_price(
    lines: tuple[Line, ...], indices: Sequence[int], *, most_expensive_first: bool = False
) -> tuple[int, ...]:
    """Return the lines in the order in which their units are taken, without those that cost nothing."""
    # An exact line may cost something although its price of one unit, rounded down, is 0.
    costly = [
        index
        for index in indices
        if ((line := lines[index]).unit_minor > 0 and line.quantity > 0)
        or (line.exact is not None and line.exact.amount_minor > 0)
    ]

    def price(index: int) -> UnitPrice:
        line = lines[index]
        return line.unit_minor if line.exact is None else line.unit_price

    return tuple(sorted(costly, key=price, reverse=most_expensive_first))


# Holds


def _own_hold(request: Request, coupon: Coupon) -> tuple[LockState | None, LockedUse | None, int]:
    """Return the own hold that pays for this use, if there is one, and how many uses others hold.

    A hold is the request's own if it is bound to this order, or to this customer and no order. Of several, the one
    bound to the order comes first, then the lowest reference, so the choice doesn't depend on the order of loading.
    """
    others = coupon.held
    best: tuple[bool, str] | None = None
    own: LockState | None = None
    own_use: LockedUse | None = None
    for hold in coupon.holds:
        lock = request.state.locks.get(hold.lock_reference)
        if lock is None:
            continue  # an unknown hold counts as another customer's
        if not is_holding(lock, request.now) or lock is request.replaced:
            others -= hold.uses
        elif _is_own(request, hold) and (locked := use_of(lock, coupon.coupon_id)) is not None:
            others -= hold.uses
            rank = (hold.order_id is None, hold.lock_reference)
            if best is None or rank < best:
                best, own, own_use = rank, lock, locked
    return own, own_use, max(others, 0)


def _older_hold(request: Request, coupon: Coupon) -> LockState | None:
    """Return the hold of the customer's oldest unpaid order on the coupon, if that order is older than the request."""
    if request.customer_key is None:
        return None
    found: list[tuple[datetime, str, LockState]] = []
    for hold in coupon.holds:
        lock = request.state.locks.get(hold.lock_reference)
        if (
            lock is None or not lock.is_of_order or lock.order_id == request.order_id
            or lock.customer_key != request.customer_key or not is_holding(lock, request.now)
        ):  # fmt: skip
            continue
        locked = use_of(lock, coupon.coupon_id)
        if locked is not None and locked.uses and (since := locked.counted_at or request.now) <= request.at:
            found.append((since, lock.lock_reference, lock))
    return min(found)[2] if found else None


def _is_own(request: Request, hold: Hold) -> bool:
    if hold.order_id is not None:
        return hold.order_id == request.order_id and hold.lock_reference != order_hold(hold.order_id)
    return hold.customer_key is not None and hold.customer_key == request.customer_key


def use_of(lock: LockState, coupon_id: str) -> LockedUse | None:
    """Return the uses of the coupon that the lock holds."""
    return next((locked for locked in lock.uses if locked.coupon_id == coupon_id), None)
