"""Groups of equal units of a line: split them, join them, and take parts off them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.domain.offers.request import UnitGroup
from shared.domain.offers.spread import Parts, spread_over_units

Units = tuple[UnitGroup, ...]
"""All units of one line"""


def most_room_first(group: UnitGroup) -> tuple[int, int]:
    """Return the sort key of units with the same price."""
    return (-group.room_minor, -group.left_minor)


def split_units(groups: Iterable[UnitGroup], count: int) -> tuple[list[UnitGroup], list[UnitGroup]]:
    """Return the first `count` units of `groups`, and the others."""
    first: list[UnitGroup] = []
    others: list[UnitGroup] = []
    for group in groups:
        taken = min(group.count, count)
        count -= taken
        if taken == group.count:
            first.append(group)
            continue
        if taken:
            first.append(replace(group, count=taken))
        others.append(replace(group, count=group.count - taken))
    return first, others


def reduced_units(groups: Sequence[UnitGroup], part: int, *, each_minor: int | None = None) -> list[UnitGroup]:
    """Return the units after `part` was taken off their rooms, by their room or at most `each_minor` of it."""
    weights = [group.room_minor if each_minor is None else min(group.room_minor, each_minor) for group in groups]
    parts = spread_over_units(part, [(group.count, weight) for group, weight in zip(groups, weights, strict=True)])
    return [one for group, taken in zip(groups, parts, strict=True) for one in units_less(group, taken, of_left=False)]


def units_less(group: UnitGroup, taken: Parts, *, of_left: bool = True) -> list[UnitGroup]:
    return [
        UnitGroup(group.index, count, group.left_minor - (part if of_left else 0), group.room_minor - part)
        for count, part in taken
    ]


def units_without(groups: Units, picked: UnitGroup) -> list[UnitGroup]:
    """Return the units of a line without those of `picked`."""
    kept: list[UnitGroup] = []
    missing = picked.count
    for group in groups:
        same = (group.left_minor, group.room_minor) == (picked.left_minor, picked.room_minor)
        count = min(group.count, missing) if same else 0
        missing -= count
        if count < group.count:
            kept.append(replace(group, count=group.count - count))
    return kept


def joined_units(groups: Iterable[UnitGroup]) -> Units:
    """Return the units with equal ones in one group, in the order of what is left of them."""
    counts: dict[tuple[int, int, int], int] = {}
    for group in groups:
        key = (group.left_minor, group.room_minor, group.index)
        counts[key] = counts.get(key, 0) + group.count
    return tuple([UnitGroup(index, count, left, room) for (left, room, index), count in sorted(counts.items())])
