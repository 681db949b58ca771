"""Money is an exact decimal string on the wire and an integer of minor units inside. Never a float.

The number of decimals is the currency's minor unit in ISO 4217 (list one, maintained by SIX for ISO,
<https://www.six-group.com/en/products-services/financial-information/data-standards.html>, read 2026). Codes without a
minor unit (gold, testing, drawing rights) are not used for prices and are left out; recently withdrawn currencies stay,
for older orders.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

_TWO_DECIMALS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO
NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS
TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_DECIMALS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_MAX_DIGITS = 18
"""The ledger's columns are 64 bits wide: eighteen digits always fit."""

MAX_MINOR = 10**_MAX_DIGITS - 1
"""The largest amount, in minor units."""


class MoneyError(ValueError):
    """An invalid amount, quantity or currency. The text is one sentence that says what to do.

    `field` is the place in the order ("lines[3].unit_price"); "" if it isn't known yet.
    """

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(f"{field}: {sentence}" if field else sentence)
        self.sentence = sentence
        self.field = field


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Name `field` in a MoneyError that is raised inside."""
    try:
        yield
    except MoneyError as error:
        raise MoneyError(error.sentence, error.field or field) from None


def decimals(currency: str) -> int:
    """Return the number of decimals of `currency` (ISO 4217, upper case). Raises MoneyError for an unknown one."""
    places = _DECIMALS.get(currency)
    if places is None:
        sentence = f"Unknown currency {currency!r}: give a three-letter ISO 4217 code in upper case, like USD."
        raise MoneyError(sentence, "currency")
    return places


def parse_minor(amount: str, currency: str) -> int:
    """Return `amount` ("125.00", "125") in minor units of `currency`. Raises MoneyError if it isn't exact."""
    whole, _, fraction = amount.partition(".")
    # The usual form of an amount. Everything else takes the slow path, which also makes the error messages.
    if len(fraction) == _DECIMALS.get(currency) and whole.isdecimal() and fraction.isdecimal() and amount.isascii():
        digits = whole + fraction
        if len(digits) <= _MAX_DIGITS:
            return int(digits)
    return _parse_slowly(amount, currency)


def _parse_slowly(amount: str, currency: str) -> int:
    places = decimals(currency)
    whole, dot, fraction = amount.partition(".")
    digits = whole + fraction
    if amount.startswith("-"):
        raise MoneyError(f"The amount {amount!r} is negative: give zero or more.")
    if not whole or (dot and not fraction) or not (digits.isascii() and digits.isdigit()):
        raise MoneyError(f'The amount {amount!r} is malformed: write digits and at most one point, like "125.00".')
    fraction = fraction.rstrip("0") if len(fraction) > places else fraction  # 12.5000 is 12.50
    digits = whole + fraction
    if len(fraction) > places:
        raise MoneyError(
            f"The amount {amount!r} has {len(fraction)} decimals, but {currency} has {places}: "
            "round it before you send it."
        )
    if len(digits) + places - len(fraction) > _MAX_DIGITS:
        raise MoneyError(f"The amount {amount!r} is too large: at most {_MAX_DIGITS} digits, decimals included.")
    power: int = 10 ** (places - len(fraction))
    return int(digits) * power


@lru_cache(maxsize=8192)
def format_minor(minor: int, currency: str) -> str:
    """Return `minor` as an exact decimal string with the number of decimals of `currency`."""
    places = decimals(currency)
    sign, digits = ("-", str(-minor)) if minor < 0 else ("", str(minor))
    if places == 0:
        return sign + digits
    digits = digits.rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def format_for_message(minor: int, currency: str | None) -> str:
    """Return `minor` for a message: like `format_minor`, but an unknown currency shows minor units and never raises."""
    return format_minor(minor, currency) if currency in _DECIMALS else str(minor)


def half_up(numerator: int, denominator: int) -> int:
    """Return the quotient, rounded to the nearest integer; halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
