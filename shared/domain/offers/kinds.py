"""The discount kinds, one row each: what a kind takes its discount from, how much, and its benefit in addition.

To add a kind, add its row here and one in `schemas/discount_kinds.py`: see docs/extending.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.model.campaign import Campaign, DiscountKind, DiscountOffer
from shared.domain.model.verdicts import Benefit

Amount = Callable[[DiscountOffer, int, int], int]
"""(discount, base, fixed amount) → what the discount takes off `base` at most, in minor units. Limits come later."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One discount kind.

    `takes_from`: the lines that the campaign's scope allows, the units of the campaign's product, the shipping, or
    nothing. `has_effect_without_discount`: the coupon has an effect even if it has no discount. `in_currency`: the
    discount's value is an amount of the campaign's currency. `benefit` builds what events show in addition to the
    discount, from the discount and the part taken off the shipping. `no_effect` replaces the usual text of the refusal
    `no_effect`; the argument says whether the order has shipping.
    """

    takes_from: Literal["scope", "product", "shipping", "nothing"]
    amount: Amount
    has_effect_without_discount: bool = False
    in_currency: bool = False
    benefit: Callable[[DiscountOffer, int], Benefit] | None = None
    no_effect: Callable[[bool], str] | None = None


def _percentage(discount: DiscountOffer, base_minor: int, fixed_minor: int) -> int:
    """Return the exact percentage, rounded once, half up."""
    hundred = 100 * discount.percent_denominator
    return (2 * base_minor * discount.percent_numerator + hundred) // (2 * hundred)


def _fixed(discount: DiscountOffer, base_minor: int, fixed_minor: int) -> int:
    return fixed_minor


def _all(discount: DiscountOffer, base_minor: int, fixed_minor: int) -> int:
    return base_minor


def _nothing(discount: DiscountOffer, base_minor: int, fixed_minor: int) -> int:
    return 0


def _benefit(discount: DiscountOffer, shipping_minor: int) -> Benefit:
    return Benefit(shipping_minor, discount.product_id, discount.units, discount.payload)


def _no_shipping_left(has_shipping: bool) -> str:
    what = "nothing is left of the order's shipping" if has_shipping else "the order states no cost of shipping"
    return f"takes the shipping off, and {what}"


KINDS: Final[Mapping[DiscountKind | str, Kind]] = {
    "percentage": Kind("scope", _percentage),
    "fixed": Kind("scope", _fixed, in_currency=True),
    "fixed_rate": Kind("scope", _fixed, in_currency=True),
    "free_shipping": Kind("shipping", _all, benefit=_benefit, no_effect=_no_shipping_left),
    "free_product": Kind("product", _all, has_effect_without_discount=True, benefit=_benefit),
    "custom": Kind("nothing", _nothing, has_effect_without_discount=True, benefit=_benefit),
}
"""Kind by its name in campaign files. If the campaign of a coupon no longer exists, its kind is "" and in no row."""


def max_units_of(campaign: Campaign) -> int | None:
    """Return how many units of an order the campaign's discount takes at most; None: it isn't limited to some units."""
    if KINDS[campaign.discount.kind].takes_from == "product":
        return campaign.discount.units
    return campaign.scope.max_units


def amount_off(discount: DiscountOffer, base_minor: int, fixed_minor: int) -> int:
    """Return what `discount` takes off `base_minor`, in minor units: 0 ≤ result ≤ max(base, 0).

    `fixed_minor` is the amount of a fixed discount in the order's currency; other kinds ignore it.
    """
    if base_minor <= 0:
        return 0
    amount = KINDS[discount.kind].amount(discount, base_minor, fixed_minor)
    if discount.max_discount_minor is not None and amount > discount.max_discount_minor:
        amount = discount.max_discount_minor
    if amount > base_minor:
        return base_minor
    return max(0, amount)
