"""The `couponry` command and the list of its subcommands."""

from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import locations
from cli.lazy import Entry, lazy_group

RUN: Final = "Run"
WORK: Final = "Work with coupons"
LOOK: Final = "Look"
SET_UP: Final = "Set up"
ONE_SERVICE: Final = "Run one service"

ENTRIES: Final = {
    "up": Entry("cli.commands.up:app", "Run everything on this machine: PostgreSQL, a broker, all services.", RUN),
    "demo": Entry("cli.commands.demo:app", "Replay a year of grocery shopping and check every number.", RUN),
    "example": Entry("cli.commands.example:app", "Print an example: a campaign, or an event to publish.", RUN),
    "campaigns": Entry("cli.commands.campaigns:app", "Load, plan, list and show campaigns.", WORK, alone=False),
    "rehearse": Entry("cli.commands.rehearse:app", "Play orders against campaigns in memory; needs no server.", WORK),
    "publish": Entry("cli.commands.publish:app", "Send the events of a file to their topics.", WORK),
    "coupons": Entry(
        "cli.commands.coupons:app", "Show, validate, lock, burn, release, void coupons.", WORK, alone=False
    ),
    "explain": Entry(
        "cli.commands.explain:app", "Show every rule for a code and an order, and the values it saw.", LOOK
    ),
    "customers": Entry(
        "cli.commands.customers:app", "Show a customer's wallet; export or erase a customer.", LOOK, alone=False
    ),
    "redemptions": Entry("cli.commands.redemptions:app", "List redemptions and refusals.", LOOK, alone=False),
    "events": Entry("cli.commands.events:app", "Print the newest events of a topic.", LOOK),
    "dlq": Entry("cli.commands.dlq:app", "List, show and replay dead letters.", LOOK, alone=False),
    "outbox": Entry(
        "cli.commands.outbox:app", "List events that could not be published, and publish them again.", LOOK, alone=False
    ),
    "audit": Entry("cli.commands.audit:app", "Rebuild every total from the ledger entries and compare.", LOOK),
    "migrate": Entry("cli.commands.migrate:app", "Create or update the ledger's tables.", SET_UP),
    "topics": Entry("cli.commands.topics:app", "Create the topics.", SET_UP, alone=False),
    "webhooks": Entry("cli.commands.webhooks:app", "Manage the endpoints of webhooks.", SET_UP, alone=False),
    "secrets": Entry(
        "cli.commands.secrets:app", "Create encryption keys, encrypt stored secrets.", SET_UP, alone=False
    ),
    "keys": Entry("cli.commands.keys:app", "Manage the API keys of the gateway.", SET_UP, alone=False),
    "issuer": Entry("cli.commands.services:issuer", "Issues coupons for rewards and sign-ups.", ONE_SERVICE),
    "redeemer": Entry("cli.commands.services:redeemer", "Redeems coupons for orders.", ONE_SERVICE),
    "notifier": Entry("cli.commands.services:notifier", "Sends notifications and webhooks.", ONE_SERVICE),
    "relay": Entry("cli.commands.services:relay", "Publishes the ledger's events.", ONE_SERVICE),
    "gateway": Entry("cli.commands.services:gateway", "Serves the HTTP APIs.", ONE_SERVICE),
}

app = typer.Typer(
    cls=lazy_group(ENTRIES),
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done · 1 refused or failed · 2 wrong usage or settings · 70 a bug in Couponry.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"couponry {metadata.version('couponry')}")
        raise typer.Exit


@app.callback()
def couponry(
    data_dir: Annotated[
        Path,
        typer.Option(
            envvar=locations.DATA_DIR_VARIABLE,
            help="The folder of `couponry up`. A stack that runs there is found without any setting.",
        ),
    ] = locations.DEFAULT_DATA_DIR,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Coupons as events: issue, lock, redeem, burn and restore against one Postgres ledger.

    Start with `couponry up`, then run other commands in a second terminal in the same folder: they find the running
    stack by themselves. Elsewhere, set COUPONRY_DATABASE_URL and COUPONRY_KAFKA_BOOTSTRAP_SERVERS. If one of these is
    set, a stack in this folder is ignored.
    """
    locations.choose_data_dir(data_dir)
