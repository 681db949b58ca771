"""How much a coupon takes off, and how that is spread over the lines.

Percentages are exact until they are rounded once, half-up, to the minor unit; the parts always sum to the whole; a
discount never exceeds what it applies to. Source: design §5.
"""

from collections.abc import Sequence

from shared.domain.model.campaign import DiscountOffer


def reckon(offer: DiscountOffer, base_minor: int, fixed_minor: int | None = None) -> int:
    """What `offer` takes off `base_minor`, both in minor units: 0 ≤ result ≤ max(base, 0).

    `fixed_minor` is the amount of a fixed offer in the order's currency, None where the campaign names the currency.
    """
    if base_minor <= 0:
        return 0
    if offer.kind == "percentage":
        hundred = 100 * offer.percent_denominator
        discount = (2 * base_minor * offer.percent_numerator + hundred) // (2 * hundred)
    else:
        discount = (offer.amount_minor or 0) if fixed_minor is None else fixed_minor
    if offer.max_discount_minor is not None and discount > offer.max_discount_minor:
        discount = offer.max_discount_minor
    if discount > base_minor:
        return base_minor
    return max(0, discount)


def spread(discount_minor: int, weights: Sequence[int]) -> list[int]:
    """`discount_minor` in parts by `weights` (each ≥ 0), by largest remainder; ties go to the earlier line.

    The parts sum to the whole and, as the whole is at most the sum of the weights, no part exceeds its weight. Without
    any weight there is nothing to spread over: all parts are 0.
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
