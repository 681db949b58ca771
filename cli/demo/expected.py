"""The expected numbers of the demo, computed independently by a script that doesn't use the engine."""

import asyncio
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import orjson

from cli.errors import CommandFailedError

PACKAGE: Final = "examples.complete_journey"
COMPUTING_SECONDS: Final = 300.0


def import_replay() -> ModuleType:
    """Import `examples.complete_journey.replay` from the checkout of this package, or from the current folder.

    Raises CommandFailedError without a checkout (an installed package has no examples) or without the study's data.
    """
    if not _importable() and (Path.cwd() / "examples" / "complete_journey" / "replay.py").is_file():
        sys.path.insert(0, str(Path.cwd()))
        importlib.invalidate_caches()
    if not _importable():
        raise CommandFailedError(
            "The installed package doesn't contain the demo's data: clone the repository and run `make demo` there."
        )
    study = importlib.import_module(f"{PACKAGE}.study")
    try:
        study.table_path("campaigns")
    except study.StudyNotInstalledError as error:
        raise CommandFailedError(f"{error} (the demo compares its numbers with them).") from None
    return importlib.import_module(f"{PACKAGE}.replay")


def _importable() -> bool:
    try:
        return importlib.util.find_spec(f"{PACKAGE}.replay") is not None
    except ModuleNotFoundError:
        return False


def _root_of(replay: ModuleType) -> Path:
    """Return the checkout that the script runs in."""
    return Path(replay.__file__ or "").resolve().parents[2]


class ExpectedNumbers:
    """The running script. Start it early: it takes a few seconds, in parallel with the replay."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._output = asyncio.create_task(process.communicate())

    @classmethod
    async def start(cls, replay: ModuleType) -> "ExpectedNumbers":
        """Start the script `expected`, which is in the same package as `replay`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"{PACKAGE}.expected",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=_root_of(replay),
        )
        return cls(process)

    async def numbers(self) -> dict[str, Any]:
        """Return the script's result. Raises CommandFailedError with its last line of output if it failed."""
        try:
            async with asyncio.timeout(COMPUTING_SECONDS):
                output, errors = await self._output
        except TimeoutError:
            raise CommandFailedError(
                f"The expected numbers were not computed within {COMPUTING_SECONDS:.0f} s."
            ) from None
        if self._process.returncode != 0:
            last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise CommandFailedError(f"The expected numbers could not be computed: {last_line}")
        found: dict[str, Any] = orjson.loads(output)
        return found

    async def stop(self) -> None:
        """Kill the script if it is still running."""
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.gather(self._output, return_exceptions=True)
