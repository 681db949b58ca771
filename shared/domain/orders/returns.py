"""Returns in part: restore a share of each coupon's discount, but no use.

The share of a part is the share of all returned parts so far, rounded half-up, minus the share before this part. So it
doesn't depend on how a return is split or in which order the parts arrive, and the shares of all parts sum exactly to
the whole. Line id "" (shipping) is restored by a whole return only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import ReturnOrder
from shared.domain.model.money import MoneyError, parse_minor
from shared.domain.model.order import SHIPPING
from shared.domain.model.state import ActiveRedemption, OrderLines, OrderState, PartReturn, new_active_redemption
from shared.domain.model.value import value
from shared.domain.model.verdicts import LedgerEntry, LineShare

MAX_RETURNED_PARTS: Final = 10_000
"""Maximum number of returned lines (or amounts) recorded for one order: as many as an order can have lines, so that
each line can be returned on its own. Beyond that, return the order as a whole."""


@value
class Goods:
    """The goods of an order, in minor units of its currency."""

    lines: OrderLines
    amount_minor: int
    currency: str | None


@dataclass(slots=True)
class ReturnedSoFar:
    """Everything returned so far: units by line id, at most what was ordered, and goods by amount."""

    units: dict[str, int] = field(default_factory=dict)
    amount_minor: int = 0


def goods_of(order: OrderState) -> Goods:
    return Goods(order.lines, order.amount_minor, order.currency)


def part_of(command: ReturnOrder, now: datetime) -> PartReturn | None:
    """Return the part that the command names in normalised form, or None if it is empty."""
    units: dict[str, int] = {}
    for line_id, count in command.lines:
        units[line_id] = units.get(line_id, 0) + count
    if not units and command.amount is None:
        return None
    return PartReturn(command.at or now, tuple(sorted(units.items())), None if units else command.amount)


def amount_problem(part: PartReturn, currency: str | None) -> str | None:
    """Return why the part's amount is not valid in `currency`; None if it is valid or the currency is unknown."""
    if part.amount is None or currency is None:
        return None
    try:
        parse_minor(part.amount, currency)
    except MoneyError as error:
        return str(error)
    return None


def is_recorded(part: PartReturn, recorded: Sequence[PartReturn], currency: str | None) -> bool:
    """Return whether the same return was recorded before, under any event id."""
    key = _key(part, currency)
    return any(_key(known, currency) == key for known in recorded)


def with_part(part: PartReturn, recorded: Sequence[PartReturn]) -> tuple[PartReturn, ...]:
    """Return `recorded` plus `part`, in an order that doesn't depend on their arrival."""
    return tuple(sorted([*recorded, part], key=lambda known: (known.at, known.lines, known.amount or "")))


def too_many(parts: Sequence[PartReturn]) -> bool:
    """Return whether these are more parts than can be recorded for one order."""
    return sum(max(len(part.lines), 1) for part in parts) > MAX_RETURNED_PARTS


def returned_so_far(parts: Iterable[PartReturn], goods: Goods) -> ReturnedSoFar:
    """Sum `parts`. Lines that the order doesn't have, and invalid amounts, are ignored."""
    ordered = _quantities(goods.lines)
    returned = ReturnedSoFar()
    seen: set[object] = set()
    for part in parts:
        key = _key(part, goods.currency)
        if key in seen:
            continue
        seen.add(key)
        for line_id, units in part.lines:
            if (quantity := ordered.get(line_id, 0)) > 0:
                returned.units[line_id] = min(returned.units.get(line_id, 0) + max(units, 0), quantity)
        returned.amount_minor += _amount_minor(part, goods.currency) or 0
    return returned


def is_fully_returned(parts: Iterable[PartReturn], goods: Goods) -> bool:
    """Return whether `parts` are all of the order: every unit of every line, or goods of the order's amount."""
    returned = returned_so_far(parts, goods)
    ordered = {line_id: units for line_id, units in _quantities(goods.lines).items() if units > 0}
    if ordered and returned.units == ordered:
        return True
    if returned.amount_minor <= 0:
        return False
    left, worth = dict(returned.units), 0
    for line_id, quantity, unit_minor in goods.lines:
        units = min(left.get(line_id, 0), max(quantity, 0))
        left[line_id] = left.get(line_id, 0) - units
        worth += units * unit_minor
    return returned.amount_minor + worth >= goods.amount_minor


