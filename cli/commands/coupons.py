"""`couponry coupons`: show, validate, lock, burn, release, void, create, import."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from cli.apps import AsJson, CommandId, new_app
from cli.connect import ledger, reading, run
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
    WithLines,
    codes_of,
    command_id,
    customer_of,
    execute,
    order_of,
    show_verdict,
)
from cli.files import open_input
from cli.output import count, say, show_json
from shared.domain.model.commands import LockCoupons, RedeemCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.ids import lock_reference
from shared.domain.model.verdicts import Verdict
from shared.ledger import queries
from shared.ledger.validation import validate as judge

LONGEST_LOCK_SECONDS = 366 * 24 * 60 * 60
REFUSED_SHOWN = 5
MOST_CREATED = 10_000_000

Seconds = Annotated[int, typer.Option(min=1, max=LONGEST_LOCK_SECONDS, help="How long the uses are held.")]

app = new_app("Look at, judge, lock, burn, release, void, make coupons.")


@app.command()
def show(code: Annotated[str, typer.Argument(metavar="CODE")], as_json: AsJson = False) -> None:
    """Show a coupon and everything that ever happened to it, refusals included.

    Example: `couponry coupons show WELCOME-7K2M-QX9D`
    """
    show_history(run(_history(code)), as_json)


async def _history(code: str) -> queries.CouponHistory:
    async with reading() as connection:
        history = await queries.coupon_history(connection, code)
    if history is None:
        raise CommandFailedError(
            f"There is no coupon {code!r}, and nobody ever tried that code; check how it is written."
        )
    return history


@app.command()
def validate(
    codes: Codes,
    *,
    customer: ForCustomer = None,
    order: ForOrder = None,
    amount: OfAmount = None,
    currency: InCurrency = None,
    line: WithLines = None,
    as_json: AsJson = False,
) -> None:
    """Judge coupons and change nothing: what would they take off this order, now?

    Without an amount only what needs no order is judged. Exit code 1 when none of them is good.

    Example: `couponry coupons validate SAVE10 --amount 125.00 --currency USD --customer customer_123`
    """
    order_id = order or f"validate-{uuid4()}"
    judged_on = order_of(order_id, amount, currency, line)
    name, who = f"{SOURCE} {uuid4()}", customer_of(customer)
    command: LockCoupons | RedeemCoupons
    if judged_on is None:
        command = LockCoupons(name, lock_reference(name), codes_of(codes), 1, who, None, order)
    else:
        command = RedeemCoupons(name, judged_on, codes_of(codes), who, channel="cli")
    headline = "Good for this order:" if judged_on else "Good, as far as can be said without an order:"
    # The order and the lock exist nowhere: nothing may look as if there were one.
    verdict = replace(run(_judged(command)), order_id=order, lock_reference=None, redemption_id=None, expires_at=None)
    show_verdict(verdict, headline, as_json=as_json)


async def _judged(command: LockCoupons | RedeemCoupons) -> Verdict:
    async with ledger() as pool:
        return await judge(pool, command)


@app.command()
def lock(
    codes: Codes,
    *,
    customer: ForCustomer = None,
    order: ForOrder = None,
    seconds: Seconds = 900,
    amount: OfAmount = None,
    currency: InCurrency = None,
    line: WithLines = None,
    repeat: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Hold one use of each coupon for a while, all or nothing; prints the lock's reference.

    Example: `couponry coupons lock SAVE10 --customer customer_123 --seconds 900`
    """
    short, name = command_id(repeat)
    reference = lock_reference(name)
    judged_on = order_of(order or reference, amount, currency, line)
    command = LockCoupons(name, reference, codes_of(codes), seconds, customer_of(customer), judged_on, order)
    show_verdict(run(execute(command, short)), "Locked:", as_json=as_json, short_id=short)


