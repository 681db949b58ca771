"""The numbers that must come out, reckoned by a script that knows nothing of the engine, in a process of its own."""

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
RECKONING_SECONDS: Final = 300.0


def import_replay() -> ModuleType:
    """`examples.complete_journey.replay`, from the checkout that we are installed from or stand in.

    Raises CommandFailedError: the examples are no part of an installed package, or the study isn't installed.
    """
    if not _importable() and (Path.cwd() / "examples" / "complete_journey" / "replay.py").is_file():
        sys.path.insert(0, str(Path.cwd()))
        importlib.invalidate_caches()
    if not _importable():
        raise CommandFailedError(
            "The demo's data is no part of the installed package: clone the repository and run `make demo` there."
        )
    study = importlib.import_module(f"{PACKAGE}.study")
    try:
        study.table_path("campaigns")
    except study.StudyNotInstalledError as error:
        raise CommandFailedError(f"{error} (the demo checks itself against them).") from None
    return importlib.import_module(f"{PACKAGE}.replay")


def _importable() -> bool:
    try:
        return importlib.util.find_spec(f"{PACKAGE}.replay") is not None
    except ModuleNotFoundError:
        return False


def _root_of(replay: ModuleType) -> Path:
    """The checkout that the script is run in."""
    return Path(replay.__file__ or "").resolve().parents[2]


class Reckoning:
    """The script at work; begun early, because it takes a few seconds beside the rest."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._output = asyncio.create_task(process.communicate())

    @classmethod
    async def begin(cls, replay: ModuleType) -> "Reckoning":
        """Start the script that stands beside `replay`."""
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
        """What it found. Raises CommandFailedError with what it said when it failed."""
        try:
            async with asyncio.timeout(RECKONING_SECONDS):
                output, errors = await self._output
        except TimeoutError:
            raise CommandFailedError(
                f"The independent numbers were not there after {RECKONING_SECONDS:.0f} s."
            ) from None
        if self._process.returncode != 0:
            said = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise CommandFailedError(f"The independent numbers could not be reckoned: {said}")
        found: dict[str, Any] = orjson.loads(output)
        return found

    async def end(self) -> None:
        """End the script where it still runs."""
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.gather(self._output, return_exceptions=True)