def shares(
    redemptions: Iterable[ActiveRedemption],
    campaigns: dict[str, Campaign],
    goods: Goods,
    *,
    order_id: str,
    before: Iterable[PartReturn],
    after: Iterable[PartReturn],
) -> list[LedgerEntry]:
    """Return entries that restore the difference between `after` and `before`, if the campaign restores on returns.

    Sorted by coupon id, so that the result is deterministic. Never restores more than the remaining discount.
    """
    both = returned_so_far(before, goods), returned_so_far(after, goods)
    entries: list[LedgerEntry] = []
    for redemption in sorted(redemptions, key=lambda redemption: redemption.coupon_id):
        campaign = campaigns.get(redemption.campaign_id)
        if campaign is None or "order.returned" not in campaign.restore_on:
            continue
        (total_before, lines_before), (total, lines) = [_share(redemption, returned, goods) for returned in both]
        minor = min(total - total_before, redemption.discount_minor)
        if minor > 0:
            parts = {line_id: part - lines_before.get(line_id, 0) for line_id, part in lines.items()}
            entries.append(
                LedgerEntry(
                    "returned", redemption.coupon_id, redemption.campaign_id, customer_key=redemption.customer_key,
                    order_id=order_id, redemption_id=redemption.redemption_id, used_minor=-minor,
                    currency=redemption.currency, lines=_at_most(parts, minor), counted_at=redemption.counted_at,
                    subscription_id=redemption.subscription_id,
                )
            )  # fmt: skip
    return entries


def active_redemption(burned: LedgerEntry) -> ActiveRedemption:
    """Return the redemption that a burned coupon creates on its order."""
    return new_active_redemption(
        burned.coupon_id, burned.campaign_id, redemption_id=burned.redemption_id or "", uses=burned.used_uses,
        discount_minor=burned.used_minor, currency=burned.currency, customer_key=burned.customer_key,
        lines=burned.lines, burned_minor=burned.used_minor, counted_at=burned.counted_at,
        subscription_id=burned.subscription_id,
    )  # fmt: skip


def _share(redemption: ActiveRedemption, returned: ReturnedSoFar, goods: Goods) -> tuple[int, dict[str, int]]:
    """Return the share of the discount for everything returned, in total and by line id, both rounded half-up."""
    ordered = _quantities(goods.lines)
    by_line: dict[str, int] = {}
    shipping_minor = 0
    for line_id, minor in redemption.lines:
        if line_id == SHIPPING:
            shipping_minor += minor
        else:
            by_line[line_id] = by_line.get(line_id, 0) + minor
    lines = {
        line_id: _half_up(minor * units, ordered[line_id])
        for line_id, minor in by_line.items()
        if (units := returned.units.get(line_id, 0))
    }
    max_share = redemption.burned_minor - shipping_minor
    total = sum(lines.values())
    if returned.amount_minor and goods.amount_minor > 0:
        total += _half_up(max_share * min(returned.amount_minor, goods.amount_minor), goods.amount_minor)
    return min(total, max_share), lines


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


def _quantities(lines: OrderLines) -> dict[str, int]:
    """Return units by line id; lines with the same id are summed."""
    quantities: dict[str, int] = {}
    for line_id, quantity, _ in lines:
        quantities[line_id] = quantities.get(line_id, 0) + max(quantity, 0)
    return quantities


def _amount_minor(part: PartReturn, currency: str | None) -> int | None:
    if part.amount is None or currency is None:
        return None
    try:
        return parse_minor(part.amount, currency)
    except MoneyError:
        return None


def _key(part: PartReturn, currency: str | None) -> object:
    minor = _amount_minor(part, currency)
    return part.at, part.lines, part.amount if minor is None else minor
