"""Returns in part: restore a share of each coupon's discount, but no use.

The share of a part is the share of all returned parts so far, rounded half-up, minus the share before this part. So it
doesn't depend on how a return is split or in which order the parts arrive, and the shares of all parts sum exactly to
the whole. Line id "" (shipping) is restored by a whole return only.

A coupon of a campaign with `on_return: rejudge` keeps the discount that the goods that are left deserve instead, on
shipping as well (see `rejudge`).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from shared.domain.model.campaign import OnReturn
from shared.domain.model.money import half_up
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.quantity import MAX_DECIMALS, Quantity
from shared.domain.model.state import ActiveRedemption, PartReturn, State
from shared.domain.model.verdicts import LedgerEntry, LineShare
from shared.domain.orders.rejudge import LeftOver, deserved
from shared.domain.orders.returns import ReturnedSoFar, quantities_of, returned_so_far, worth_of

_THOUSAND: Final = 10**MAX_DECIMALS
"""Times this, a quantity is whole."""


def shares(
    redemptions: Iterable[ActiveRedemption],
    state: State,
    order: Order,
    *,
    paid: int,
    before: Iterable[PartReturn] | None,
    after: Iterable[PartReturn],
    others: Iterable[ActiveRedemption] = (),
) -> list[LedgerEntry]:
    """Return entries that restore the difference between `after` and `before`, if the campaign restores on returns.

    `before` None: restore what is missing of the share of `after`, because the order changed. `others` are further
    redemptions of the order. Sorted by coupon id, so that the result is deterministic. Never restores more than the
    remaining discount.
    """
    redemptions, every = list(redemptions), [*others, *redemptions]
    kept = _kept(every, state, order, returned_so_far(after, order, paid))
    was = {} if before is None else _kept(every, state, order, returned_so_far(before, order, paid))
    entries: list[LedgerEntry] = []
    for redemption in sorted(redemptions, key=lambda redemption: redemption.coupon_id):
        if (way := _way(redemption, state)) is None:
            continue
        had, keeps = was.get(redemption.coupon_id), kept[redemption.coupon_id]
        has = had if had is not None and way == "share" else redemption
        entry = _returned(redemption, order.order_id, has.discount_minor - keeps.discount_minor, _less(had, keeps))
        if entry is not None:
            entries.append(entry)
    return entries


def _less(had: ActiveRedemption | None, keeps: ActiveRedemption) -> dict[str, int]:
    """Return by how much the share of each line falls; nothing if it isn't known what it was."""
    left = _by_line(keeps.lines)
    before = {} if had is None else _by_line(had.lines)
    return {line_id: part - left.get(line_id, 0) for line_id, part in before.items() if line_id != SHIPPING}


def _way(redemption: ActiveRedemption, state: State) -> OnReturn | None:
    """Return what a part restores of the redemption; None if its campaign doesn't restore on returns."""
    campaign = state.campaigns.get(redemption.campaign_id)
    return None if campaign is None or "order.returned" not in campaign.restore_on else campaign.on_return


def _kept(
    redemptions: Iterable[ActiveRedemption], state: State, order: Order, returned: ReturnedSoFar
) -> dict[str, ActiveRedemption]:
    """Return the order's redemptions with the discount that is left of them after `returned`, by coupon id."""
    kept: dict[str, ActiveRedemption] = {}
    judged: list[ActiveRedemption] = []
    for redemption in redemptions:
        way = _way(redemption, state)
        if way == "rejudge":
            judged.append(redemption)
        elif way == "share":
            total, parts = _share(redemption, returned, order)
            lines = [(line_id, part - parts.get(line_id, 0)) for line_id, part in _by_line(redemption.lines).items()]
            left = redemption.burned_minor - total
            kept[redemption.coupon_id] = replace(redemption, discount_minor=left, lines=tuple(lines))
        else:
            kept[redemption.coupon_id] = redemption
    if returned.is_nothing:
        kept |= {one.coupon_id: one for one in judged}
    elif judged:
        rest = deserved(_left_of(order, returned), judged, tuple(kept.values()), state)
        kept |= {one.coupon_id: one for one in rest}
    return kept


def _by_line(lines: Iterable[LineShare]) -> dict[str, int]:
    """Return the sum of the shares of each line id; several lines may have the same."""
    sums: dict[str, int] = {}
    for line_id, part in lines:
        sums[line_id] = sums.get(line_id, 0) + part
    return sums


def _left_of(order: Order, returned: ReturnedSoFar) -> LeftOver:
    """Return the order without what was returned."""
    left = dict(returned.units)
    lines: list[Line] = []
    for line in order.lines:
        line_id, quantity, _ = line.ordered
        units = min(left.get(line_id, 0), max(quantity, 0))
        left[line_id] = left.get(line_id, 0) - units
        if units < quantity:
            lines.append(line.with_quantity(quantity - units) if units else line)
    listed_minor = max(order.amount_minor - worth_of(returned, order), 0)
    goods = order.with_goods(tuple(lines), max(listed_minor - returned.amount_minor, 0))
    return LeftOver(goods, listed_minor)


def _returned(redemption: ActiveRedemption, order_id: str, minor: int, parts: dict[str, int]) -> LedgerEntry | None:
    minor = min(minor, redemption.discount_minor)
    if minor <= 0:
        return None
    return LedgerEntry(
        "returned", redemption.coupon_id, redemption.campaign_id, customer_key=redemption.customer_key,
        order_id=order_id, redemption_id=redemption.redemption_id, used_minor=-minor, currency=redemption.currency,
        lines=_at_most(parts, minor), counted_at=redemption.counted_at, subscription_id=redemption.subscription_id,
    )  # fmt: skip


def _share(redemption: ActiveRedemption, returned: ReturnedSoFar, order: Order) -> tuple[int, dict[str, int]]:
    """Return the share of the discount for everything returned, in total and by line id, both rounded half-up."""
    ordered = quantities_of(order.lines)
    by_line = _by_line(redemption.lines)
    shipping_minor = by_line.pop(SHIPPING, 0)
    lines = {
        line_id: _share_of(minor, units, ordered[line_id])
        for line_id, minor in by_line.items()
        if (units := returned.units.get(line_id, 0))
    }
    max_share = redemption.burned_minor - shipping_minor
    total = sum(lines.values())
    if returned.amount_minor and order.amount_minor > 0:
        total += half_up(max_share * min(returned.amount_minor, order.amount_minor), order.amount_minor)
    return min(total, max_share), lines


def _share_of(minor: int, units: Quantity, ordered: Quantity) -> int:
    return half_up(minor * int(units * _THOUSAND), int(ordered * _THOUSAND))


def _at_most(parts: dict[str, int], minor: int) -> tuple[LineShare, ...]:
    """Return the positive parts by line, together at most `minor`."""
    taken_parts: list[LineShare] = []
    for line_id, part in parts.items():
        if (taken := min(part, minor)) > 0:
            taken_parts.append((line_id, taken))
            minor -= taken
    return tuple(taken_parts)
