"""`couponry campaigns`: load, plan, archive, list, show."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from cli.apps import AsJson, new_app
from cli.campaign_files import read_campaigns
from cli.campaign_plan import show_plan
from cli.campaign_texts import definition_facts, discount, occasions, window
from cli.connect import ledger, reading, run
from cli.errors import CommandFailedError
from cli.files import open_input
from cli.output import complain, count, moment, say, show_facts, show_json, show_table
from schemas.campaigns import CampaignDefinition
from shared.ledger import lookalikes, planning, queries
from shared.ledger.campaigns import Saved, change, save
from shared.ledger.freeing import NotArchivedError, free_codes
from shared.ledger.shared_codes import CodeTakenError

LISTED_ONE_BY_ONE = 20

app = new_app("Load campaigns and look at them.")


CampaignFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="YAML or JSON: one campaign, a list, or several documents; .gz too; - reads a pipe."
    ),
]


@app.command()
def load(
    file: CampaignFile,
    check: Annotated[bool, typer.Option("--check", help="Only check the file; load nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create or change campaigns: the whole file is loaded, or nothing is.

    Loading the same file twice changes nothing, and campaigns that the file doesn't name stay as they are. A change
    takes effect at once; redeemed coupons stay redeemed. `couponry campaigns plan FILE` shows the change beforehand.

    Example: `couponry example campaign --yaml > welcome.yaml`, then `couponry campaigns load welcome.yaml`.
    """
    definitions = _read(file)
    if check:
        _warn(lookalikes.compare(lookalikes.shared_codes(definitions)))
        say(f"{file}: {count(len(definitions), 'campaign')}, no problems found. Nothing was loaded.")
        return
    saved, warnings = run(_save(definitions))
    _warn(warnings)
    _show_saved(saved, as_json)


def _warn(warnings: Mapping[str, Sequence[str]]) -> None:
    for campaign_id, sentences in islice(warnings.items(), LISTED_ONE_BY_ONE):
        for sentence in sentences:
            complain(f"WARNING  campaign {campaign_id!r}, {sentence}")
    if len(warnings) > LISTED_ONE_BY_ONE:
        complain(f"WARNING  … and {len(warnings) - LISTED_ONE_BY_ONE:,} more; `couponry campaigns plan` shows all.")


def _read(file: Path) -> list[CampaignDefinition]:
    with open_input(file) as opened:
        return read_campaigns(opened)


async def _save(definitions: list[CampaignDefinition]) -> tuple[list[Saved], Mapping[str, Sequence[str]]]:
    async with ledger() as pool:
        try:
            saved = await save(pool, definitions)
            async with pool.acquire() as connection:
                return saved, await lookalikes.warnings(connection, definitions)
        except CodeTakenError as error:
            raise CommandFailedError(f"{error} Nothing was loaded.") from error
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "coupons_code_key":
                raise
            raise CommandFailedError(
                "A shared code belongs to another coupon; nothing was loaded. `couponry campaigns plan` shows which."
            ) from error


def _show_saved(saved: list[Saved], as_json: bool) -> None:
    if as_json:
        show_json(saved)
        return
    if len(saved) <= LISTED_ONE_BY_ONE:
        for one in saved:
            say(f"{one.change:<9}  {one.campaign_id}")
        return
    changes = [one.change for one in saved]
    parts = ", ".join(f"{changes.count(change):,} {change}" for change in ("created", "changed", "unchanged"))
    say(f"{count(len(saved), 'campaign')}: {parts}")


@app.command()
def plan(file: CampaignFile, as_json: AsJson = False) -> None:
    """Show what `load` would change, field by field, and how that affects issued coupons. Changes nothing.

    Campaigns that the file doesn't name are left as they are, by this command and by `load`. The exit code is 0 when
    the file is valid, whether anything would change or not; use --json in programs.

    Example: `couponry campaigns plan welcome.yaml`, then `couponry campaigns load welcome.yaml`.
    """
    planned = run(_plan(_read(file)))
    if as_json:
        show_json(planned)
    else:
        show_plan(planned)


async def _plan(definitions: list[CampaignDefinition]) -> list[planning.Planned]:
    async with reading() as connection:
        return await planning.plan(connection, definitions)


@app.command()
def archive(
    campaign_id: Annotated[str, typer.Argument(metavar="CAMPAIGN")],
    free: Annotated[
        bool, typer.Option("--free-codes", help="Free its codes, so that a later campaign can use them.")
    ] = False,
) -> None:
    """Archive a campaign that has ended: no coupon is issued or used any more. What was used can still be returned.

    With --free-codes, its codes can be used by a later campaign; `couponry coupons show` shows the coupons of both. The
    campaign can only be activated again while no other campaign has one of its codes.

    Example: `couponry campaigns archive black-friday-2025 --free-codes`
    """
    saved, freed = run(_archive(campaign_id, free))
    say(f"{'archived' if saved.change == 'changed' else saved.change:<9}  {campaign_id}")
    if free:
        say(f"{count(freed, 'code')} freed.")


async def _archive(campaign_id: str, free: bool) -> tuple[Saved, int]:
    async with ledger() as pool:
        changed = await change(pool, campaign_id, lambda before: before.model_copy(update={"status": "archived"}))
        if changed is None:
            raise _unknown(campaign_id)
        try:
            return changed[1], (await free_codes(pool, campaign_id)).codes if free else 0
        except NotArchivedError as error:
            raise CommandFailedError(f"{error} It was activated again meanwhile.") from error


@app.command("list")
def list_campaigns(as_json: AsJson = False) -> None:
    """List all campaigns.

    Example: `couponry campaigns list --json | jq '.[].campaign_id'`
    """
    lines = run(_all())
    if as_json:
        show_json([line.definition.model_dump(mode="json") for line in lines])
        return
    if not lines:
        say("No campaigns yet. Load one with `couponry campaigns load FILE`.")
        return
    show_table(
        ("campaign", "status", "discount", "window (UTC)", "issued on"),
        [
            (
                line.campaign_id,
                line.status,
                discount(line.definition),
                window(line.definition),
                occasions(line.definition),
            )
            for line in lines
        ],
    )


async def _all() -> list[queries.CampaignLine]:
    async with reading() as connection:
        return await queries.campaigns(connection)


@app.command()
def show(
    campaign_id: Annotated[str, typer.Argument(metavar="CAMPAIGN")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print its definition, ready to edit and load again.")
    ] = False,
) -> None:
    """Show a campaign, everything that it sets, and the numbers of its coupons and uses.

    Example: `couponry campaigns show save10 --json > save10.json`
    """
    line, counts = run(_one(campaign_id))
    if as_json:
        show_json(line.definition.model_dump(mode="json"))
        return
    definition = line.definition
    show_facts(
        [
            *definition_facts(definition),
            ("loaded", f"{moment(line.created_at)} UTC, last changed {moment(line.updated_at)}"),
            ("coupons", f"{counts.coupons:,} issued, {counts.voided:,} of them voided"),
            ("pool", f"{count(counts.pooled, 'code')} left" if definition.source.kind == "pool" else None),
            ("uses", f"{counts.used_uses:,} used, {counts.held_uses:,} held"),
        ]
    )


def _unknown(campaign_id: str) -> CommandFailedError:
    return CommandFailedError(f"There is no campaign {campaign_id!r}; `couponry campaigns list` shows all of them.")


async def _one(campaign_id: str) -> tuple[queries.CampaignLine, queries.CampaignCounts]:
    async with reading() as connection:
        line = await queries.campaign(connection, campaign_id)
        if line is None:
            raise _unknown(campaign_id)
        return line, await queries.campaign_counts(connection, campaign_id)
