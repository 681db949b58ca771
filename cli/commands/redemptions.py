"""`couponry redemptions`: list."""

from typing import Annotated

import typer

from cli.apps import AsJson, Limit, Since, new_app
from cli.connect import reading, run
from cli.coupon_history import order_cell
from cli.executing import key_of
from cli.output import moment, money, say, show_json, show_table
from shared.domain.model.reasons import Reason
from shared.ledger import queries

app = new_app("List redemptions and refusals.")


@app.callback()
def redemptions() -> None:
    """List redemptions and refusals."""


@app.command("list")
def list_redemptions(
    *,
    refused: Annotated[bool, typer.Option("--refused", help="Only refusals.")] = False,
    reason: Annotated[
        Reason | None,
        typer.Option(metavar="REASON", help="Only refusals for this reason: expired, exhausted, …"),
    ] = None,
    order: Annotated[str | None, typer.Option("--order", metavar="ID", help="Only this order.")] = None,
    shop: Annotated[
        str | None, typer.Option("--shop", metavar="ID", help="Only orders of this shop; --order alone has no shop.")
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what happened to coupons on orders, newest first: redeemed, restored, refused.

    With --order, requests that changed nothing are listed too, with the reason.

    Examples: `couponry redemptions list --refused --since 2h`, `couponry redemptions list --reason expired --json`,
    `couponry redemptions list --order 777 --shop acme`
    """
    if order is not None:
        key_of(order, shop)  # only to check them
    wanted = {"refused_only": refused, "reason": reason, "since": since, "limit": limit}
    lines = run(_lines(**wanted, order_id=order, shop_id=shop))
    if as_json:
        show_json(lines)
        return
    if not lines:
        say("No redemptions yet." if (since, reason, order, shop) == (None,) * 4 else "No redemption matches.")
        return
    show_table(
        ("when (UTC)", "order", "code", "what"),
        [(moment(line.at), order_cell(line), line.code, _description(line)) for line in lines],
        whole=("when (UTC)", "order", "code"),
    )
    if len(lines) == limit:
        say(f"Only the newest {limit:,} are shown; --limit shows more.")


async def _lines(**wanted: object) -> list[queries.RedemptionLine]:
    async with reading() as connection:
        return await queries.redemptions(connection, **wanted)  # type: ignore[arg-type]  # typed by the options


def _description(line: queries.RedemptionLine) -> str:
    if line.outcome == "refused":
        return f"refused, {line.reason}: {line.message}"
    if line.outcome == "unchanged":
        return f"unchanged, {line.reason}: {line.message}"
    return f"{line.outcome} {money(line.discount_minor, line.currency)}"
