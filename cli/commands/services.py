"""`couponry issuer`, `redeemer`, …: run one service in this process, as `python -m services.<name>` does."""

import runpy
from typing import Final

import typer

from cli.apps import new_app
from cli.locations import find_settings
from shared.runtime.settings import ServiceSettings, Settings

_HELP: Final = {
    "issuer": "Issue coupons for rewards and sign-ups, until Ctrl-C. Any number of issuers share the work.",
    "redeemer": "Redeem and restore coupons for orders, until Ctrl-C. Any number of redeemers share the work.",
    "notifier": "Send notifications and webhooks, until Ctrl-C. Any number of notifiers share the work.",
    "relay": "Publish the ledger's events in order, until Ctrl-C. A second relay is a standby for the first.",
    "gateway": "Serve HTTP requests, until Ctrl-C. Any number of gateways share the work.",
}


def _service(name: str) -> typer.Typer:
    app = new_app()

    @app.command(name, help=f"{_HELP[name]}\n\nSettings: COUPONRY_… variables; see the README of services/{name}.")
    def service() -> None:
        wanted = ServiceSettings if name == "gateway" else Settings
        find_settings(
            wanted
        )  # uses a running stack if no variable names a server; fails with a clear message if there is none
        runpy.run_module(f"services.{name}", run_name="__main__", alter_sys=True)

    return app


issuer = _service("issuer")
redeemer = _service("redeemer")
notifier = _service("notifier")
relay = _service("relay")
gateway = _service("gateway")
