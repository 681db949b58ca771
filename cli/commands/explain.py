"""`couponry explain`: check a code and show every rule with its verdict and the values it saw."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from cli.apps import AsJson, new_app
from cli.connect import identity_rules, ledger, run
from cli.executing import SOURCE, ForCustomer, codes_of, customer_of
from cli.files import open_input
from cli.order_files import read_order
from cli.output import money, say, show_json, show_table
from shared.domain.explain import Explanation, Finding
from shared.domain.model.commands import LockCoupons
from shared.domain.model.ids import lock_reference
from shared.domain.model.order_commands import RedeemCoupons
from shared.ledger import validation
from shared.ledger.order_conversion import to_customer

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
            help="The order: an order.placed event, or only its data; - reads from a pipe.",
        ),
    ] = None,
    customer: ForCustomer = None,
    validation_code: Annotated[
        str | None, typer.Option("--validation-code", metavar="TEXT", help="The code's second secret.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every rule for a code: whether it passes for this order now, and the values it saw. Changes nothing.

    Without an order only the rules that need none are checked. The order's own time is used if it has one; the
    codes and the lock that it names are ignored. The exit code is 1 when the code is refused.

    Example: `couponry example order --code SAVE10 > order.json`, then `couponry explain SAVE10 --order order.json`
    """
    [checked] = codes_of([code])
    name, named = f"{SOURCE} {uuid4()}", customer_of(customer)
    command: LockCoupons | RedeemCoupons
    if order is None:
        command = LockCoupons(name, lock_reference(name), (checked,), 1, named, validation_code=validation_code)
    else:
        with open_input(order) as opened:
            data, order_to_check = read_order(opened)
        named = named or (None if data.customer is None else to_customer(data.customer))
        command = RedeemCoupons(
            name, order_to_check, (checked,), named, at=data.placed_at,
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
        return await validation.explain(pool, command, rules=identity_rules())


def _document(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as a JSON document. `outcome` is "good", "unchanged", or the reason of the refusal.

    `discount_minor` is null without an order, and if the code has no discount.
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
    """Print the checked rules as a table, then the message of each refusal. A request gets the first of them."""
    checked = [one for one in explanation.findings if one.outcome != "not asked"]
    show_table(
        ("rule", "verdict", "saw"),
        [(one.field, _verdict(one), _saw(one)) for one in checked],
        whole=("rule", "verdict"),
    )
    if others := [one.field for one in explanation.findings if one.outcome == "not asked"]:
        say(f"Its campaign doesn't set {', '.join(others)}.")
    for one in explanation.findings:
        if one.reason is not None:
            say(f"Refused ({one.reason}): {one.message}")
    verdict = explanation.verdict
    if verdict.accepted:
        off = money(verdict.discount_minor, verdict.currency)
        say(f"Valid: {off} off." if off else "Valid, as far as this can be checked without an order.")
    elif not verdict.refused:
        say("Already redeemed for this order; the same order again changes nothing.")


def _verdict(finding: Finding) -> str:
    return finding.outcome if finding.reason is None else f"refused: {finding.reason}"


def _saw(finding: Finding) -> str:
    """Return the values a rule saw, or its message, unless that is printed below the table."""
    if finding.saw:
        return ", ".join(f"{name} {seen or 'none'}" for name, seen in finding.saw)
    return finding.message if finding.reason is None else ""
