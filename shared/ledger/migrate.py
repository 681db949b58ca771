"""Bring the ledger's tables up to date: the plain SQL files of `migrations/`, applied in order by yoyo."""

from importlib import resources
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql as psycopg_sql
from yoyo import get_backend, read_migrations

from shared.ledger.database import SCHEMA

MIGRATION_LOCK = 0x636F75706F6E  # "coupon": any number will do, as long as every version of Couponry takes the same
LOCK_SECONDS = 120


class MigrationError(Exception):
    """The tables could not be brought up to date; the text says why and what to do."""


def migrate(database_url: str) -> list[str]:
    """Apply what is missing, each file once, however many processes try at the same time.

    `database_url` must log in as the owner of the schema (or as somebody who may create it, and roles). Returns the
    names of the migrations it applied, oldest first; empty when there was nothing to do. Raises MigrationError.
    """
    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(psycopg_sql.SQL("SET lock_timeout = {}").format(f"{LOCK_SECONDS}s"))
            connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
            connection.execute(psycopg_sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(psycopg_sql.Identifier(SCHEMA)))
            return _apply(database_url)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"The log-in of the database URL may not do that: {str(error).strip()}. "
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


def _yoyo_url(database_url: str) -> str:
    """The same database in yoyo's spelling: psycopg 3, and our schema as the search path."""
    parts = urlsplit(database_url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, f"{query}schema={SCHEMA}", ""))
