"""Test the embedded stack: its data survives a restart, and a killed stack doesn't block the next one."""

import asyncio
import os
import signal
import stat
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cli.embedded import EmbeddedStack, ServerError, running_stack

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

HOLDS_A_STACK = """
import asyncio, sys
from pathlib import Path
from cli.embedded import EmbeddedStack
async def main():
    async with EmbeddedStack(Path(sys.argv[1])) as stack:
        print(stack.postgres.process.pid, stack.broker.process.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def hold_a_stack(folder: Path) -> tuple[asyncio.subprocess.Process, list[psutil.Process]]:
    """Start a process with a stack in `folder`, and return it with its two servers."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDS_A_STACK, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    return owner, [psutil.Process(int(pid)) for pid in (await owner.stdout.readline()).split()]


def write_a_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (7)")


def read_the_row(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    assert row is not None
    return int(row[0])


async def write_a_record(bootstrap_servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait("kept", b"seven")


async def until_saved(path: Path) -> None:
    """Wait until the broker has saved, because it acknowledges records before it writes them."""
    now = time.time()
    async with asyncio.timeout(30):
        while not path.exists() or path.stat().st_mtime < now:
            await asyncio.sleep(0.05)


async def read_the_record(bootstrap_servers: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition("kept", 0)])
        async with asyncio.timeout(30):
            return (await consumer.getone()).value
    finally:
        await consumer.stop()


async def test_rows_and_records_survive_a_restart_of_the_stack(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        write_a_row(stack.database_url)
        await write_a_record(stack.bootstrap_servers)
    async with EmbeddedStack(tmp_path) as stack:
        assert read_the_row(stack.database_url) == 7
        assert await read_the_record(stack.bootstrap_servers) == b"seven"


async def test_rows_and_saved_records_survive_a_kill_of_everything(tmp_path: Path) -> None:
    owner, servers = await hold_a_stack(tmp_path)
    endpoints = running_stack(tmp_path)
    assert endpoints is not None
    write_a_row(endpoints.database_url)
    await write_a_record(endpoints.bootstrap_servers)
    await until_saved(tmp_path / "broker" / "data" / "kafka.json")
    for server in servers:
        server.kill()
    owner.kill()
    await owner.wait()
    async with EmbeddedStack(tmp_path) as stack:
        assert read_the_row(stack.database_url) == 7
        assert await read_the_record(stack.bootstrap_servers) == b"seven"


async def test_both_servers_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    owner, servers = await hold_a_stack(tmp_path)
    owner.kill()
    await owner.wait()
    for server in servers:
        await asyncio.to_thread(server.wait, 30)


async def test_a_stack_starts_while_the_servers_of_a_killed_one_are_still_ending(tmp_path: Path) -> None:
    owner, _ = await hold_a_stack(tmp_path)
    owner.kill()
    await owner.wait()
    async with EmbeddedStack(tmp_path) as stack:
        with psycopg.connect(stack.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


async def test_a_folder_has_one_running_stack(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path):
        with pytest.raises(ServerError, match="already running"):
            await EmbeddedStack(tmp_path).__aenter__()


async def test_another_terminal_finds_the_running_stack_and_no_stopped_one(tmp_path: Path) -> None:
    assert running_stack(tmp_path) is None
    async with EmbeddedStack(tmp_path) as stack:
        found = running_stack(tmp_path)
        assert found is not None
        assert (found.database_url, found.bootstrap_servers) == (stack.database_url, stack.bootstrap_servers)
        assert stat.S_IMODE((tmp_path / "stack.json").stat().st_mode) == 0o600
    assert running_stack(tmp_path) is None


async def test_the_database_requires_its_password(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path) as stack:
        password = stack.database_url.split(":")[2].split("@")[0]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stack.database_url.replace(password, "guessed"))


async def test_a_stale_pid_file_with_the_pid_of_another_program_does_no_harm(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path):
        pass
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n")
        (tmp_path / "broker" / "broker.pid").write_text(f"{stranger.pid}\n")
        async with EmbeddedStack(tmp_path) as stack:
            assert stack.postgres.process.alive
        assert stranger.returncode is None
        os.kill(stranger.pid, 0)
    finally:
        stranger.send_signal(signal.SIGKILL)
        await stranger.wait()
