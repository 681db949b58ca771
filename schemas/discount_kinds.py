"""The fields of each discount kind, one row each: what campaign files may and must say.

What a kind does: `shared.domain.offers.kinds`. To add a kind: docs/extending.md.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from schemas.common import DiscountKind

ValueType = Literal["percent", "amount", "units", "none", "any"]
"""What a discount's `value` is. `none`: it must be left out. `any`: a number that Couponry hands on."""


class KindFields(NamedTuple):
    """The fields of one kind: `needed` must be given, `allowed` are those that other kinds don't have.

    `default` is the value of a campaign that leaves it out, as events show it.
    """

    value: ValueType
    needed: tuple[str, ...] = ()
    allowed: frozenset[str] = frozenset()
    default: str = "0"


KIND_FIELDS: Final[Mapping[DiscountKind, KindFields]] = {
    "percentage": KindFields("percent", ("value",)),
    "fixed": KindFields("amount", ("value",), frozenset({"per_unit"})),
    "fixed_rate": KindFields("amount", ("value", "currency"), frozenset({"per_unit"})),
    "free_shipping": KindFields("none", default="100"),
    "free_product": KindFields("units", ("product_id",), frozenset({"product_id"}), default="1"),
    "custom": KindFields("any", (), frozenset({"payload"})),
}

SPECIAL_FIELDS: Final = tuple(dict.fromkeys(field for row in KIND_FIELDS.values() for field in sorted(row.allowed)))
"""Fields that only some kinds have, in the order of the rows."""
