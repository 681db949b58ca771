"""Quantities with decimals, and prices that are not a whole number of minor units: exact, and rounded once per line.

Both are rare, so the usual ones stay integers: `2.0` is 2, and `5.00` USD is 500. Others are Decimals, never floats.
"""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

from shared.domain.model.money import MoneyError, decimals, parse_minor

Quantity = int | Decimal
"""A number of units, or a weight, length or time with at most three decimals."""

UnitPrice = int | Decimal
"""The price of one unit in minor units; negative for a rebate."""

MAX_DECIMALS: Final = 3
"""Decimals of a quantity: grams of a kilogram."""

MAX_PRICE_DECIMALS: Final = 6
"""Decimals of a price of one unit, in major units."""

_QUANTITY: Final = re.compile(r"[0-9]{1,18}(?:\.([0-9]{1,18}))?", re.ASCII)
_PRICE: Final = re.compile(r"-?[0-9]{1,18}(?:\.([0-9]{1,18}))?", re.ASCII)


def parse_quantity(text: str, largest: int) -> Quantity:
    """Return a quantity ("2", "2.0", "0.395"), an int if it is whole. Raises MoneyError, with a sentence.

    It must be more than 0 and at most `largest`.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise MoneyError(f'The quantity {text[:40]!r} is malformed: write digits and at most one point, like "0.395".')
    if len((match[1] or "").rstrip("0")) > MAX_DECIMALS:
        raise MoneyError(f"The quantity {text!r} has more than {MAX_DECIMALS} decimals: round it before you send it.")
    quantity = Decimal(text)
    if not 0 < quantity <= largest:
        raise MoneyError(f"The quantity {text!r} is not valid: give more than 0 and at most {largest:,}.")
    return _whole_or_exact(quantity)


def parse_unit_price(price: str, currency: str) -> UnitPrice:
    """Return the price of one unit in minor units of `currency`, an int if it is whole. Raises MoneyError."""
    match = _PRICE.fullmatch(price)
    if match is None or len((match[1] or "").rstrip("0")) <= decimals(currency):
        return -parse_minor(price[1:], currency) if price.startswith("-") else parse_minor(price, currency)
    if len(match[1].rstrip("0")) > MAX_PRICE_DECIMALS:
        raise MoneyError(
            f"The price {price!r} has more than {MAX_PRICE_DECIMALS} decimals: round it before you send it."
        )
    parse_minor(price.lstrip("-").partition(".")[0], currency)  # refuses too many digits
    return _whole_or_exact(Decimal(price).scaleb(decimals(currency)))


def amount_of(quantity: Quantity, unit_minor: UnitPrice) -> int:
    """Return the amount of a line in minor units, rounded once: half up, and a rebate by as much."""
    if isinstance(quantity, int) and isinstance(unit_minor, int):
        return quantity * unit_minor
    exact = Fraction(quantity) * Fraction(unit_minor)
    rounded = int(abs(exact) + Fraction(1, 2))
    return rounded if exact >= 0 else -rounded


def read_number(recorded: int | str) -> int | Decimal:
    """Return a number as it was recorded in JSON: an int, or a Decimal as a string."""
    return Decimal(recorded) if isinstance(recorded, str) else recorded


def _whole_or_exact(number: Decimal) -> int | Decimal:
    return int(number) if number == number.to_integral_value() else number.normalize()
