"""`couponry webhooks`: add, list, enable, disable."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import typer

from cli.apps import AsJson, new_app
from cli.connect import ledger, run
from cli.errors import CommandFailedError
from cli.output import say, show_facts, show_json
from shared.runtime.settings import CommonSettings, load_settings
from shared.webhooks import endpoints
from shared.webhooks.endpoints import ALL_TYPES

app = new_app("Manage the endpoints that receive redemptions as webhooks.")

EndpointId = Annotated[
    UUID, typer.Argument(metavar="ENDPOINT", help="The endpoint's id, as `couponry webhooks list` shows it.")
]


class _WebhookSettings(CommonSettings):
    """The only setting of the notifier that adding an endpoint needs."""

    webhooks_allow_private: bool = False


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE", help=f"Only events of this type; repeatable. One of: {', '.join(endpoints.EVENT_TYPES)}."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send redemptions to URL from now on, signed according to Standard Webhooks. Prints the secret once.

    Example: `couponry webhooks add https://shop.example/hooks --event coupon.redemption_notified`
    """
    new = run(_add(url, event or [ALL_TYPES]))
    if as_json:
        show_json(new)
        return
    show_facts([("endpoint", new.endpoint_id), ("secret", new.secret)])
    say("The receiver verifies signatures with the secret. It is shown only now: keep it safe.")


async def _add(url: str, event_types: list[str]) -> endpoints.NewEndpoint:
    allow_private = load_settings(_WebhookSettings).webhooks_allow_private
    async with ledger() as pool:
        with _problems():
            return await endpoints.add(pool, url, event_types, allow_private=allow_private)


@app.command("list")
def list_endpoints(as_json: AsJson = False) -> None:
    """List the endpoints, their events, and the numbers of waiting and failed deliveries."""
    found = run(_all())
    if as_json:
        show_json(found)
        return
    if not found:
        say("No endpoints. Add one with `couponry webhooks add URL`.")
        return
    for one in found:
        show_facts(
            [
                ("endpoint", one.endpoint_id),
                ("url", one.url),
                ("events", ", ".join(one.event_types)),
                ("status", one.status if one.disabled_reason is None else f"{one.status}: {one.disabled_reason}"),
                ("deliveries", f"{one.pending:,} waiting, {one.failed:,} failed"),
            ]
        )
        say()


async def _all() -> list[endpoints.Endpoint]:
    async with ledger() as pool:
        return await endpoints.list_all(pool)


@app.command()
def enable(endpoint_id: EndpointId) -> None:
    """Enable an endpoint again and send the deliveries that waited."""
    run(_enable(endpoint_id))
    say(f"Endpoint {endpoint_id} enabled.")


async def _enable(endpoint_id: UUID) -> None:
    async with ledger() as pool:
        with _problems():
            await endpoints.enable(pool, endpoint_id)


@app.command()
def disable(
    endpoint_id: EndpointId,
    reason: Annotated[
        str, typer.Option(help="The reason, shown by `couponry webhooks list`.")
    ] = "Disabled from the command line.",
) -> None:
    """Disable an endpoint. Its deliveries wait until it is enabled again."""
    run(_disable(endpoint_id, reason))
    say(f"Endpoint {endpoint_id} disabled; `couponry webhooks enable {endpoint_id}` enables it again.")


async def _disable(endpoint_id: UUID, reason: str) -> None:
    async with ledger() as pool:
        with _problems():
            await endpoints.disable(pool, endpoint_id, reason)


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except endpoints.EndpointError as error:
        raise CommandFailedError(str(error)) from None
