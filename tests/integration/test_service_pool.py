"""Opening a service's ledger pool: waiting, watching, and refusing with a sentence."""

import asyncio

import psycopg
import pytest
from psycopg import sql

from shared.ledger.migrate import migrate
from shared.ledger.service_pool import service_pool
from shared.runtime.errors import OperatorError, TransientError
from shared.runtime.health import Health
from shared.runtime.service import ServiceContext
from shared.runtime.settings import Settings
from tests.backends import Postgres

pytestmark = pytest.mark.postgres


def context(database_url: str, *, attempts: int = 1) -> ServiceContext[Settings]:
    settings = Settings(kafka_bootstrap_servers="localhost:1", database_url=database_url, transient_attempts=attempts)
    health = Health(60)
    health.started()
    return ServiceContext("tester", settings, asyncio.Event(), health)


async def test_a_migrated_database_is_opened_with_the_services_rights_and_watched(database_url: str) -> None:
    here = context(database_url)
    async with service_pool(here) as pool:
        assert await pool.fetchval("SELECT current_user") == "couponry_service"
        assert await here.health.unready() == {}

    assert set(await here.health.unready()) == {"database"}


async def test_a_database_that_is_not_migrated_yet_is_waited_for(postgres: Postgres) -> None:
    url = postgres.create_database("service_pool_unmigrated")
    try:
        with pytest.raises(TransientError, match="couponry migrate"):
            async with service_pool(context(url)):
                pass

        waiting = asyncio.create_task(_current_user(context(url, attempts=60)))
        await asyncio.to_thread(migrate, url)
        assert await waiting == "couponry_service"
    finally:
        postgres.drop_database("service_pool_unmigrated")


async def _current_user(here: ServiceContext[Settings]) -> str:
    async with service_pool(here) as pool:
        return str(await pool.fetchval("SELECT current_user"))


async def test_an_unavailable_database_is_a_transient_error() -> None:
    with pytest.raises(TransientError, match="did not answer"):
        async with service_pool(context("postgresql://user@127.0.0.1:1/nothing", attempts=2)):
            pass


async def test_a_service_asked_to_stop_stops_waiting() -> None:
    here = context("postgresql://user@127.0.0.1:1/nothing", attempts=60)
    here.stopping.set()
    with pytest.raises(TransientError, match="stopped before the ledger answered"):
        async with service_pool(here):
            pass


async def test_a_login_without_the_services_role_is_an_operator_error(postgres: Postgres, database_url: str) -> None:
    name = "couponry_test_stranger"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(name)))
    try:
        stranger = _as(database_url, name)
        with pytest.raises(OperatorError, match="COUPONRY_DATABASE_URL"):
            async with service_pool(context(stranger)):
                pass
    finally:
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _as(database_url: str, name: str) -> str:
    scheme, _, rest = database_url.partition("://")
    return f"{scheme}://{name}:x@{rest.rpartition('@')[2]}"


@pytest.mark.parametrize("url", ["postgresql://localhost:notaport/x", "mysql://localhost/x"])
async def test_an_invalid_url_is_an_operator_error(url: str) -> None:
    with pytest.raises(OperatorError, match="COUPONRY_DATABASE_URL"):
        async with service_pool(context(url)):
            pass
