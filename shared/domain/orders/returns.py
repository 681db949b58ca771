"""Returns in part: restore a share of each coupon's discount, but no use.

The share of a part is the share of all returned parts so far, rounded half-up, minus the share before this part. So it
doesn't depend on how a return is split or in which order the parts arrive, and the shares of all parts sum exactly to
the whole. Line id "" (shipping) is restored by a whole return only.

A coupon of a campaign with `on_return: rejudge` keeps the discount that the goods that are left deserve instead, on
shipping as well (see `rejudge`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shared.domain.model.campaign import OnReturn
from shared.domain.model.commands import ReturnOrder
from shared.domain.model.money import MoneyError, parse_minor
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.quantity import MAX_DECIMALS, Quantity
from shared.domain.model.state import ActiveRedemption, LockedUse, PartReturn, State, new_active_redemption
from shared.domain.model.verdicts import LedgerEntry, LineShare
from shared.domain.offers.price import AppliedOffer
from shared.domain.orders.rejudge import LeftOver, deserved

MAX_RETURNED_PARTS: Final = 10_000
"""Maximum number of returned lines (or amounts) recorded for one order: as many as an order can have lines, so that
each line can be returned on its own. Beyond that, return the order as a whole."""


_THOUSAND: Final = 10**MAX_DECIMALS
"""Times this, a quantity is whole."""


@dataclass(slots=True)
class ReturnedSoFar:
    """Everything returned so far: units by line id, at most what was ordered, and goods by amount.

    `refunded_minor` is what the customer got back for other goods, after discounts.
    """

    units: dict[str, Quantity] = field(default_factory=dict)
    amount_minor: int = 0
    refunded_minor: int | None = None

    @property
    def is_nothing(self) -> bool:
        """Return whether nothing was returned."""
        return not any(self.units.values()) and not self.amount_minor and self.refunded_minor is None


def part_of(command: ReturnOrder, now: datetime) -> PartReturn | None:
    """Return the part that the command names in normalised form, or None if it is empty."""
    units: dict[str, Quantity] = {}
    for line_id, count in command.lines:
        units[line_id] = units.get(line_id, 0) + count
    amount = None if units else command.amount
    refunded = None if units or amount is not None else command.refunded_amount
    if not units and amount is None and refunded is None:
        return None
    return PartReturn(command.at or now, tuple(sorted(units.items())), amount, command.return_id, refunded)


def amount_problem(part: PartReturn, currency: str | None) -> str | None:
    """Return why an amount of the part is not valid in `currency`; None if it is valid or the currency is unknown."""
    for name, amount in (("amount", part.amount), ("refunded_amount", part.refunded_amount)):
        if amount is not None and currency is not None:
            try:
                parse_minor(amount, currency)
            except MoneyError as error:
                return f"{name}: {error}"
    return None


def nothing_of(part: PartReturn, order: Order) -> str | None:
    """Return why the part is nothing of the order as it is now; None if it is a part of it."""
    if part.lines:
        ordered = _quantities(order.lines)
        return None if any(ordered.get(line_id, 0) > 0 for line_id, _ in part.lines) else "unknown_lines"
    minor = _minor(part.amount if part.amount is not None else part.refunded_amount, order.currency)
    return "nothing_returned" if minor == 0 else None


def is_recorded(part: PartReturn, recorded: Sequence[PartReturn], currency: str | None) -> bool:
    """Return whether the same return was recorded before, under any event id."""
    key = _key(part, currency)
    return any(_key(known, currency) == key for known in recorded)


def content_problem(part: PartReturn, recorded: Sequence[PartReturn], currency: str | None) -> str | None:
    """Return the error if the part's `return_id` was recorded with other content, whenever it was returned."""
    if part.return_id is None:
        return None
    content = _content(part, currency)
    if all(known.return_id != part.return_id or _content(known, currency) == content for known in recorded):
        return None
    return f"Return {part.return_id!r} of this order was recorded with other content; give each return its own id."


def with_part(part: PartReturn, recorded: Sequence[PartReturn]) -> tuple[PartReturn, ...]:
    """Return `recorded` plus `part`, in an order that doesn't depend on their arrival."""
    return tuple(sorted([*recorded, part], key=_arrival_key))


def _arrival_key(part: PartReturn) -> tuple[object, ...]:
    return part.at, part.lines, part.amount or "", part.refunded_amount or "", part.return_id or ""


def too_many(parts: Sequence[PartReturn]) -> bool:
    """Return whether these are more parts than can be recorded for one order."""
    return sum(max(len(part.lines), 1) for part in parts) > MAX_RETURNED_PARTS


def paid_minor(order: Order, uses: Iterable[ActiveRedemption | LockedUse | AppliedOffer]) -> int:
    """Return what the goods of the order cost after the discounts of `uses`, before anything was returned."""
    off = 0
    for use in uses:
        discount = use.burned_minor if isinstance(use, ActiveRedemption) else use.discount_minor or 0
        lines = use.shares if isinstance(use, AppliedOffer) else use.lines
        off += discount - sum([part for line_id, part in lines if line_id == SHIPPING])
    return max(order.amount_minor - off, 0)


