"""`couponry customers`: show."""

from typing import Annotated

import typer

from cli.apps import AsJson, new_app
from cli.connect import reading, run
from cli.errors import CommandFailedError
from cli.executing import customer_of
from cli.output import count, day, moment, say, show_facts, show_json, show_table
from shared.domain.customer import Customer, Identifier, identifiers
from shared.ledger import queries

app = new_app("Look at a customer's wallet.")


@app.callback()
def customers() -> None:
    """Look at a customer's wallet."""


@app.command()
def show(
    who: Annotated[str, typer.Argument(metavar="WHO", help="An id, an e-mail address, or a +phone number.")],
    as_json: AsJson = False,
) -> None:
    """Show who a customer is and which coupons they hold.

    Examples: `couponry customers show customer_123`, `couponry customers show john.smith@email.com`
    """
    wallet = run(_wallet(who))
    if as_json:
        show_json(wallet)
        return
    show_facts([("customer", "\n".join(wallet.identifiers)), ("known since", f"{moment(wallet.known_since)} UTC")])
    if not wallet.coupons:
        say("No coupons.")
        return
    show_table(
        ("code", "campaign", "is", "uses", "good from", "until (UTC)"),
        [
            (
                coupon.code or "(no code)",
                coupon.campaign_id,
                coupon.state,
                f"{coupon.used_uses}/{'∞' if coupon.uses_limit is None else coupon.uses_limit}",
                day(coupon.starts_at),
                day(coupon.ends_at),
            )
            for coupon in wallet.coupons
        ],
        right=("uses",),
    )
    more = ", and there are more" if wallet.cut else ""
    say(f"{count(len(wallet.coupons), 'coupon')}{more}")


async def _wallet(who: str) -> queries.Wallet:
    async with reading() as connection:
        found = await queries.wallet(connection, names_of(who))
    if found is None:
        raise CommandFailedError(
            f"No customer is known as {who!r}; customers are known from the first reward, sign-up or coupon order on."
        )
    return found


def names_of(who: str) -> tuple[Identifier, ...]:
    """What a text may be: an id first of all, else what it looks like."""
    named = customer_of(who)
    return (("id", who.strip()), *identifiers(named or Customer()))
