"""Test `couponry outbox`: list withheld events and publish them again."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from shared.ledger.database import open_pool
from shared.ledger.outbox import OutboxRow, append
from shared.ledger.withheld import Unpublishable, withhold
from tests.integration.cli_calls import Called, call

pytestmark = pytest.mark.postgres

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    def called(*arguments: str) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments)

    return called


@pytest.fixture
def three_withheld(database_url: str) -> None:
    """Withhold positions 1 to 3; key and error of the second contain terminal control characters."""
    rows = [
        OutboxRow(
            event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
            topic="coupons.redemptions",
            key="O\x1b[31m" if number == 2 else f"O{number}",
            type="coupon.redeemed",
            source="/couponry/ledger",
            subject="O",
            time=datetime.now(UTC),
            data="{}",
        )
        for number in (1, 2, 3)
    ]

    async def prepare() -> None:
        me = uuid.uuid4()
        async with await open_pool(database_url) as pool:
            async with pool.acquire() as connection, connection.transaction():
                await append(connection, rows)
            await pool.execute("INSERT INTO relay_positions (relay, leader) VALUES ('r', $1)", me)
            await withhold(pool, "r", me, [Unpublishable(n, "too_large", "\u202e9 bytes") for n in (1, 2, 3)])

    asyncio.run(prepare())


def test_no_withheld_events_is_reported_in_one_line(couponry: Couponry) -> None:
    assert couponry("outbox", "list").words == "No event is withheld."
    assert couponry("outbox", "list", "--json").json == []
    assert couponry("outbox", "publish", "--all", "--json").json == {"published": []}


@pytest.mark.usefixtures("three_withheld")
def test_withheld_events_are_listed_and_published_once(couponry: Couponry) -> None:
    listed = couponry("outbox", "list", "--json").json
    assert [one["position"] for one in listed] == [1, 2, 3]
    assert listed[1]["key"] == "O\x1b[31m"
    shown = couponry("outbox", "list")
    assert "\\x1b[31m" in shown.words.replace(" ", "")
    assert not {"\x1b", "\u202e"} & set(shown.out)
    assert couponry("outbox", "publish", "2").words == "1 event put into the outbox again."
    assert [one["position"] for one in couponry("outbox", "list", "--json").json] == [1, 3]
    assert len(couponry("outbox", "list", "--all", "--json").json) == 3
    again = couponry("outbox", "publish", "2")
    assert again.exit_code == 1
    assert "No event is withheld at position 2" in again.err
    both = couponry("outbox", "publish", "3", "77")
    assert "position 77 (1 other put into the outbox again)" in both.err
    assert couponry("outbox", "publish", "--all", "--json").json == {"published": [1]}


def test_an_invalid_position_is_a_usage_error(couponry: Couponry) -> None:
    for arguments in ((), ("1", "--all"), ("0",), ("x",), ("99999999999999999999",)):
        assert couponry("outbox", "publish", *arguments).exit_code == 2, arguments
