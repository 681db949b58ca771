"""`couponry coupons`: show, validate, lock, burn, release, void, unvoid, extend, create, import."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from cli.apps import AsJson, CommandId, new_app, parse_end
from cli.connect import identity_rules, ledger, reading, run
from cli.coupon_history import show_history
from cli.coupon_making import create_coupons, import_coupons, open_output, read_codes
from cli.errors import CommandFailedError
from cli.executing import (
    SOURCE,
    Codes,
    ForCustomer,
    ForOrder,
    InCurrency,
    OfAmount,
    OfShop,
    WithLines,
    bound_key_of,
    codes_of,
    command_id,
    customer_of,
    execute,
    key_of,
    lock_named,
    order_of,
    show_verdict,
)
from cli.files import open_input
from cli.output import count, moment, say, show_json
from schemas.limits import MAX_TEXT_LENGTH
from shared.domain.model.commands import ChangeCoupon, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.ids import lock_reference, order_key
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.verdicts import Verdict
from shared.ledger import queries
from shared.ledger.validation import validate as judge

MAX_LOCK_SECONDS = 366 * 24 * 60 * 60
REFUSED_SHOWN = 5
MAX_CREATED = 10_000_000

Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why, for people: it is in the event and in the coupon's history."),
]
Seconds = Annotated[int, typer.Option(min=1, max=MAX_LOCK_SECONDS, help="How long the uses are held, in seconds.")]

app = new_app("Show, validate, lock, burn, release, void, extend and create coupons.")


@app.command()
def show(code: Annotated[str, typer.Argument(metavar="CODE")], as_json: AsJson = False) -> None:
    """Show a coupon and its whole history, including refusals.

    Example: `couponry coupons show WELCOME-7K2M-QX9D`
    """
    show_history(run(_history(code)), as_json)


async def _history(code: str) -> queries.CouponHistory:
    async with reading() as connection:
        history = await queries.coupon_history(connection, code)
    if history is None:
        raise CommandFailedError(
            f"There is no coupon {code!r}, and no request ever named that code. Check the spelling."
        )
    return history


@app.command()
def validate(
    codes: Codes,
    *,
    customer: ForCustomer = None,
    order: ForOrder = None,
    shop: OfShop = None,
    amount: OfAmount = None,
    currency: InCurrency = None,
    line: WithLines = None,
    as_json: AsJson = False,
) -> None:
    """Show what coupons would take off an order now. Changes nothing.

    Without an amount only the rules that need no order are checked. The exit code is 1 when no coupon is valid.

    Example: `couponry coupons validate SAVE10 --amount 125.00 --currency USD --customer customer_123`
    """
    key = bound_key_of(order, shop)
    judged_on = order_of(key or order_key(None, f"validate-{uuid4()}"), amount, currency, line)
    name, named = f"{SOURCE} {uuid4()}", customer_of(customer)
    command: LockCoupons | RedeemCoupons
    if judged_on is None:
        command = LockCoupons(name, lock_reference(name), codes_of(codes), lock_seconds=1, customer=named, order_id=key)
    else:
        command = RedeemCoupons(name, judged_on, codes_of(codes), named, channel="cli")
    headline = "Valid for this order:" if judged_on else "Valid, as far as this can be checked without an order:"
    # The order and the lock aren't stored, so they must not be printed as if they were.
    verdict = replace(run(_judged(command)), order_id=key, lock_reference=None, redemption_id=None, expires_at=None)
    show_verdict(verdict, headline, as_json=as_json)


async def _judged(command: LockCoupons | RedeemCoupons) -> Verdict:
    async with ledger() as pool:
        return await judge(pool, command, rules=identity_rules())


@app.command()
def lock(
    codes: Codes,
    *,
    customer: ForCustomer = None,
    order: ForOrder = None,
    shop: OfShop = None,
    seconds: Seconds = 900,
    amount: OfAmount = None,
    currency: InCurrency = None,
    line: WithLines = None,
    repeat: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Hold one use of each coupon for a while, all or nothing. Prints the lock's reference.

    Example: `couponry coupons lock SAVE10 --customer customer_123 --seconds 900`
    """
    short, name = command_id(repeat)
    reference = lock_reference(name)
    key = bound_key_of(order, shop)
    judged_on = order_of(key or order_key(None, reference), amount, currency, line)
    command = LockCoupons(
        name,
        reference,
        codes_of(codes),
        lock_seconds=seconds,
        customer=customer_of(customer),
        order=judged_on,
        order_id=key,
    )
    show_verdict(run(execute(command, short)), "Locked:", as_json=as_json, short_id=short)


