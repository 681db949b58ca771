"""Apply the SQL files of `migrations/` in order, with yoyo; then make the keys of codes again where they differ."""

from collections.abc import Callable
from importlib import resources
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql as psycopg_sql
from yoyo import get_backend, read_migrations

from shared.ledger.database import SCHEMA
from shared.ledger.rekeying import rekey
from shared.runtime.logging import get_logger

log = get_logger("ledger")

MIGRATION_LOCK = 0x636F75706F6E  # "coupon": any number works if every version of Couponry uses the same
LOCK_SECONDS = 120


class MigrationError(Exception):
    """A migration failed. The message says why and what to do."""


def migrate(database_url: str, report: Callable[[str], None] | None = None) -> list[str]:
    """Apply missing migrations, each once, even if several processes run at the same time.

    `report` gets sentences about codes whose keys changed; by default they are logged. The login of `database_url` must
    own the schema, or have the right to create it and roles. Return the names of the applied migrations, oldest first;
    empty if there were none. Raises MigrationError.
    """
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(psycopg_sql.SQL("SET lock_timeout = {}").format(f"{LOCK_SECONDS}s"))
            connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
            connection.execute(psycopg_sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(psycopg_sql.Identifier(SCHEMA)))
            names = _apply(database_url)
            _rekey(database_url, report or _log)
            return names
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"The login of the database URL has insufficient rights: {str(error).strip()}. "
            "Migrate as the database's owner, with the right to create roles."
        ) from error
    except psycopg.OperationalError as error:
        raise MigrationError(
            f"PostgreSQL can't be reached: {str(error).strip()}. Check COUPONRY_DATABASE_URL."
        ) from error
    except psycopg.Error as error:
        raise MigrationError(f"A migration failed and was rolled back: {str(error).strip()}.") from error


def _apply(database_url: str) -> list[str]:
    directory = str(resources.files("shared.ledger").joinpath("migrations"))
    backend = get_backend(_yoyo_url(database_url))
    try:
        pending = backend.to_apply(read_migrations(directory))
        names = [migration.id for migration in pending]
        backend.apply_migrations(pending)
        return names
    finally:
        backend.connection.close()


def _rekey(database_url: str, report: Callable[[str], None]) -> None:
    with psycopg.connect(
        database_url, autocommit=True, connect_timeout=10, cursor_factory=psycopg.RawCursor
    ) as connection:
        connection.execute(f"SET search_path = {SCHEMA}")
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        rekey(connection, report)


def _log(sentence: str) -> None:
    log.warning("codes were compared again", detail=sentence)


def _yoyo_url(database_url: str) -> str:
    """Return the URL in yoyo's format, with psycopg 3 and our schema."""
    parts = urlsplit(database_url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, f"{query}schema={SCHEMA}", ""))
