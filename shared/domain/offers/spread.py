"""Split a discount over lines or over equal units, to the last minor unit."""

from collections.abc import Sequence

Parts = tuple[tuple[int, int], ...]
"""(units, part of each of them in minor units): a discount spread over equal units"""


def spread(discount_minor: int, weights: Sequence[int]) -> list[int]:
    """Split `discount_minor` by `weights` (each ≥ 0), by largest remainder; ties go to the earlier line.

    The parts sum to the whole and, as the whole is at most the sum of the weights, no part exceeds its weight. Without
    any weight all parts are 0.
    """
    if len(weights) == 1:
        return [discount_minor if weights[0] > 0 else 0]
    total = sum(weights)
    if total <= 0:
        return [0] * len(weights)
    parts = [discount_minor * weight // total for weight in weights]
    missing = discount_minor - sum(parts)
    if missing:
        remainders = [discount_minor * weight % total for weight in weights]
        for index in sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)[:missing]:
            parts[index] += 1
    return parts


def spread_over_units(discount_minor: int, units: Sequence[tuple[int, int]]) -> list[Parts]:
    """Split `discount_minor` over groups of equal units, (count, weight of each): as `spread` over every single unit.

    Return for each group (units, part of each): one pair, or two if some units get one minor unit more.
    """
    total = sum([count * weight for count, weight in units])
    if total <= 0:
        return [((count, 0),) for count, _ in units]
    shares = [discount_minor * weight // total for _, weight in units]
    missing = discount_minor - sum([count * share for (count, _), share in zip(units, shares, strict=True)])
    more = [0] * len(units)
    if missing:
        remainders = [discount_minor * weight % total for _, weight in units]
        for index in sorted(range(len(units)), key=remainders.__getitem__, reverse=True):
            more[index] = min(units[index][0], missing)
            missing -= more[index]
    return [
        tuple([pair for pair in ((extra, share + 1), (count - extra, share)) if pair[0]])
        for (count, _), share, extra in zip(units, shares, more, strict=True)
    ]