@app.command()
def burn(
    reference: Annotated[str, typer.Argument(metavar="LOCK")],
    *,
    order: Annotated[str, typer.Option("--order", metavar="ID", help="The order that uses what the lock holds.")],
    amount: Annotated[str, typer.Option("--amount", metavar="AMOUNT", help="What the order's goods cost: 125.00.")],
    currency: Annotated[str, typer.Option("--currency", metavar="CODE", help="The amount's currency: USD.")],
    customer: ForCustomer = None,
    line: WithLines = None,
    repeat: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Use what a lock holds on an order, all or nothing.

    Example: `couponry coupons burn lock_0199f6a35c1e7b43 --order ORD457 --amount 125.00 --currency USD`
    """
    short, name = command_id(repeat)
    judged_on = order_of(order, amount, currency, line)
    assert judged_on is not None  # noqa: S101 - an amount was given
    command = RedeemCoupons(
        name, judged_on, customer=customer_of(customer), lock_reference=reference, atomic=True, channel="cli"
    )
    show_verdict(run(execute(command, short)), "Redeemed:", as_json=as_json, short_id=short)


@app.command()
def release(
    reference: Annotated[str, typer.Argument(metavar="LOCK")], repeat: CommandId = None, as_json: AsJson = False
) -> None:
    """Let a lock go: what it held can be used again.

    Example: `couponry coupons release lock_0199f6a35c1e7b43`
    """
    short, name = command_id(repeat)
    verdict = run(execute(ReleaseLock(name, reference), short))
    headline = "Nothing to do: it was let go before." if verdict.outcome == "unchanged" else "Let go:"
    show_verdict(verdict, headline, as_json=as_json, short_id=short)


@app.command()
def void(
    code: Annotated[str, typer.Argument(metavar="CODE")], repeat: CommandId = None, as_json: AsJson = False
) -> None:
    """Take a coupon out of use, for good. What was redeemed stays redeemed.

    Example: `couponry coupons void SAVE10-7K2M-QX9D`
    """
    short, name = command_id(repeat)
    verdict = run(execute(VoidCoupon(name, code), short))
    headline = "Nothing to do: it was voided before." if verdict.outcome == "unchanged" else "Voided:"
    show_verdict(verdict, headline, as_json=as_json, short_id=short)


@app.command()
def create(
    campaign_id: Annotated[str, typer.Argument(metavar="CAMPAIGN")],
    *,
    number: Annotated[int, typer.Option("--count", min=1, max=MOST_CREATED, help="How many coupons.")],
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write the codes there.")] = None,
    repeat: CommandId = None,
) -> None:
    """Make coupons that are nobody's yet, to print or to hand out; prints their codes, one a line.

    They are made a thousand at a time, each thousand whole or not at all. The same `--id` again prints the same codes,
    and makes those that are missing.

    Example: `couponry coupons create flyer --count 10000 --output codes.txt`
    """
    short, _ = command_id(repeat)
    typer.echo(f"To go on after an interruption, and to see the same codes again: --id {short}", err=True)
    with open_output(output) as opened:
        run(create_coupons(campaign_id, number, short, opened))


@app.command("import")
def import_file(
    campaign_id: Annotated[str, typer.Argument(metavar="CAMPAIGN")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="One code a line, or CSV with a column 'code'; .gz too; - reads from a pipe."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Add codes that exist to a campaign: to its pool, or, where codes are generated, as coupons to be used at once.

    The same file twice adds them once.

    Example: `couponry coupons import partner-codes codes.txt`
    """
    with open_input(file) as opened:
        codes = read_codes(opened)
    added, refused = run(import_coupons(campaign_id, codes, command_id(None)[0]))
    if as_json:
        show_json({"campaign_id": campaign_id, "added": added, "already_there": refused})
        return
    say(f"{count(added, 'code')} added to {campaign_id}.")
    if refused:
        some = ", ".join(refused[:REFUSED_SHOWN]) + (", …" if len(refused) > REFUSED_SHOWN else "")
        say(f"{count(len(refused), 'code')} left out, as they exist already: {some}")
