"""COMMITs without an answer, on any PostgreSQL: here a constraint that is checked at the COMMIT is slow.

tests/faults/test_standby.py has the same with a standby that is cut off.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.ledger.connection import CommitUnansweredError, CommitWaitsError
from shared.ledger.database import UNAVAILABLE, Connection, Pool, open_pool

pytestmark = pytest.mark.postgres

COMMIT_TAKES_SECONDS = 1.5


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url, role=None, commit_seconds=0.3) as pool:
        await pool.execute(f"""
            CREATE TABLE slow (name text PRIMARY KEY);
            CREATE TABLE quick (name text PRIMARY KEY);
            CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_sleep({COMMIT_TAKES_SECONDS});
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER take_time AFTER INSERT ON slow
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION take_time();
        """)
        yield pool


async def add(pool: Pool, table: str, name: str) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"INSERT INTO {table} VALUES ($1)", name)


async def until_there(pool: Pool, name: str) -> None:
    async with asyncio.timeout(30):
        while not await pool.fetchval("SELECT count(*) FROM slow WHERE name = $1", name):
            await asyncio.sleep(0.02)


async def test_a_commit_that_takes_too_long_is_not_cancelled(pool: Pool) -> None:
    with pytest.raises(CommitUnansweredError, match=r"no answer within 0.3 s"):
        await add(pool, "slow", "one")
    with pytest.raises(CommitWaitsError):
        await add(pool, "quick", "two")
    await until_there(pool, "one")  # a cancel request would have rolled it back
    await add(pool, "quick", "three")
    assert [row[0] for row in await pool.fetch("SELECT name FROM quick")] == ["three"]


async def test_a_task_cancelled_during_its_commit_does_not_cancel_the_commit(pool: Pool) -> None:
    task = asyncio.create_task(add(pool, "slow", "one"))
    async with asyncio.timeout(30):
        while not await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        ):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_there(pool, "one")


async def test_a_task_cancelled_during_a_transaction_ends_as_cancelled(pool: Pool) -> None:
    async def wait(connection: Connection) -> None:
        async with connection.transaction():
            await connection.execute("INSERT INTO quick VALUES ('one')")
            await connection.execute("SELECT pg_sleep(1)")

    async with pool.acquire() as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await wait(connection)
        assert connection.is_closed()
    await add(pool, "quick", "two")
    async with asyncio.timeout(30):  # its session notices the closed connection after its statement
        while await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%' AND pid <> pg_backend_pid()"
        ):
            await asyncio.sleep(0.05)
    assert [row[0] for row in await pool.fetch("SELECT name FROM quick")] == ["two"]


async def test_a_value_that_cannot_be_copied_raises_its_own_error(pool: Pool) -> None:
    async def copy() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await connection.copy_records_to_table("quick", records=[(object(),)], columns=["name"])

    with pytest.raises(TypeError):
        await copy()
    await add(pool, "quick", "one")


async def test_a_failed_transaction_is_not_committed(pool: Pool) -> None:
    async def go_on_as_if_nothing_had_happened() -> None:
        async with pool.acquire() as connection, connection.transaction():
            with contextlib.suppress(asyncpg.DivisionByZeroError):
                await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await go_on_as_if_nothing_had_happened()
    await add(pool, "quick", "one")


async def test_savepoints_and_read_only_transactions_work_as_in_asyncpg(pool: Pool) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            async with connection.transaction():
                await connection.execute("INSERT INTO quick VALUES ('one')")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO quick VALUES ('one')")
        async with connection.transaction(readonly=True):
            assert await connection.fetchval("SELECT count(*) FROM quick") == 1


@pytest.mark.parametrize(
    ("sqlstate", "away"),
    [
        ("53100", True),  # disk full
        ("53200", True),  # out of memory
        ("53300", True),  # too many connections
        ("53400", True),  # configuration limit exceeded
        ("58000", True),  # system error
        ("58030", True),  # I/O error
        ("58P01", True),  # undefined file
        ("57P01", True),  # admin shutdown
        ("57P02", True),  # crash shutdown
        ("57P03", True),  # cannot connect now
        ("57P05", True),  # idle session timeout
        ("08006", True),  # connection failure
        ("25006", True),  # read-only: a standby
        ("XX000", False),  # internal error
        ("XX001", False),  # data corrupted
        ("XX002", False),  # index corrupted
        ("22003", False),  # a value that is out of range
    ],
)
async def test_errors_of_an_unavailable_database_are_recognised(pool: Pool, sqlstate: str, away: bool) -> None:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await pool.execute(f"DO $$ BEGIN RAISE EXCEPTION 'as it happens' USING ERRCODE = '{sqlstate}'; END $$")
    assert raised.value.sqlstate == sqlstate
    assert isinstance(raised.value, UNAVAILABLE) is away
