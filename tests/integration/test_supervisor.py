"""Test the supervisor with small programs instead of services."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from cli.supervisor import RestartPolicy, ServiceFailedError, Supervisor

HURRIED = RestartPolicy(first_delay_seconds=0.01, longest_delay_seconds=0.05, most_quick_deaths=3)
SERVES = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("starts", os.getpid(), os.environ["PLACE"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["COUPONRY_HEALTH_PORT"])), Ready).serve_forever()
"""
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SERVES


def supervisor(program: str, log_dir: Path, *, count: int = 1, stop_seconds: float = 10.0) -> Supervisor:
    def command(_name: str) -> Sequence[str]:
        return [sys.executable, "-c", program]

    return Supervisor(
        {"PLACE": "here"}, {"demo": count}, log_dir, policy=HURRIED, command=command, stop_seconds=stop_seconds
    )


async def until_pid_changes(process: object, old: int) -> int:
    async with asyncio.timeout(30):
        while (pid := process.pid) in (None, old):  # type: ignore[attr-defined]
            await asyncio.sleep(0.02)
    return pid


async def test_every_process_gets_its_own_health_port_log_and_the_environment(tmp_path: Path) -> None:
    async with supervisor(SERVES, tmp_path, count=2) as running:
        await running.ready()
        first, second = running.processes
        assert first.health_port != second.health_port
        assert f"starts {first.pid} here" in first.log_path.read_text()
        assert f"starts {second.pid} here" in second.log_path.read_text()


async def test_a_killed_process_is_restarted(tmp_path: Path) -> None:
    async with supervisor(SERVES, tmp_path) as running:
        await running.ready()
        process = running.processes[0]
        old = process.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        assert await until_pid_changes(process, old) != old
        await running.ready()
        assert process.restarts == 1


async def test_no_process_runs_after_the_supervisor_stops(tmp_path: Path) -> None:
    async with supervisor(SERVES, tmp_path, count=3) as running:
        await running.ready()
        pids = [process.pid for process in running.processes]
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


async def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with supervisor(IGNORES_SIGTERM, tmp_path, stop_seconds=0.2) as running:
        await running.ready()
        pid = running.processes[0].pid
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_process_that_is_starting_is_stopped_too(tmp_path: Path) -> None:
    async with supervisor(SERVES, tmp_path) as running:
        await asyncio.sleep(0)
    assert running.processes[0].pid is None


async def test_a_service_that_keeps_dying_is_not_restarted_and_its_log_is_shown(tmp_path: Path) -> None:
    async with supervisor("raise SystemExit('no luck today')", tmp_path) as running:
        with pytest.raises(ServiceFailedError, match=r"demo-0 died 3 times in a row(.|\n)*no luck today"):
            await running.wait()


async def test_a_service_with_wrong_settings_is_not_restarted(tmp_path: Path) -> None:
    async with supervisor("print('COUPONRY_X is missing'); raise SystemExit(2)", tmp_path) as running:
        with pytest.raises(ServiceFailedError, match="COUPONRY_X is missing"):
            await running.ready()
        assert running.processes[0].restarts == 0


async def test_waiting_ends_when_the_event_is_set(tmp_path: Path) -> None:
    async with supervisor(SERVES, tmp_path) as running:
        enough = asyncio.Event()
        enough.set()
        await running.wait(enough)
        await running.ready()


async def test_processes_end_when_the_supervising_process_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from cli.supervisor import Supervisor
async def main():
    async with Supervisor({{"PLACE": "here"}}, {{"demo": 1}}, Path({str(tmp_path)!r}),
                          command=lambda _: [sys.executable, "-c", {SERVES!r}]) as running:
        await running.ready()
        print(running.processes[0].pid, flush=True)
        await running.wait()
asyncio.run(main())
"""
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    service = psutil.Process(int(await owner.stdout.readline()))
    owner.kill()
    await owner.wait()
    await asyncio.to_thread(service.wait, 30)
