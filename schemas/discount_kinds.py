"""The fields of each discount kind, one row each: what campaign files may and must say.

What a kind does: `shared.domain.offers.kinds`. To add a kind: docs/extending.md.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from schemas.common import DiscountKind

ValueType = Literal["percent", "amount", "units", "none", "any"]
"""The meaning of a discount's `value`. `none`: it must be left out. `any`: a number that Couponry passes on."""


class KindFields(NamedTuple):
    """The fields of one kind: `needed` must be given, `allowed` are those that other kinds don't have.

    `default` is the value of a campaign that leaves it out, as events show it. `text` describes the discount to people,
    with the fields `value`, `currency` and `product_id`.
    """

    value: ValueType
    text: str
    needed: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()
    default: str = "0"


KIND_FIELDS: Final[Mapping[DiscountKind, KindFields]] = {
    "percentage": KindFields("percent", "{value} %", needed=("value",)),
    "fixed": KindFields("amount", "{value} {currency}", needed=("value",), allowed=frozenset({"per_unit"})),
    "fixed_rate": KindFields(
        "amount", "{value} {currency}", needed=("value", "currency"), allowed=frozenset({"per_unit"})
    ),
    "free_shipping": KindFields("none", "free shipping", default="100"),
    "free_product": KindFields(
        "units",
        "{value} of product {product_id} free",
        needed=("product_id",),
        allowed=frozenset({"product_id"}),
        default="1",
    ),
    "custom": KindFields("any", "custom, value {value}", allowed=frozenset({"payload"})),
}

SPECIAL_FIELDS: Final = tuple(dict.fromkeys(field for row in KIND_FIELDS.values() for field in sorted(row.allowed)))
"""Fields that only some kinds have, in the order of the rows."""
