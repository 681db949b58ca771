"""`couponry explain`: every rule for a code, with its verdict and what it saw."""

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from cli.apps import AsJson, new_app
from cli.connect import ledger, run
from cli.executing import SOURCE, ForCustomer, codes_of, customer_of, lock_reference
from cli.files import open_input
from cli.order_files import read_order
from cli.output import money, say, show_json, show_table
from services.redeemer.handler import order_of
from shared.domain.commands import LockCoupons, RedeemCoupons
from shared.domain.customer import Customer
from shared.domain.explaining import Explanation
from shared.ledger import validation

app = new_app()


@app.command()
def explain(
    code: Annotated[str, typer.Argument(metavar="CODE")],
    *,
    order: Annotated[
        Path | None,
        typer.Option(
            "--order",
            metavar="FILE",
            help="The order: an order.placed event, or its data alone; - reads from a pipe.",
        ),
    ] = None,
    customer: ForCustomer = None,
    validation_code: Annotated[
        str | None, typer.Option("--validation-code", metavar="TEXT", help="The code's second secret.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every rule for a code: whether it holds for this order, now, and the numbers it saw. Changes nothing.

    Without an order only what needs none is judged. The order's own time counts, where it has one; its coupon codes
    don't. Exit code 1 when the code isn't good.

    Example: `couponry example order --code SAVE10 > order.json`, then `couponry explain SAVE10 --order order.json`
    """
    [asked] = codes_of([code])
    name, who = f"{SOURCE} {uuid4()}", customer_of(customer)
    command: LockCoupons | RedeemCoupons
    if order is None:
        command = LockCoupons(name, lock_reference(name), (asked,), 1, who, validation_code=validation_code)
    else:
        with open_input(order) as opened:
            data = read_order(opened)
        named = data.customer
        who = who or (None if named is None else Customer(named.customer_id, named.email, named.mobile, named.segments))
        command = RedeemCoupons(
            name, order_of(data), (asked,), who, at=data.placed_at,
            validation_code=validation_code or data.validation_code,
        )  # fmt: skip
    explanation = run(_explained(command))
    if as_json:
        show_json({"code": asked, "outcome": _outcome(explanation), "findings": explanation.findings})
    else:
        _show(explanation)
    if explanation.verdict.refused:
        raise typer.Exit(1)


async def _explained(command: LockCoupons | RedeemCoupons) -> Explanation:
    async with ledger() as pool:
        return await validation.explain(pool, command)


def _outcome(explanation: Explanation) -> str:
    refused = explanation.verdict.refused
    return refused[0].reason.value if refused else "good"


def _show(explanation: Explanation) -> None:
    asked = [one for one in explanation.findings if one.outcome != "not asked"]
    rows = [
        (one.field, one.outcome if one.reason is None else f"refused: {one.reason.value}", _seen(one.saw, one.message))
        for one in asked
    ]
    show_table(("rule", "verdict", "saw"), rows, whole=("rule", "verdict"))
    if others := [one.field for one in explanation.findings if one.outcome == "not asked"]:
        say(f"Not asked by its campaign: {', '.join(others)}.")
    verdict = explanation.verdict
    if verdict.refused:
        say(f"Refused ({verdict.refused[0].reason.value}): {verdict.refused[0].message}")
    elif verdict.accepted:
        off = money(verdict.discount_minor, verdict.currency)
        say(f"Good{f': {off} off' if off else ', as far as can be said without an order'}.")
    else:
        say("It stands redeemed for this order already; the order again changes nothing.")


def _seen(saw: tuple[tuple[str, str], ...], message: str) -> str:
    return ", ".join(f"{name}: {seen}" for name, seen in saw) or message
