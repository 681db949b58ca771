"""`couponry issuer`, `redeemer`, …: one service in this process, as `python -m services.<name>` runs it."""

import runpy
from typing import Final

import typer

from cli.apps import new_app
from cli.where import find_settings
from shared.runtime.settings import ServiceSettings, Settings

_SAYS: Final = {
    "issuer": "Issue coupons for rewards and sign-ups, until Ctrl-C. Any number of issuers share the work.",
    "redeemer": "Use, hold and give back coupons as orders say, until Ctrl-C. Any number of redeemers share the work.",
    "notifier": "Tell of redemptions: events and webhooks, until Ctrl-C. Any number of notifiers share the work.",
    "relay": "Publish the ledger's events, in order, until Ctrl-C. A second relay takes over from the first.",
    "gateway": "Answer over HTTP, until Ctrl-C. Any number of gateways share the work.",
}


def _service(name: str) -> typer.Typer:
    app = new_app()

    @app.command(name, help=f"{_SAYS[name]}\n\nSettings: COUPONRY_… variables; see the README of services/{name}.")
    def service() -> None:
        wanted = ServiceSettings if name == "gateway" else Settings
        find_settings(wanted)  # finds a running stack where no variable names one, and says so where there is none
        runpy.run_module(f"services.{name}", run_name="__main__", alter_sys=True)

    return app


issuer = _service("issuer")
redeemer = _service("redeemer")
notifier = _service("notifier")
relay = _service("relay")
gateway = _service("gateway")
