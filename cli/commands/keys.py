"""`couponry keys`: manage the API keys of the gateway."""

from typing import Annotated

import typer

from cli.apps import AsJson, new_app
from cli.connect import ledger, run
from cli.errors import CommandFailedError, UsageProblemError
from cli.output import moment, say, show_json, show_table
from services.gateway.access import keys
from services.gateway.access.callers import SCOPES

app = new_app("Create, list and revoke the API keys of the gateway.")

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="SCOPE", help=f"What the key may do: {', '.join(SCOPES)}; repeatable."),
]

Groups = Annotated[
    list[str] | None,
    typer.Option(
        "--group", metavar="GROUP",
        help="A group of campaigns (their field `group`) that the key is bound to; repeatable. Default: all.",
    ),
]  # fmt: skip


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that says what the key is for.")],
    *,
    scope: Scopes = None,
    group: Groups = None,
    everything: Annotated[bool, typer.Option("--all", help="Every scope.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a key. It is shown only once, because only its hash is stored.

    Examples: `couponry keys create checkout --scope validate --scope redeem`, and for a shop that sees and manages only
    the campaigns of its own group: `couponry keys create shop-a --all --group shop-a`
    """
    if everything == bool(scope):
        raise UsageProblemError(f"Give --all, or each --scope that the key needs: {', '.join(SCOPES)}.")
    try:
        made = run(_create(name, list(SCOPES) if everything else scope or [], group or None))
    except keys.ApiKeyError as error:
        raise UsageProblemError(str(error)) from None
    if as_json:
        show_json({"key_id": made.key_id, "key": made.key})
        return
    typer.echo(made.key)
    typer.echo("Save it now: it can't be shown again. Send it as `Authorization: Bearer <key>`.", err=True)


async def _create(name: str, scopes: list[str], groups: list[str] | None) -> keys.NewKey:
    async with ledger() as pool:
        return await keys.create(pool, name, scopes, groups)


@app.command("list")
def list_keys(*, as_json: AsJson = False) -> None:
    """List the keys, without their secrets."""
    found = run(_list())
    if as_json:
        show_json(
            [
                {
                    "key_id": one.key_id,
                    "name": one.name,
                    "scopes": list(one.scopes),
                    "groups": None if one.groups is None else list(one.groups),
                    "created_at": one.created_at,
                    "revoked_at": one.revoked_at,
                }
                for one in found
            ]
        )
        return
    if not found:
        say("There are no keys; create one with `couponry keys create`.")
        return
    show_table(
        ("key", "name", "scopes", "groups", "created", "revoked"),
        [
            (
                one.key_id,
                one.name,
                " ".join(one.scopes),
                "all" if one.groups is None else ", ".join(one.groups),
                moment(one.created_at),
                moment(one.revoked_at),
            )
            for one in found
        ],
        whole=("key",),
    )


async def _list() -> list[keys.Key]:
    async with ledger() as pool:
        return await keys.list_all(pool)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, the part after cpn_.")]) -> None:
    """Revoke a key permanently. Gateways refuse it within five seconds."""
    try:
        run(_revoke(key_id.removeprefix("cpn_").partition("_")[0]))
    except keys.ApiKeyError as error:
        raise CommandFailedError(str(error)) from None
    say("Revoked.")


async def _revoke(key_id: str) -> None:
    async with ledger() as pool:
        await keys.revoke(pool, key_id)
