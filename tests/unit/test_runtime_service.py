"""How a service process begins and ends, seen from outside: signals, exit codes, health, log lines."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

PRELUDE = """
import asyncio, sys, time
from shared.runtime.errors import OperatorError, TransientError
from shared.runtime.logging import bound, get_logger
from shared.runtime.service import ServiceContext, run_service
from shared.runtime.settings import Settings, load_settings_or_exit
log = get_logger("test")
"""
ENDING = """
sys.exit(run_service(main, load_settings_or_exit(Settings), "tested"))
"""
WAITS_UNTIL_STOPPED = """
async def main(context):
    print("ready", flush=True)
    await context.stopping.wait()
    log.info("drained")
"""


def environment(**variables: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COUPONRY_DATABASE_URL": "postgresql://unknown@127.0.0.1:1/none",
        "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        **variables,
    }


@contextmanager
def process(body: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + body + ENDING],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def lines(stderr: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_leaves_with_code_0(number: signal.Signals) -> None:
    with process(WAITS_UNTIL_STOPPED) as service:
        assert service.stdout is not None
        service.stdout.readline()
        service.send_signal(number)
        _, stderr = service.communicate(timeout=20)
    assert service.returncode == 0
    assert [line["event"] for line in lines(stderr)] == ["started", "stopping", "drained", "stopped"]


def test_a_service_that_does_not_drain_in_time_leaves_with_code_75() -> None:
    body = """
async def main(context):
    print("ready", flush=True)
    await asyncio.Event().wait()
"""
    with process(body, COUPONRY_DRAIN_SECONDS="0.2") as service:
        assert service.stdout is not None
        service.stdout.readline()
        service.terminate()
        _, stderr = service.communicate(timeout=20)
    assert service.returncode == 75
    assert "not drained in time" in stderr


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("OperatorError('Topic orders does not exist.')", 2, "Topic orders does not exist."),
        ("TransientError('the database is away')", 75, "the database is away"),
        ("AssertionError('used twice')", 70, "used twice"),
    ],
)
def test_what_main_raises_decides_the_exit_code(raised: str, code: int, said: str) -> None:
    with process(f"async def main(context):\n    raise {raised}\n") as service:
        _, stderr = service.communicate(timeout=20)
    assert service.returncode == code
    assert said in stderr
    assert ("Traceback" in stderr) == (code == 70)


def test_a_blocked_event_loop_is_ended_by_the_watchdog() -> None:
    body = "async def main(context):\n    time.sleep(60)\n"
    with process(body, COUPONRY_PROGRESS_TIMEOUT_SECONDS="0.5") as service:
        _, stderr = service.communicate(timeout=20)
    assert service.returncode == 75
    assert "no progress" in stderr


def test_a_bound_order_id_is_on_every_line_of_its_work() -> None:
    body = """
import logging
async def main(context):
    with bound(event_id="e1", order_id="o1"):
        log.info("ours")
        logging.getLogger("some.library").warning("theirs")
    log.info("outside")
"""
    with process(body) as service:
        _, stderr = service.communicate(timeout=20)
    by_event = {line["event"]: line for line in lines(stderr)}
    for event in ("ours", "theirs"):
        assert by_event[event]["order_id"] == "o1"
        assert by_event[event]["event_id"] == "e1"
        assert by_event[event]["service"] == "tested"
    assert "order_id" not in by_event["outside"]


def test_a_broker_client_never_logs_payloads_even_at_debug() -> None:
    body = """
import logging
async def main(context):
    logging.getLogger("aiokafka.producer.producer").debug("Sending (key=%s value=%s)", b"k", b"jane@example.com")
    log.debug("ours")
"""
    with process(body, COUPONRY_LOG_LEVEL="debug") as service:
        _, stderr = service.communicate(timeout=20)
    assert "jane@example.com" not in stderr
    assert "ours" in {line["event"] for line in lines(stderr)}


def test_a_broker_client_that_repeats_itself_is_heard_once() -> None:
    body = """
import logging
async def main(context):
    for number in range(50):
        logging.getLogger("aiokafka.conn").error("Unable connect to node %s", number)
        log.info("ours")
"""
    with process(body) as service:
        _, stderr = service.communicate(timeout=20)
    events = [line["event"] for line in lines(stderr)]
    assert events.count("ours") == 50
    assert [event for event in events if "Unable" in str(event)] == ["Unable connect to node 0"]


def test_the_console_format_is_not_json() -> None:
    with process(
        "async def main(context):\n    log.info('hello', amount=3)\n", COUPONRY_LOG_FORMAT="console"
    ) as service:
        _, stderr = service.communicate(timeout=20)
    assert lines(stderr) == []
    assert "amount=3" in stderr


def test_health_says_alive_and_what_is_missing_until_ready() -> None:
    port = free_port()
    body = """
async def main(context):
    missing = ["no partitions assigned"]
    async def partitions():
        return missing[0] if missing else None
    context.health.add_check("partitions", partitions)
    context.health.started()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    missing.clear()
    print("assigned", flush=True)
    await context.stopping.wait()
"""
    started = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + body + ENDING],
        env=environment(COUPONRY_HEALTH_PORT=str(port)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdout.readline()
        url = f"http://127.0.0.1:{port}"
        assert wait_for(url + "/livez").status_code == 200
        unready = httpx.get(url + "/readyz")
        assert unready.status_code == 503
        assert unready.json()["missing"] == {"partitions": "no partitions assigned"}
        started.stdin.write("go\n")
        started.stdin.flush()
        started.stdout.readline()
        assert httpx.get(url + "/readyz").status_code == 200
        assert "process_open_fds" in httpx.get(url + "/metrics").text
        started.terminate()
        assert started.wait(timeout=20) == 0
    finally:
        started.kill()
        started.communicate()


def wait_for(url: str) -> httpx.Response:
    for _ in range(100):
        try:
            return httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} never answered")


def test_a_health_port_that_is_taken_is_one_sentence_and_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with process(WAITS_UNTIL_STOPPED, COUPONRY_HEALTH_PORT=str(port)) as service:
            _, stderr = service.communicate(timeout=20)
    assert service.returncode == 2
    assert f"COUPONRY_HEALTH_PORT={port}" in stderr
    assert "Traceback" not in stderr
