"""Test `couponry up`: it runs everything, other commands in the folder find it, and Ctrl-C stops all of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli.embedded import FILES, running_stack
from cli.locations import SERVER_VARIABLES
from cli.private_files import prepare_data_folder
from shared.runtime.encryption import VARIABLE

COUPONRY = str(Path(sys.executable).with_name("couponry"))


def environment() -> dict[str, str]:
    """Return an environment without settings, in which the checkout can be imported from any folder."""
    root = str(Path(__file__).resolve().parents[2])
    return {
        **{name: text for name, text in os.environ.items() if name not in (*SERVER_VARIABLES, VARIABLE)},
        "PYTHONPATH": root,
    }


def couponry(folder: Path, *arguments: str, given: str = "") -> str:
    """Call a command in `folder`, which must succeed, and return its output."""
    done = subprocess.run(
        [COUPONRY, *arguments],
        cwd=folder, env=environment(), input=given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def eventually(found: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until `found` returns True, at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.2)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `couponry up` in a new folder and wait until it is ready."""
    process = subprocess.Popen(
        [COUPONRY, "up"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Press Ctrl-C to stop everything"):
                break
        else:
            pytest.fail(f"couponry up ended with {process.wait()}")
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


def test_up_runs_everything_others_find_it_and_ctrl_c_ends_all_of_it(up: subprocess.Popen[str], tmp_path: Path) -> None:
    couponry(tmp_path, "campaigns", "load", "-", given=couponry(tmp_path, "example", "campaign"))
    couponry(tmp_path, "publish", "-", given=couponry(tmp_path, "example", "signup", "--customer", "c1"))
    eventually(lambda: _wallet(tmp_path) != [])
    [code] = _wallet(tmp_path)
    order = couponry(tmp_path, "example", "order", "--customer", "c1", "--code", code, "--code", "NOPE")
    couponry(tmp_path, "publish", "-", given=order)
    eventually(lambda: len(json.loads(couponry(tmp_path, "redemptions", "list", "--json"))) == 2)
    couponry(tmp_path, "audit")
    assert readable_by_others(tmp_path / ".couponry") == []
    endpoint = json.loads(couponry(tmp_path, "webhooks", "add", "https://example.com/", "--json"))
    assert endpoint["secret"].startswith("whsec_")
    couponry(tmp_path, "secrets", "rotate")
    assert (tmp_path / ".couponry" / "encryption-key").read_text().strip()
    second = subprocess.run(
        [COUPONRY, "up"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (second.returncode, "already running" in second.stderr) == (1, True)

    children = psutil.Process(up.pid).children(recursive=True)
    stack = running_stack(tmp_path / ".couponry")
    assert stack is not None
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert running_stack(tmp_path / ".couponry") is None
    gone = subprocess.run(
        [COUPONRY, "audit"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (gone.returncode, gone.stderr.startswith("No stack is running in .couponry")) == (2, True)


def readable_by_others(folder: Path) -> list[str]:
    """Return the paths that other accounts can list or read. Under root, PostgreSQL's account may pass through."""
    wrong = []
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        allowed = 0o010 if os.geteuid() == 0 and path in (folder, folder / "postgres") else 0
        if mode & 0o077 & ~allowed:
            wrong.append(f"{path} {mode:o}")
    return wrong


def test_up_makes_files_private_that_an_earlier_version_left_readable(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    for path, mode in (("logs", 0o755), ("broker", 0o755), ("broker/data", 0o755), ("postgres", 0o755)):
        (folder / path).mkdir(parents=True)
        (folder / path).chmod(mode)
    for path in ("logs/relay-1.log", "broker/broker.log", "broker/data/x", "api-key", "stack.json", "lock"):
        (folder / path).write_text("{}")
        (folder / path).chmod(0o644)
    (folder / "logs" / "elsewhere").symlink_to(tmp_path)
    folder.chmod(0o755)
    tmp_path.chmod(0o755)
    prepare_data_folder(folder, FILES, skipped=folder / "postgres" / "data")
    (folder / "logs" / "elsewhere").unlink()
    assert readable_by_others(folder) == []
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_folder_with_other_files_keeps_its_mode(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    (home / "letter.txt").write_text("")
    home.chmod(0o755)
    (home / "letter.txt").chmod(0o644)
    (home / "logs").chmod(0o755)
    prepare_data_folder(home, FILES, skipped=home / "postgres" / "data")
    assert [path.stat().st_mode & 0o777 for path in (home, home / "letter.txt", home / "logs")] == [0o755, 0o644, 0o700]


def _wallet(folder: Path) -> list[str]:
    """Return the codes that c1 holds, none before c1 is known."""
    done = subprocess.run(
        [COUPONRY, "customers", "show", "c1", "--json"],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return [coupon["code"] for coupon in json.loads(done.stdout)["coupons"]] if done.returncode == 0 else []