def returned_so_far(parts: Iterable[PartReturn], order: Order, paid: int) -> ReturnedSoFar:
    """Sum `parts`. Lines that the order doesn't have, and invalid amounts, are ignored.

    `paid` is what the goods cost after discounts: a refund of a part of it returns the same part of the goods.
    """
    ordered = _quantities(order.lines)
    returned = ReturnedSoFar()
    seen: set[object] = set()
    for part in parts:
        key = _key(part, order.currency)
        if key in seen:
            continue
        seen.add(key)
        for line_id, units in part.lines:
            if (quantity := ordered.get(line_id, 0)) > 0:
                returned.units[line_id] = min(returned.units.get(line_id, 0) + max(units, 0), quantity)
        returned.amount_minor += _minor(part.amount, order.currency) or 0
        if (refunded := _minor(part.refunded_amount, order.currency)) is not None:
            returned.refunded_minor = (returned.refunded_minor or 0) + refunded
    if returned.refunded_minor is not None:
        returned.amount_minor += _goods_for(returned.refunded_minor, order, paid)
    return returned


def _goods_for(refunded_minor: int, order: Order, paid: int) -> int:
    """Return the price, before discounts, of goods for which the customer got `refunded_minor` back."""
    if refunded_minor >= paid:
        return order.amount_minor
    return _half_up(refunded_minor * order.amount_minor, paid)


def is_fully_returned(parts: Iterable[PartReturn], order: Order, paid: int) -> bool:
    """Return whether `parts` are all of the order: every unit of every line, or goods of the order's amount."""
    returned = returned_so_far(parts, order, paid)
    ordered = {line_id: units for line_id, units in _quantities(order.lines).items() if units > 0}
    if ordered and returned.units == ordered:
        return True
    if returned.amount_minor <= 0 and returned.refunded_minor is None:
        return False
    return returned.amount_minor + _worth(returned, order) >= order.amount_minor


def _worth(returned: ReturnedSoFar, order: Order) -> int:
    """Return the price of the returned units."""
    left, worth = dict(returned.units), 0
    for line in order.lines:
        line_id, quantity, _ = line.ordered
        units = min(left.get(line_id, 0), max(quantity, 0))
        if units:
            left[line_id] -= units
            # The rest of what is left, so that the two are the amount of the line, however each is rounded.
            worth += line.amount_minor - line.with_quantity(quantity - units).amount_minor
    return worth


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
    listed_minor = max(order.amount_minor - _worth(returned, order), 0)
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


def active_redemption(burned: LedgerEntry) -> ActiveRedemption:
    """Return the redemption that a burned coupon creates on its order."""
    return new_active_redemption(
        burned.coupon_id, burned.campaign_id, redemption_id=burned.redemption_id or "", uses=burned.used_uses,
        discount_minor=burned.used_minor, currency=burned.currency, customer_key=burned.customer_key,
        lines=burned.lines, burned_minor=burned.used_minor, counted_at=burned.counted_at,
        subscription_id=burned.subscription_id,
    )  # fmt: skip


def _share(redemption: ActiveRedemption, returned: ReturnedSoFar, order: Order) -> tuple[int, dict[str, int]]:
    """Return the share of the discount for everything returned, in total and by line id, both rounded half-up."""
    ordered = _quantities(order.lines)
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
        total += _half_up(max_share * min(returned.amount_minor, order.amount_minor), order.amount_minor)
    return min(total, max_share), lines


def _share_of(minor: int, units: Quantity, ordered: Quantity) -> int:
    return _half_up(minor * int(units * _THOUSAND), int(ordered * _THOUSAND))


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _at_most(parts: dict[str, int], minor: int) -> tuple[LineShare, ...]:
    """Return the positive parts by line, together at most `minor`."""
    taken_parts: list[LineShare] = []
    for line_id, part in parts.items():
        if (taken := min(part, minor)) > 0:
            taken_parts.append((line_id, taken))
            minor -= taken
    return tuple(taken_parts)


def _quantities(lines: Iterable[Line]) -> dict[str, Quantity]:
    """Return ordered quantities by line id; lines with the same id are summed."""
    quantities: dict[str, Quantity] = {}
    for line in lines:
        line_id, quantity, _ = line.ordered
        quantities[line_id] = quantities.get(line_id, 0) + max(quantity, 0)
    return quantities


def _minor(amount: str | None, currency: str | None) -> int | None:
    if amount is None or currency is None:
        return None
    try:
        return parse_minor(amount, currency)
    except MoneyError:
        return None


def _key(part: PartReturn, currency: str | None) -> object:
    return (part.at, _content(part, currency)) if part.return_id is None else part.return_id


def _content(part: PartReturn, currency: str | None) -> object:
    minor, refunded = _minor(part.amount, currency), _minor(part.refunded_amount, currency)
    return (
        part.lines, part.amount if minor is None else minor, part.refunded_amount if refunded is None else refunded
    )  # fmt: skip
