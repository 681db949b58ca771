"""The page on personal data lists every table, column and topic, so that no new one is forgotten."""

import re
from collections import Counter
from pathlib import Path

from schemas.topics import all_topics
from services.gateway.settings import GatewaySettings
from services.relay.settings import RelaySettings
from shared.ledger.database import Pool, open_pool

PAGE = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
CLASSES = {"none", "removed", "pseudonymised", "reference"}
DAY_MS = 86_400_000


def part(heading: str) -> list[list[str]]:
    """Return the rows of the tables under a heading, as lists of cells, without header rows."""
    text = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 3, heading
    return rows[1:]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


async def columns_of(pool: Pool) -> set[tuple[str, str]]:
    """Return (table, column) of all tables except yoyo's. Views are excluded, because they store nothing."""
    rows = await pool.fetch(
        "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables "
        "USING (table_schema, table_name) "
        "WHERE table_schema = 'couponry' AND table_type = 'BASE TABLE' AND table_name !~ '^_?yoyo'"
    )
    return {(table, column) for table, column in rows}


async def test_every_column_of_the_database_is_classified_exactly_once(database_url: str) -> None:
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        real = await columns_of(pool)
    classified = Counter(
        (table, column) for row in part("What is kept where") for table in named(row[0]) for column in named(row[1])
    )
    assert not real - classified.keys(), "classify these in docs/privacy.md, and have an erasure reach them"
    assert not classified.keys() - real, "these are gone"
    assert not [place for place, times in classified.items() if times > 1]
    assert {row[2] for row in part("What is kept where")} == CLASSES
    assert len(real) > 150


async def test_every_table_has_a_retention_with_existing_settings(database_url: str) -> None:
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        tables = {table for table, _ in await columns_of(pool)}
    rows = part("How long it is kept")
    documented = Counter(table for row in rows for table in named(row[0]))
    assert documented == Counter(tables)
    known = {
        f"COUPONRY_{name.upper()}": field.default
        for settings in (RelaySettings, GatewaySettings)
        for name, field in settings.model_fields.items()
        if name.endswith("retention_seconds")
    }
    assert {setting for row in rows for setting in named(row[2])} == set(known)
    for row in rows:
        for setting in named(row[2]):
            days, years = re.search(r"(\d+) days", row[1]), re.search(r"(\d+) years", row[1])
            kept = int(days[1]) if days else 365 * int(years[1]) if years else None
            assert kept is not None
            assert known[setting] == kept * 86_400, setting


def test_every_topic_has_its_content_and_retention() -> None:
    documented = {named(row[0])[0]: row[2] for row in part("Kafka")}
    expected = {}
    for topic in all_topics():
        name = "<topic>.<service>.dlq" if topic.name.endswith(".dlq") else topic.name
        forever = "permanently, always empty"
        expected[name] = f"{topic.retention_ms // DAY_MS} days" if topic.retention_ms > 0 else forever
    assert documented == expected
