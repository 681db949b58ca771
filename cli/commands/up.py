"""`couponry up`: everything on this machine, ended together."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Annotated

import typer

from cli import where
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
Over HTTP, with the key that may do everything here (kept in {file}):

  export KEY={key}
  curl -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
    -d '{{"codes": ["THE-CODE-SHOWN"]}}' {url}/v1/validate

All of it: {url}/docs
"""

Port = Annotated[int, typer.Option(min=0, max=65535, help="0: that of the last time where it is free, else any.")]

app = new_app()


@app.command()
def up(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where data and logs are kept; as `couponry --data-dir DIR up`.")
    ] = None,
    postgres_port: Port = 0,
    kafka_port: Port = 0,
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the gateway. 0: 8080 where it is free, else any.")
    ] = 0,
) -> None:
    """Run everything on this machine until Ctrl-C: PostgreSQL, a broker, all services, and HTTP in front of them.

    For development. Data stays in the folder and is there again at the next `couponry up`. Other commands called
    in the same folder find the running stack by themselves.
    """
    if data_dir is not None:
        where.choose_data_dir(data_dir)
    servers = EmbeddedStack(where.data_dir(), postgres_port=postgres_port, kafka_port=kafka_port, say=_say)
    run(_up(servers, http_port))
    say("Everything has ended. The data is kept; `couponry up` goes on with it.")


def _say(text: str) -> None:
    console(stderr=True).print(printable(text), style="dim", markup=False, soft_wrap=True)


async def _up(servers: EmbeddedStack, http_port: int) -> None:
    stopping, started = asyncio.Event(), asyncio.Event()
    with stop_on_signals(stopping):
        work = asyncio.create_task(_run(servers, http_port, stopping, started))
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if stopping.is_set() and not started.is_set():
            work.cancel()  # asked to stop while still starting: what runs already is ended in order all the same
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def _run(servers: EmbeddedStack, http_port: int, stopping: asyncio.Event, started: asyncio.Event) -> None:
    async with running(servers, http_port=http_port, say=_say) as stack:
        started.set()
        _show(stack, await first_key(servers))
        await stack.services.wait(stopping)
        _say("Ending everything (Ctrl-C again: at once)")


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
    say(HTTP.format(file=_relative(servers.data_dir / where.KEY_FILE), key=key, url=url))
    for name in where.DECIDING:
        if os.environ.get(name):
            say(f"{name} is set: in a terminal where it is, other commands go by it and not to this stack.\n")
    say("Ctrl-C ends everything; the data stays.")


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
