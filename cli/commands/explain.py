"""`couponry explain`: every rule for a code, with its verdict and what it saw."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from cli.apps import AsJson, new_app
from cli.connect import ledger, run
from cli.executing import SOURCE, ForCustomer, codes_of, customer_of
from cli.files import open_input
from cli.order_files import read_order
from cli.output import money, say, show_json, show_table
from shared.domain.explain import Explanation, Finding
from shared.domain.model.commands import LockCoupons, RedeemCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.ids import lock_reference
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

    Without an order only what needs none is judged. The order's own time counts, where it has one; the codes and the
    lock that it names don't. Exit code 1 when the code isn't good.

    Example: `couponry example order --code SAVE10 > order.json`, then `couponry explain SAVE10 --order order.json`
    """
    [asked] = codes_of([code])
    name, who = f"{SOURCE} {uuid4()}", customer_of(customer)
    command: LockCoupons | RedeemCoupons
    if order is None:
        command = LockCoupons(name, lock_reference(name), (asked,), 1, who, validation_code=validation_code)
    else:
        with open_input(order) as opened:
            data, asked_about = read_order(opened)
        named = data.customer
        who = who or (None if named is None else Customer(named.customer_id, named.email, named.mobile, named.segments))
        command = RedeemCoupons(
            name, asked_about, (asked,), who, at=data.placed_at,
            validation_code=validation_code or data.validation_code,
        )  # fmt: skip
    explanation = run(_explained(command))
    if as_json:
        show_json(_document(explanation))
    else:
        _show(explanation)
    if explanation.verdict.refused:
        raise typer.Exit(1)


async def _explained(command: LockCoupons | RedeemCoupons) -> Explanation:
    async with ledger() as pool:
        return await validation.explain(pool, command)


def _document(explanation: Explanation) -> dict[str, Any]:
    """The explanation as JSON: numbers by their names. `outcome`: "good", "unchanged", or why it is refused.

    `discount_minor` is null without an order, and where nothing is taken off.
    """
    verdict = explanation.verdict
    return {
        "code": explanation.code,
        "outcome": verdict.refused[0].reason if verdict.refused else "good" if verdict.accepted else "unchanged",
        "message": verdict.refused[0].message if verdict.refused else None,
        "discount_minor": verdict.discount_minor if verdict.accepted and verdict.currency else None,
        "currency": verdict.currency,
        "findings": [one.document() for one in explanation.findings],
    }


def _show(explanation: Explanation) -> None:
    """What was asked as a table, then each refusal in its own words: the first is what a request would be told."""
    asked = [one for one in explanation.findings if one.outcome != "not asked"]
    show_table(
        ("rule", "verdict", "saw"), [(one.field, _verdict(one), _saw(one)) for one in asked], whole=("rule", "verdict")
    )
    if others := [one.field for one in explanation.findings if one.outcome == "not asked"]:
        say(f"Its campaign doesn't ask for {', '.join(others)}.")
    for one in explanation.findings:
        if one.reason is not None:
            say(f"Refused ({one.reason}): {one.message}")
    verdict = explanation.verdict
    if verdict.accepted:
        off = money(verdict.discount_minor, verdict.currency)
        say(f"Good: {off} off." if off else "Good, as far as can be said without an order.")
    elif not verdict.refused:
        say("The order has it already; the same order again changes nothing.")


def _verdict(finding: Finding) -> str:
    return finding.outcome if finding.reason is None else f"refused: {finding.reason}"


def _saw(finding: Finding) -> str:
    """The numbers, or a sentence where there are none; not one that is printed below."""
    if finding.saw:
        return ", ".join(f"{name} {seen or 'none'}" for name, seen in finding.saw)
    return finding.message if finding.reason is None else ""
