"""Call `couponry` from tests: in this process, with the environment of a terminal."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from typer.testing import CliRunner

from cli.main import app


@dataclass(frozen=True, slots=True)
class Called:
    """The output and exit code of a command. Its output must never contain a traceback."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """Standard output with whitespace collapsed, because tables wrap lines."""
        return " ".join(self.out.split())


@contextmanager
def logging_restored() -> Iterator[None]:
    """Restore the logging configuration, which a command changes for its process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def call(environment: Mapping[str, str], *arguments: str, given: str | bytes | None = None) -> Called:
    """Call `couponry ARGUMENTS` with `given` on standard input."""
    with logging_restored():
        result = CliRunner().invoke(app, list(arguments), env=dict(environment), input=given, prog_name="couponry")
    assert "Traceback" not in result.output, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Called(result.exit_code, result.stdout, result.stderr)
