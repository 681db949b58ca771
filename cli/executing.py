"""Execute commands from the command line: parse their options, run them, print their verdicts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Final
from uuid import uuid4

import orjson
import typer

from cli.connect import identity_rules, ledger
from cli.errors import CommandFailedError, DatabaseUnavailableError, UsageProblemError
from cli.output import moment, money, say, show_facts, show_json, show_table
from schemas.limits import (
    CONTROL_CHARACTERS,
    MAX_CODES,
    MAX_ID_LENGTH,
    MAX_QUANTITY,
    MAX_TEXT_LENGTH,
    identifier_problem,
)
from shared.domain.model.commands import Command
from shared.domain.model.customer import NO_RULES, Customer, e164, email_address
from shared.domain.model.ids import OrderKey, order_key, order_names, readable
from shared.domain.model.money import naming, parse_minor
from shared.domain.model.order import Line, Order, check_amounts, exact_line
from shared.domain.model.quantity import parse_quantity, parse_unit_price
from shared.domain.model.verdicts import Verdict
from shared.ledger.engine import Engine, LedgerUnavailableError, Rejected
from shared.ledger.journal import encode_verdict

SOURCE: Final = "/couponry/cli"
MAX_COMMAND_ID_LENGTH: Final = 200

Codes = Annotated[list[str], typer.Argument(metavar="CODE")]
ForCustomer = Annotated[
    str | None,
    typer.Option("--customer", metavar="WHO", help="An id, an email address, or a +phone number (id:… means an id)."),
]
ForOrder = Annotated[str | None, typer.Option("--order", metavar="ID", help="The order that the coupons are for.")]
OfShop = Annotated[
    str | None, typer.Option("--shop", metavar="ID", help="The shop that the order belongs to, if orders name one.")
]
OfAmount = Annotated[
    str | None, typer.Option("--amount", metavar="AMOUNT", help="What the order's goods cost: 125.00.")
]
InCurrency = Annotated[str | None, typer.Option("--currency", metavar="CODE", help="The amount's currency: USD.")]
WithLines = Annotated[
    list[str] | None,
    typer.Option("--line", metavar="PRODUCT:QUANTITY:PRICE", help="A line of the order; repeatable."),
]


def command_id(chosen: str | None) -> tuple[str, str]:
    """Return (the id for `--id`, the command id for the engine): the chosen id, else a new one."""
    short = str(uuid4()) if chosen is None else chosen.strip()
    if not short or len(short) > MAX_COMMAND_ID_LENGTH or not short.isprintable():
        raise UsageProblemError(f"--id must be a string of 1 to {MAX_COMMAND_ID_LENGTH} characters.")
    return short, f"{SOURCE} {short}"


def customer_of(text: str | None) -> Customer | None:
    """Return the customer that a string on the command line names, None for None. Raises UsageProblemError."""
    if text is None:
        return None
    kind, separator, value = text.strip().partition(":")
    if separator and kind in ("id", "email", "mobile"):
        text = value
    else:
        kind = "email" if "@" in text else "mobile" if text.startswith("+") else "id"
    check_identifier(text)
    if kind == "email" and email_address(text, NO_RULES) is None:
        raise UsageProblemError(f"{text!r} is not an email address; write id:{text.strip()} if it is a customer id.")
    if kind == "mobile" and e164(text) is None:
        raise UsageProblemError(f"{text!r} is not a phone number; write it with its country code, like +4930123456.")
    return Customer(
        customer_id=text.strip() if kind == "id" else None,
        email=text.strip() if kind == "email" else None,
        mobile=text.strip() if kind == "mobile" else None,
    )


def check_identifier(text: str) -> None:
    """Check the length and the characters of an identifier. Raises UsageProblemError."""
    if not text.strip() or len(text) > MAX_ID_LENGTH:
        raise UsageProblemError(f"A customer's identifier must have 1 to {MAX_ID_LENGTH} characters.")
    if CONTROL_CHARACTERS.search(text.strip()):
        raise UsageProblemError("A customer's identifier must have no control characters.")


def checked_text(option: str, text: str | None) -> str | None:
    """Return a free text without blanks around it, None for a blank one. Raises UsageProblemError."""
    if text is None or not text.strip():
        return None
    if len(text) > MAX_TEXT_LENGTH:
        raise UsageProblemError(f"{option} has {len(text):,} characters; at most {MAX_TEXT_LENGTH:,} are allowed.")
    if not text.isprintable():
        raise UsageProblemError(
            f"{option} has a character that can't be shown; remove line breaks and control characters."
        )
    return text.strip()


def code_of(code: str) -> str:
    """Return the code for a command. Raises UsageProblemError."""
    return codes_of([code])[0]


def codes_of(codes: Sequence[str]) -> tuple[str, ...]:
    """Return the codes for a command. Raises UsageProblemError."""
    if len(codes) > MAX_CODES:
        raise UsageProblemError(f"At most {MAX_CODES} codes at a time, not {len(codes)}.")
    if any(not code.strip() or len(code) > MAX_ID_LENGTH for code in codes):
        raise UsageProblemError(f"A code must have 1 to {MAX_ID_LENGTH} characters.")
    if any(CONTROL_CHARACTERS.search("".join(code.split())) for code in codes):
        raise UsageProblemError("A code must have no control characters.")
    return tuple(codes)


def key_of(order_id: str, shop_id: str | None) -> OrderKey:
    """Return the key of the order that `--order` and `--shop` name. Raises UsageProblemError."""
    if problem := identifier_problem(order_id):
        raise UsageProblemError(f"The order's id {problem}.")
    if shop_id and (problem := identifier_problem(shop_id)):
        raise UsageProblemError(f"The shop's id {problem}.")
    return order_key(shop_id, order_id)


def bound_key_of(order_id: str | None, shop_id: str | None) -> OrderKey | None:
    """Return the key of the order, or None without `--order`. Raises UsageProblemError."""
    if order_id is not None:
        return key_of(order_id, shop_id)
    if shop_id:
        raise UsageProblemError("--shop alone has no effect; give --order with it.")
    return None


def lock_named(reference: str) -> str:
    """Return the reference of the lock that the command line names. Raises UsageProblemError."""
    if problem := identifier_problem(reference):
        raise UsageProblemError(f"The lock's reference {problem}.")
    return reference


def order_of(key: OrderKey, amount: str | None, currency: str | None, lines: Sequence[str] | None) -> Order | None:
    """Return the order that the options describe; None if they give neither amount nor lines.

    Raises UsageProblemError, and MoneyError for an amount that is not valid in its currency.
    """
    if amount is None and not lines:
        if currency is not None:
            raise UsageProblemError("--currency alone has no effect; give --amount or --line with it.")
        return None
    if currency is None:
        raise UsageProblemError("An amount needs a currency: give --currency, for example --currency USD.")
    made = tuple(_line(number, text, currency) for number, text in enumerate(lines or (), start=1))
    total = sum(line.amount_minor for line in made) if amount is None else parse_minor(amount, currency)
    return check_amounts(Order(order_id=key, currency=currency, amount_minor=total, lines=made))


def _line(number: int, text: str, currency: str) -> Line:
    product, _, quantity = text.rpartition(":")[0].rpartition(":")
    price = text.rpartition(":")[2]
    if not product or not quantity:
        raise UsageProblemError(
            f"--line {text!r} is not valid; write it as PRODUCT:QUANTITY:PRICE, like 510509:2:50.00."
        )
    if problem := identifier_problem(product):
        raise UsageProblemError(f"The product of --line {number} {problem}.")
    with naming(f"--line {text!r}"):
        units, unit_minor, exact = exact_line(parse_quantity(quantity, MAX_QUANTITY), parse_unit_price(price, currency))
    return Line(line_id=str(number), product_id=product, quantity=units, unit_minor=unit_minor, exact=exact)


async def execute(command: Command, short_id: str) -> Verdict:
    """Execute `command` and return its verdict. Raises CommandFailedError, which says how to repeat it safely."""
    with hint_to_repeat(short_id):
        async with ledger() as pool:
            [result] = await Engine(pool, identity_rules()).execute([command])
    if isinstance(result, Rejected):
        raise CommandFailedError(result.text)
    return result


@contextmanager
def hint_to_repeat(short_id: str) -> Iterator[None]:
    """Add to a lost database connection's message how to repeat the command without doing it twice."""
    try:
        yield
    except (DatabaseUnavailableError, LedgerUnavailableError) as error:
        raise CommandFailedError(
            f"{error} To make sure that it is done exactly once, run it with --id {short_id}"
        ) from error


