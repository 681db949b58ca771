"""Turn any error into an exit code and a message that says what to do."""

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
    """A command failed; the message says why and what to do."""


class UsageProblemError(Exception):
    """The command was called wrongly in a way that typer can't detect; the message says how to call it."""


class DatabaseUnavailableError(CommandFailedError):
    """The ledger can't be reached."""


class BrokerUnavailableError(CommandFailedError):
    """The broker can't be reached."""


_USAGE: Final = (SettingsError, UsageProblemError, MoneyError)
_WITH_MESSAGE: Final = (
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
        "PostgreSQL refuses the login: {text}. Check user and password in COUPONRY_DATABASE_URL.",
    ),
    (
        (asyncpg.InvalidCatalogNameError,),
        "The database does not exist: {text}. Create it, or correct COUPONRY_DATABASE_URL.",
    ),
    (
        (asyncpg.InsufficientPrivilegeError,),
        "The login lacks a permission: {text}. Use a login that is a member of couponry_service.",
    ),
    (
        (asyncpg.QueryCanceledError,),
        "PostgreSQL reached its time limit: {text}. Request less (--limit, --since) or try again later.",
    ),
    ((asyncpg.PostgresError,), "PostgreSQL refused: {text}."),
)
"""Messages for PostgreSQL's errors. The first matching class is used."""


def explain(error: Exception) -> tuple[int, str]:
    """Return the exit code and the message for `error`."""
    if isinstance(error, _USAGE):
        return EXIT_USAGE, str(error)
    if isinstance(error, _WITH_MESSAGE):
        quoting = isinstance(error, MigrationError)  # PostgreSQL's own text has several lines
        return EXIT_FAILED, " ".join(str(error).split()) if quoting else str(error)
    if isinstance(error, asyncpg.PostgresError):
        return EXIT_FAILED, explain_postgres(error)
    if isinstance(error, KafkaError):
        return EXIT_FAILED, f"The broker refused: {describe(error)}."
    if isinstance(error, UNAVAILABLE):
        return (
            EXIT_FAILED,
            f"The connection to the database or the broker was lost: {describe(error)}. Try again later.",
        )
    return EXIT_BUG, _bug(error)


def explain_postgres(error: asyncpg.PostgresError) -> str:
    """Return the message for an error of PostgreSQL."""
    text = str(error).rstrip(".")
    if isinstance(error, asyncpg.InvalidParameterValueError) and "role" in text:
        return _REFUSALS[0][1]  # the roles are created with the tables
    return next(sentence for classes, sentence in _REFUSALS if isinstance(error, classes)).format(text=text)


def _bug(error: Exception) -> str:
    if os.environ.get(TRACEBACK_VARIABLE):
        return "".join(traceback.format_exception(error)).rstrip()
    return f"This is a bug in Couponry: {describe(error)}. Please report it with what {TRACEBACK_VARIABLE}=1 prints."


def describe(error: BaseException) -> str:
    """Return an error's class and text on one line, only the class if there is no text."""
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
