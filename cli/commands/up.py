"""`couponry up`: run everything on this machine until Ctrl-C."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from cli import locations
from cli.apps import new_app
from cli.connect import address_of, run
from cli.embedded import EmbeddedStack
from cli.output import console, say, show_table
from cli.processes import LOOPBACK
from cli.stack import RunningStack, first_key, running
from shared.runtime.printable import printable
from shared.runtime.shutdown import stop_on_signals

FIRST_STEPS = """\
In a second terminal, in this folder:

  couponry example campaign | couponry campaigns load -
  couponry example signup   | couponry publish -
  couponry customers show customer_123
  couponry example order --code THE-CODE-SHOWN | couponry publish -
  couponry redemptions list
"""

HTTP = """\
Over HTTP, with a key that has every scope (kept in {file}):

  export KEY={key}
  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"codes": ["THE-CODE-SHOWN"]}}' {url}/v1/validate

The whole API: {url}/docs
"""

Port = Annotated[
    int, typer.Option(min=0, max=65535, help="0: the port of the last run if it is free, else any free port.")
]

app = new_app()


@app.command()
def up(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(help="The folder for data and logs; same as `couponry --data-dir DIR up`.")
    ] = None,
    postgres_port: Port = 0,
    kafka_port: Port = 0,
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port of the gateway. 0: 8080 if it is free, else any free port.")
    ] = 0,
) -> None:
    """Run everything on this machine until Ctrl-C: PostgreSQL, a broker, all services and the HTTP gateway.

    For development. The data is kept in the folder for the next `couponry up`. Other commands that are run in the same
    folder find the running stack by themselves.
    """
    if data_dir is not None:
        locations.choose_data_dir(data_dir)
    servers = EmbeddedStack(locations.data_dir(), postgres_port=postgres_port, kafka_port=kafka_port, say=_say)
    run(_up(servers, http_port))
    say("Everything has stopped. The data is kept; `couponry up` continues with it.")


def _say(text: str) -> None:
    console(stderr=True).print(printable(text), style="dim", markup=False, soft_wrap=True)


async def _up(servers: EmbeddedStack, http_port: int) -> None:
    stopping, started = asyncio.Event(), asyncio.Event()
    with stop_on_signals(stopping):
        work = asyncio.create_task(_run(servers, http_port, stopping, started))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stopping.is_set() and not started.is_set():
            work.cancel()  # stopped during the start: what is running already is still stopped in order
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def _run(servers: EmbeddedStack, http_port: int, stopping: asyncio.Event, started: asyncio.Event) -> None:
    async with running(servers, http_port=http_port, say=_say) as stack:
        started.set()
        _show(stack, await first_key(servers))
        await stack.services.wait(stopping)
        _say("Stopping everything (Ctrl-C again: at once)")


def _show(stack: RunningStack, key: str) -> None:
    servers, url = stack.servers, f"http://{LOOPBACK}:{stack.http_port}"
    rows = [
        ("PostgreSQL", address_of(servers.database_url), servers.postgres.process.log_path),
        ("broker", servers.bootstrap_servers, servers.broker.process.log_path),
        *[
            (
                process.title,
                url if process.name == "gateway" else f"http://{LOOPBACK}:{process.health_port}/metrics",
                process.log_path,
            )
            for process in stack.services.processes
        ],
    ]
    show_table(("runs", "at", "log"), [(name, at, _relative(path)) for name, at, path in rows])
    say(FIRST_STEPS)
    say(HTTP.format(file=_relative(servers.data_dir / locations.KEY_FILE), key=key, url=url))
    for name in locations.SERVER_VARIABLES:
        if os.environ.get(name):
            say(f"{name} is set: in a terminal in which it is set, other commands use it instead of this stack.\n")
    say("Press Ctrl-C to stop everything; the data is kept.")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
