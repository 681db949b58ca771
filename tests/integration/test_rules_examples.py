"""Every example of docs/rules.md has its documented result on PostgreSQL, all in one ledger."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from cli.rehearsal.play import result_lines, script_of
from cli.rehearsal.script import Filling, Step
from cli.rehearsal.stage import commands_of, imported, settings_of
from cli.rehearsal.words import PublishedEvent
from examples.rules.page import FOLDER
from schemas.campaigns import CampaignDefinition
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.definitions import to_domain
from shared.ledger.engine import Engine
from shared.ledger.pools import import_codes
from tests.backends import Postgres
from tests.ledger import ledger

pytestmark = pytest.mark.postgres

FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def shared_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """Create one database for all examples."""
    yield postgres.create_database("rules_examples", template=migrated_template)
    postgres.drop_database("rules_examples")


class Stage:
    """One example on the ledger of `pool`. A prefix makes its orders, customers and rewards unique."""

    def __init__(self, pool: Pool, prefix: str, definitions: Sequence[CampaignDefinition], burn_on: str) -> None:
        self._pool, self._engine = pool, Engine(pool)
        self._filling, self._settings = Filling(prefix), settings_of(burn_on)
        self._campaigns: dict[str, Campaign] = {one.campaign_id: to_domain(one, 0) for one in definitions}

    async def play(self, step: Step) -> tuple[str, ...]:
        """Execute a step. Return its events from the outbox, as the lines of a rehearsal."""
        before = await self._pool.fetchval("SELECT coalesce(max(position), 0) FROM outbox")
        if step.kind == "campaign":
            await save(self._pool, [step.value])
            self._campaigns[step.value.campaign_id] = to_domain(step.value, 0)
        elif step.kind == "codes":
            pooled, commands = imported(step, self._filling, self._campaigns)
            for campaign_id, listed in pooled.items():
                assert await import_codes(self._pool, campaign_id, listed) == (len(listed), [])
            await self._execute(commands)
        else:
            await self._execute(commands_of(step, self._filling, self._campaigns, self._settings))
        return result_lines(await self._events(before), self._filling, self._campaigns)

    async def _execute(self, commands: Sequence[Command]) -> None:
        answers = await self._engine.execute(commands)
        assert all(isinstance(answer, Verdict) for answer in answers), answers

    async def _events(self, before: int) -> list[PublishedEvent]:
        rows = await self._pool.fetch(
            "SELECT type, data::text FROM outbox WHERE position > $1 ORDER BY position", before
        )
        return [(row["type"], orjson.loads(row["data"])) for row in rows]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_an_example_has_its_documented_result_on_postgresql(shared_url: str, file: Path) -> None:
    script = script_of(file.name, file.read_text("utf-8"))
    async with ledger(shared_url, *script.campaigns, connections=1) as pool:  # checks the audit at the end
        stage = Stage(pool, f"{file.stem}/", script.campaigns, script.burn_on)
        for step in script.steps:
            lines = await stage.play(step)
            assert step.then is None or lines == step.then, f"step {step.number}"
