"""Test the first steps on a laptop: `couponry up`, the commands of the quickstart, and `couponry demo`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from examples.complete_journey import study

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
COUPONRY = Path(sys.executable).with_name("couponry")
PATIENCE_SECONDS = 90.0
DEMO_SECONDS = 500.0


def plain_environment() -> dict[str, str]:
    """Return the environment without settings of Couponry, because the defaults must be enough."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COUPONRY_")}


class Terminal:
    """Runs `couponry …` in a folder, as in a terminal."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *arguments: str, given: str | None = None, code: int = 0) -> str:
        """Run the command, which must exit with `code`, and return its output."""
        done = subprocess.run(
            [COUPONRY, *arguments],
            cwd=self._folder,
            env=plain_environment(),
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def publish(self, kind: str, *arguments: str) -> None:
        self("publish", "-", given=self("example", kind, *arguments))

    def until(self, arguments: tuple[str, ...], good: Callable[[Any], bool]) -> Any:
        """Repeat the command until `good` accepts its JSON output, and return that."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            seen = self.json(*arguments)
            if good(seen):
                return seen
            assert time.monotonic() < deadline, (arguments, seen)

    @contextmanager
    def up(self) -> Iterator[None]:
        """Run `couponry up` in the same folder; stop it like Ctrl-C does."""
        with (self._folder / "up.log").open("a") as log:
            running = subprocess.Popen(
                [COUPONRY, "up"], cwd=self._folder, env=plain_environment(), stdout=log, stderr=subprocess.STDOUT
            )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "couponry redemptions list" not in (self._folder / "up.log").read_text():
                assert running.poll() is None, (self._folder / "up.log").read_text()
                assert time.monotonic() < deadline, (self._folder / "up.log").read_text()
                time.sleep(0.1)
            yield
            running.send_signal(signal.SIGINT)
            assert running.wait(PATIENCE_SECONDS) == 0, (self._folder / "up.log").read_text()
        finally:
            if running.poll() is None:
                running.kill()
                running.wait()


def test_the_first_steps_that_up_prints_lead_from_a_campaign_to_a_redemption(tmp_path: Path) -> None:
    couponry = Terminal(tmp_path)
    with couponry.up():
        couponry("campaigns", "load", "-", given=couponry("example", "campaign"))
        couponry.publish("signup")
        wallet = couponry.until(("customers", "show", "customer_123"), lambda seen: seen["coupons"])
        [code] = [coupon["code"] for coupon in wallet["coupons"]]
        locked = couponry.json(
            "coupons", "lock", code, "--customer", "customer_123", "--amount", "125.00", "--currency", "USD"
        )
        couponry.publish("order", "--lock", locked["lock_reference"])
        redemptions = couponry.until(("redemptions", "list"), lambda seen: seen)
        assert [(redemption["order_id"], redemption["code"]) for redemption in redemptions] == [("ORD456", code)]
        # Another customer is refused with a reason.
        couponry.publish("order", "--order", "ORD457", "--code", code.lower(), "--customer", "customer_456")
        refused = couponry.until(("redemptions", "list", "--refused"), lambda seen: seen)
        assert [refusal["reason"] for refusal in refused] == ["wrong_customer"]
        couponry.publish("cancelled")
        history = couponry.until(("coupons", "show", code), lambda seen: "restored" in json.dumps(seen))
        assert code in json.dumps(history)
        couponry("publish", "-", "--as-is", "--topic", "orders", given="not a readable event\n")
        assert couponry.until(("dlq", "list"), lambda seen: seen)
        couponry("audit")
    # After a restart everything is still there.
    (tmp_path / "up.log").unlink()
    with couponry.up():
        assert len(couponry.json("redemptions", "list")) == 3
        couponry("audit")


def test_the_demo_replays_a_year_and_every_number_is_right(tmp_path: Path) -> None:
    try:
        study.table_path("campaigns")
    except study.StudyNotInstalledError as error:
        pytest.skip(str(error))
    began = time.monotonic()
    done = subprocess.run(
        [COUPONRY, "demo"],
        cwd=ROOT,
        env={**plain_environment(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert "Every number is the same" in " ".join(done.stdout.split()), said
    assert "108,590" in done.stdout
    assert list(tmp_path.iterdir()) == [], "a successful demo leaves no files"
    sys.stderr.write(f"demo: {time.monotonic() - began:.0f} s\n")
