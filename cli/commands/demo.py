"""`couponry demo`: replay a year of grocery shopping, simulated after real households, and check every number."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

import typer

from cli.apps import new_app
from cli.campaign_files import read_campaigns
from cli.commands.audit import show_report
from cli.connect import run
from cli.demo.expected import ExpectedNumbers, import_replay
from cli.demo.report import Row, as_table, compare
from cli.demo.run import Replayed, rates, replay_all
from cli.demo.show import Screen
from cli.embedded import EmbeddedStack
from cli.errors import CommandFailedError
from cli.files import open_input
from cli.output import console, count, say
from cli.processes import ServerError
from cli.stack import RunningStack, running
from shared.ledger import queries
from shared.ledger.audit import AuditReport, audit
from shared.ledger.campaigns import save
from shared.ledger.database import open_pool
from shared.runtime.shutdown import stop_on_signals

KEPT_FOLDER: Final = Path(".couponry-demo")
BATCH_RECORDS: Final = "2000"
"""Larger batches than a shop needs: the demo is about throughput, not latency."""

app = new_app()


@app.command()
def demo(
    keep: Annotated[
        bool,
        typer.Option("--keep", help=f"Keep data and logs in {KEPT_FOLDER}, to inspect them with the other commands."),
    ] = False,
) -> None:
    """Replay a year of grocery shopping on a stack of its own and check every number.

    2,469 households, 27 campaigns, 108,590 coupons (the Complete Journey study), and noise: events sent twice, orders
    without coupons, broken records. At the end the ledger is audited, and the published events are compared with the
    ledger and with numbers computed independently of both. The exit code is 1 when a number differs. Takes about a
    minute.
    """
    replay = import_replay()
    folder = _new_folder(keep=keep)
    try:
        right = run(_demo(replay, folder))
    except typer.Exit:
        _throw_away(folder, unless=keep)
        raise
    except (CommandFailedError, ServerError) as error:
        raise CommandFailedError(f"{error} Data and logs are kept in {folder}.") from error
    _throw_away(folder, unless=keep or not right)
    if folder.exists():
        say(
            f"\nKept in {folder}. To inspect it: `couponry --data-dir {folder} up` in one terminal, and in another "
            f"`couponry --data-dir {folder} redemptions list`."
        )
    if not right:
        raise typer.Exit(1)


def _new_folder(*, keep: bool) -> Path:
    """Return the folder for this run's data: a temporary one, or KEPT_FOLDER with `keep`."""
    if not keep:
        return Path(tempfile.mkdtemp(prefix="couponry-demo-"))
    if KEPT_FOLDER.exists():
        raise CommandFailedError(f"{KEPT_FOLDER} holds an earlier demo. Remove it first: rm -r {KEPT_FOLDER}")
    return KEPT_FOLDER


def _throw_away(folder: Path, *, unless: bool) -> None:
    if not unless:
        shutil.rmtree(folder, ignore_errors=True)


async def _demo(replay: ModuleType, folder: Path) -> bool:
    """Run the demo and return whether every number is right."""
    stopping = asyncio.Event()
    began = time.monotonic()
    with stop_on_signals(stopping), Screen(console(stderr=True)) as screen:
        work = asyncio.create_task(_all(replay, folder, screen))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise typer.Exit(130)
        replayed, rows, report = await work
    return _report(replayed, rows, report, time.monotonic() - began)


async def _all(replay: ModuleType, folder: Path, screen: Screen) -> tuple[Replayed, list[Row], AuditReport]:
    expected = await ExpectedNumbers.start(replay)
    try:
        servers = EmbeddedStack(folder, say=screen.say)
        async with running(servers, environment={"COUPONRY_BATCH_MAX_RECORDS": BATCH_RECORDS}, say=screen.say) as stack:
            work = asyncio.create_task(_replay(replay, stack, screen))
            failing = asyncio.create_task(stack.services.wait())
            try:
                await asyncio.wait({work, failing}, return_when=asyncio.FIRST_COMPLETED)
                if failing.done():
                    await failing
                replayed, ledger, report = await work
            finally:
                for task in (work, failing):
                    task.cancel()
                await asyncio.gather(work, failing, return_exceptions=True)
        return replayed, compare(replayed.reader, ledger, await expected.numbers()), report
    finally:
        await expected.stop()


async def _replay(
    replay: ModuleType, stack: RunningStack, screen: Screen
) -> tuple[Replayed, queries.Totals, AuditReport]:
    async with await open_pool(stack.servers.database_url, max_size=2, application_name="couponry-demo") as pool:
        with open_input(replay.campaigns_file()) as file:
            saved = await save(pool, read_campaigns(file))
        screen.say(f"{count(len(saved), 'campaign')} loaded")
        replayed = await replay_all(replay, stack.kafka, pool, screen)
        screen.say("Auditing")
        report = await audit(pool)
        async with pool.acquire() as connection:
            return replayed, await queries.totals(connection), report


def _report(replayed: Replayed, rows: list[Row], report: AuditReport, seconds: float) -> bool:
    console().print(as_table(rows))
    rate = rates(replayed)
    say(
        f"{replayed.records:,} events in, {replayed.reader.events:,} events out, in {replayed.seconds:.1f} s: "
        f"{rate['in']:,.0f}/s in, {rate['out']:,.0f}/s out ({seconds:.1f} s with starting and stopping)"
    )
    show_report(report)
    different = [row.name.strip() for row in rows if not row.same]
    if different:
        say(f"WRONG: these numbers differ: {', '.join(different)}")
    elif report.clean:
        say("Every number is the same in the streams, in the ledger, and computed from the study itself.")
    return not different and report.clean