def show_verdict(verdict: Verdict, headline: str, *, as_json: bool, short_id: str | None = None) -> None:
    """Print a verdict; a refusal ends the command with exit code 1."""
    if as_json:
        reference = None if verdict.lock_reference is None else readable(verdict.lock_reference)
        document = orjson.loads(encode_verdict(verdict)) | order_names(verdict.order_id)
        show_json({"id": short_id, **document, "lock_reference": reference})
    else:
        _show_accepted(verdict, headline, short_id)
        _show_refused(verdict)
    if verdict.outcome == "refused" or (verdict.refused and not verdict.accepted):
        raise typer.Exit(1)


def _show_accepted(verdict: Verdict, headline: str, short_id: str | None) -> None:
    if verdict.outcome != "refused":
        say(headline)
    if verdict.accepted:
        has_discount = verdict.currency is not None and any(coupon.discount_minor for coupon in verdict.accepted)
        rows = [
            (coupon.code or "(no code)", coupon.campaign_id, money(coupon.discount_minor, verdict.currency))
            for coupon in verdict.accepted
        ]
        columns = ("code", "campaign", "discount") if has_discount else ("code", "campaign")
        show_table(columns, [row[: len(columns)] for row in rows], right=("discount",))
    if verdict.outcome != "refused":
        names = order_names(verdict.order_id)
        show_facts(
            [
                ("lock", verdict.lock_reference and readable(verdict.lock_reference)),
                (
                    "until",
                    f"{moment(verdict.expires_at)} UTC" if verdict.outcome == "locked" and verdict.expires_at else None,
                ),
                ("order", names["order_id"]),
                ("shop", names["shop_id"]),
                ("redemption", verdict.redemption_id),
                ("repeat with", f"--id {short_id}" if short_id is not None else None),
            ]
        )


def _show_refused(verdict: Verdict) -> None:
    for refused in verdict.refused:
        say(f"Refused ({refused.reason}): {refused.message}")