@app.command()
def burn(
    reference: Annotated[str, typer.Argument(metavar="LOCK")],
    *,
    order: Annotated[str, typer.Option("--order", metavar="ID", help="The order that uses the held coupons.")],
    amount: Annotated[str, typer.Option("--amount", metavar="AMOUNT", help="What the order's goods cost: 125.00.")],
    currency: Annotated[str, typer.Option("--currency", metavar="CODE", help="The amount's currency: USD.")],
    shop: OfShop = None,
    customer: ForCustomer = None,
    line: WithLines = None,
    repeat: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Use the coupons that a lock holds, for an order, all or nothing.

    Example: `couponry coupons burn lock_0199f6a35c1e7b43 --order ORD457 --amount 125.00 --currency USD`
    """
    short, name = command_id(repeat)
    judged_on = order_of(key_of(order, shop), amount, currency, line)
    assert judged_on is not None  # noqa: S101 - an amount was given
    command = RedeemCoupons(
        name,
        judged_on,
        customer=customer_of(customer),
        lock_reference=lock_named(reference),
        atomic=True,
        channel="cli",
    )
    show_verdict(run(execute(command, short)), "Redeemed:", as_json=as_json, short_id=short)


@app.command()
def release(
    reference: Annotated[str, typer.Argument(metavar="LOCK")], repeat: CommandId = None, as_json: AsJson = False
) -> None:
    """Release a lock: the uses that it held are available again.

    Example: `couponry coupons release lock_0199f6a35c1e7b43`
    """
    short, name = command_id(repeat)
    verdict = run(execute(ReleaseLock(name, lock_named(reference)), short))
    headline = "Nothing to do: the lock was released before." if verdict.outcome == "unchanged" else "Released:"
    show_verdict(verdict, headline, as_json=as_json, short_id=short)


@app.command()
def void(
    code: Annotated[str, typer.Argument(metavar="CODE")], repeat: CommandId = None, as_json: AsJson = False
) -> None:
    """Take a coupon out of use. What was redeemed stays redeemed.

    Example: `couponry coupons void SAVE10-7K2M-QX9D`
    """
    short, name = command_id(repeat)
    verdict = run(execute(VoidCoupon(name, code), short))
    headline = "Nothing to do: the coupon was voided before." if verdict.outcome == "unchanged" else "Voided:"
    show_verdict(verdict, headline, as_json=as_json, short_id=short)


@app.command()
def unvoid(
    code: Annotated[str, typer.Argument(metavar="CODE")],
    *,
    reason: Reason = None,
    repeat: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Undo a void: the coupon can be used again, or waits in its pool again.

    Example: `couponry coupons unvoid SAVE10-7K2M-QX9D --reason "voided by mistake"`
    """
    short, name = command_id(repeat)
    verdict = run(execute(ChangeCoupon(name, code, status="active", reason=_checked(reason)), short))
    show_verdict(verdict, "Can be used again:", as_json=as_json, short_id=short)


@app.command()
def extend(
    code: Annotated[str, typer.Argument(metavar="CODE")],
    *,
    ends_at: Annotated[
        str,
        typer.Option(
            "--ends-at",
            metavar="WHEN",
            help="The new end: 2027-01-22, 2027-01-22T09:30:00Z, or never for no end of its own.",
        ),
    ],
    reason: Reason = None,
    repeat: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Move the coupon's own end, to a later or an earlier time in the future. Its campaign's end stays as it is.

    Example: `couponry coupons extend SAVE10-7K2M-QX9D --ends-at 2027-01-22`
    """
    short, name = command_id(repeat)
    end = parse_end(ends_at)
    verdict = run(execute(ChangeCoupon(name, code, moves_end=True, ends_at=end, reason=_checked(reason)), short))
    headline = (
        "Has no end of its own now:" if end is None else f"Ends {moment(end)} UTC, unless its campaign ends earlier:"
    )
    show_verdict(verdict, headline, as_json=as_json, short_id=short)


def _checked(reason: str | None) -> str | None:
    """Return the reason. Raises BadParameter if it can't be stored."""
    if reason is None or not reason.strip():
        return None
    if len(reason) > MAX_TEXT_LENGTH:
        raise typer.BadParameter(f"--reason has {len(reason):,} characters; at most {MAX_TEXT_LENGTH:,} are allowed.")
    if not reason.isprintable():
        raise typer.BadParameter(
            "--reason has a character that can't be shown; remove line breaks and control characters."
        )
    return reason


@app.command()
def create(
    campaign_id: Annotated[str, typer.Argument(metavar="CAMPAIGN")],
    *,
    number: Annotated[int, typer.Option("--count", min=1, max=MAX_CREATED, help="The number of coupons.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write the codes to this file.")
    ] = None,
    repeat: CommandId = None,
) -> None:
    """Create coupons without a holder, to print or to hand out. Prints their codes, one per line.

    They are created in batches of a thousand, each batch completely or not at all. The same `--id` again prints the
    same codes and creates the missing ones.

    Example: `couponry coupons create flyer --count 10000 --output codes.txt`
    """
    short, _ = command_id(repeat)
    typer.echo(f"To continue after an interruption, or to print the same codes again: --id {short}", err=True)
    with open_output(output) as opened:
        run(create_coupons(campaign_id, number, short, opened))


@app.command("import")
def import_file(
    campaign_id: Annotated[str, typer.Argument(metavar="CAMPAIGN")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="One code per line, or CSV with a column 'code'; .gz too; - reads from a pipe."
        ),
    ],
    column: Annotated[
        str | None,
        typer.Option("--column", metavar="NAME", help="The column that holds the codes: its name, or its number."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add existing codes to a campaign: to its pool or, if its codes are generated, as coupons ready to use.

    Importing the same file twice adds its codes once.

    Example: `couponry coupons import partner-codes codes.txt`
    """
    with open_input(file) as opened:
        codes = read_codes(opened, column)
    added, refused = run(import_coupons(campaign_id, codes, command_id(None)[0]))
    if as_json:
        show_json({"campaign_id": campaign_id, "added": added, "already_there": refused})
        return
    say(f"{count(added, 'code')} added to {campaign_id}.")
    if refused:
        some = ", ".join(refused[:REFUSED_SHOWN]) + (", …" if len(refused) > REFUSED_SHOWN else "")
        say(f"{count(len(refused), 'code')} left out, because they exist already: {some}")
