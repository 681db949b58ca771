"""From whatever went wrong to one sentence that says what to do, and an exit code."""

import os
import traceback
from typing import Final

import asyncpg
from aiokafka.errors import KafkaError

from cli.processes import ServerError
from shared.domain.model.money import MoneyError
from shared.ledger.database import UNAVAILABLE
from shared.ledger.definitions import DefinitionError
from shared.ledger.engine import LedgerUnavailableError
from shared.ledger.migrate import MigrationError
from shared.runtime.errors import EXIT_BUG, OperatorError, TransientError
from shared.runtime.settings import SettingsError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

TRACEBACK_VARIABLE: Final = "COUPONRY_TRACEBACK"


class CommandFailedError(Exception):
    """A command couldn't do what it was asked to; the text is one sentence that says what to do."""


class UsageProblemError(Exception):
    """The command was called wrongly, beyond what typer sees; the text says how to call it."""


class DatabaseAwayError(CommandFailedError):
    """The ledger can't be reached."""


class BrokerAwayError(CommandFailedError):
    """The broker can't be reached."""


_USAGE: Final = (SettingsError, UsageProblemError, MoneyError)
_SAY_THEMSELVES: Final = (
    CommandFailedError,
    OperatorError,
    ServerError,
    MigrationError,
    LedgerUnavailableError,
    DefinitionError,
    TransientError,
)

_REFUSALS: Final[tuple[tuple[tuple[type[asyncpg.PostgresError], ...], str], ...]] = (
    (
        (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError),
        "The ledger has no tables yet: create them with `couponry migrate`.",
    ),
    (
        (asyncpg.UndefinedColumnError, asyncpg.UndefinedFunctionError),
        "The ledger's tables don't fit this program ({text}): bring them up to date with `couponry migrate`.",
    ),
    (
        (asyncpg.InvalidAuthorizationSpecificationError,),
        "PostgreSQL refuses the log-in: {text}. Check user and password in COUPONRY_DATABASE_URL.",
    ),
    (
        (asyncpg.InvalidCatalogNameError,),
        "PostgreSQL has no such database: {text}. Create it, or correct COUPONRY_DATABASE_URL.",
    ),
    (
        (asyncpg.InsufficientPrivilegeError,),
        "The log-in may not do that: {text}. Use one that is a member of couponry_service.",
    ),
    (
        (asyncpg.QueryCanceledError,),
        "PostgreSQL gave up after its time limit: {text}. Ask for less (--limit, --since) or try again later.",
    ),
    ((asyncpg.PostgresError,), "PostgreSQL refused: {text}."),
)
"""PostgreSQL's refusals and what they mean for somebody at a terminal; the first that fits."""


def explain(error: Exception) -> tuple[int, str]:
    """The exit code for `error`, and the sentence."""
    if isinstance(error, _USAGE):
        return EXIT_USAGE, str(error)
    if isinstance(error, _SAY_THEMSELVES):
        quoting = isinstance(error, MigrationError)  # PostgreSQL's own words come in several lines
        return EXIT_FAILED, " ".join(str(error).split()) if quoting else str(error)
    if isinstance(error, asyncpg.PostgresError):
        return EXIT_FAILED, explain_postgres(error)
    if isinstance(error, KafkaError):
        return EXIT_FAILED, f"The broker refused: {describe(error)}."
    if isinstance(error, UNAVAILABLE):
        return EXIT_FAILED, f"The database or the broker went away: {describe(error)}. Try again when it is back."
    return EXIT_BUG, _bug(error)


def explain_postgres(error: asyncpg.PostgresError) -> str:
    """What PostgreSQL's refusal means for somebody at a terminal."""
    text = str(error).rstrip(".")
    if isinstance(error, asyncpg.InvalidParameterValueError) and "role" in text:
        return _REFUSALS[0][1]  # the roles come with the tables
    return next(sentence for classes, sentence in _REFUSALS if isinstance(error, classes)).format(text=text)


def _bug(error: Exception) -> str:
    if os.environ.get(TRACEBACK_VARIABLE):
        return "".join(traceback.format_exception(error)).rstrip()
    return f"This is a bug in Couponry: {describe(error)}. Please report it with what {TRACEBACK_VARIABLE}=1 shows."


def describe(error: BaseException) -> str:
    """An error's class and text, on one line; some have no text of their own."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
