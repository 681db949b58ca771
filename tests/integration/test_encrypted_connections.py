"""TLS and SCRAM to broker and database with real certificates: an order is redeemed, and refusals are explained."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from shared.ledger.engine import Engine
from shared.ledger.migrate import migrate
from shared.messaging import access
from shared.messaging.topics_admin import create_topics
from shared.runtime.errors import OperatorError
from tests.backends import apache
from tests.backends.encrypted import Authority, EncryptedKafka, EncryptedPostgres, postgres_with_tls
from tests.integration.kafka_tools import read_all, write_all
from tests.integration.service_process import eventually, kafka_settings, running
from tests.ledger import definition, issue, ledger

pytestmark = [pytest.mark.postgres, pytest.mark.broker]
PREFIX = "encrypted."


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def encrypted_kafka(authority: Authority) -> Iterator[EncryptedKafka]:
    if (reason := apache.unavailable()) is not None:
        pytest.skip(f"Apache Kafka can't be started here: {reason}")
    with EncryptedKafka(authority) as broker:
        broker.start()
        yield broker


@pytest.fixture(scope="module")
def encrypted_postgres(authority: Authority) -> Iterator[EncryptedPostgres]:
    if postgres_with_tls() is None:
        pytest.skip("no PostgreSQL with OpenSSL is installed here; the wheel's was built without")
    with EncryptedPostgres(authority) as server:
        server.start()
        server.create_database("couponry")
        migrate(server.url_with(database="couponry"))
        yield server


@pytest.fixture
def encrypted(encrypted_kafka: EncryptedKafka, encrypted_postgres: EncryptedPostgres) -> dict[str, str]:
    """The settings a service needs to connect."""
    return {
        **encrypted_kafka.environment,
        "COUPONRY_DATABASE_URL": encrypted_postgres.url_with(database="couponry"),
        "COUPONRY_TOPIC_PREFIX": PREFIX,
        "COUPONRY_LOG_FORMAT": "json",
    }


async def test_an_order_goes_from_topic_to_topic_over_tls_and_scram(encrypted: dict[str, str]) -> None:
    settings = kafka_settings(encrypted)
    await create_topics(settings)
    async with ledger(encrypted["COUPONRY_DATABASE_URL"], definition()) as pool:
        (code,) = await issue(Engine(pool), "save10")
        data = {"order_id": "O1", "placed_at": "2026-03-01T12:00:00Z", "currency": "USD", "amount": "10.00",
                "coupon_codes": [code]}  # fmt: skip
        event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": data}
        await write_all(settings, [(settings.topic("orders"), b"O1", json.dumps(event).encode(), None)])
        async with running("redeemer", encrypted) as redeemer, running("relay", encrypted) as relay:
            await redeemer.ready()
            published = await eventually(
                lambda: read_all(settings, settings.topic("coupons.redemptions")), lambda records: len(records) == 1
            )
            assert json.loads(published[0].value or b"")["order_id"] == "O1"
            admin = await asyncpg.connect(encrypted["COUPONRY_DATABASE_URL"])
            encrypted_connections = await admin.fetch(
                "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'client backend'"
            )
            await admin.close()
            assert len(encrypted_connections) > 3
            assert all(row["ssl"] for row in encrypted_connections)
            assert await redeemer.stop() == 0
            assert await relay.stop() == 0


async def left(service: str, environment: dict[str, str]) -> tuple[int, str]:
    """Return the exit code of a service that can't run, and its last log line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}",
        env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode().strip().splitlines()[-1]


def open_sockets() -> int:
    """Return the number of sockets that the running event loop watches."""
    return len(asyncio.get_running_loop()._selector.get_map())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("authority", "certificate that isn't trusted"),
        ("password", "refuses the login"),
        ("mechanism", "refuses the login"),
        ("file", "can't be read"),
    ],
)
async def test_a_brokers_refusal_is_reported_with_its_reason(
    encrypted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, sentence: str
) -> None:
    monkeypatch.setattr(access, "PAUSE_SECONDS", 0.01)
    changed = {
        "authority": {"COUPONRY_KAFKA_SSL_CAFILE": str(Authority(tmp_path).ca_file)},
        "password": {"COUPONRY_KAFKA_SASL_PASSWORD": "hunter2"},
        "mechanism": {"COUPONRY_KAFKA_SASL_MECHANISM": "PLAIN"},
        "file": {"COUPONRY_KAFKA_SSL_CAFILE": str(tmp_path / "nowhere.pem")},
    }[wrong]
    open_before = open_sockets()
    with pytest.raises(OperatorError, match=sentence) as caught:
        await access.check_access(kafka_settings({**encrypted, **changed}))
    assert open_sockets() == open_before
    assert "COUPONRY_KAFKA_" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("service", ["redeemer", "relay"])
async def test_a_wrong_password_for_the_broker_ends_a_service_with_code_2(
    encrypted: dict[str, str], service: str
) -> None:
    code, said = await left(service, {**encrypted, "COUPONRY_KAFKA_SASL_PASSWORD": "hunter2"})
    assert code == 2, said
    assert "COUPONRY_KAFKA_SASL_PASSWORD" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("service", "wrong"),
    [("gateway", "authority"), ("gateway", "password"), ("gateway", "file"), ("redeemer", "unencrypted")],
)
async def test_a_database_that_refuses_the_login_ends_the_service_with_a_sentence(
    encrypted: dict[str, str], encrypted_postgres: EncryptedPostgres, tmp_path: Path, service: str, wrong: str
) -> None:
    options, sentence = {
        "authority": ({"sslrootcert": str(Authority(tmp_path).ca_file)}, "certificate isn't trusted"),
        "password": ({"password": "hunter2"}, "PostgreSQL refuses"),
        "file": ({"sslrootcert": str(tmp_path / "nowhere.pem")}, "certificate file"),
        "unencrypted": ({"sslmode": "disable", "sslrootcert": ""}, "PostgreSQL refuses"),
    }[wrong]
    url = encrypted_postgres.url_with(database="couponry", **options)
    code, said = await left(service, {**encrypted, "COUPONRY_DATABASE_URL": url})
    assert code == 2, said
    assert sentence in said
    assert "COUPONRY_DATABASE_URL" in said
    assert "hunter2" not in said


async def test_a_server_without_tls_is_not_retried_endlessly(encrypted: dict[str, str], database_url: str) -> None:
    code, said = await left("redeemer", {**encrypted, "COUPONRY_DATABASE_URL": f"{database_url}?sslmode=require"})
    assert code == 2, said
    assert "offers no TLS" in said


async def test_an_unavailable_broker_is_not_a_refusal(
    encrypted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "PAUSE_SECONDS", 0.01)
    settings = kafka_settings({**encrypted, "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    open_before = open_sockets()
    await access.check_access(settings)
    await access.check_access(kafka_settings(encrypted))
    assert open_sockets() == open_before
    both = f"127.0.0.1:1,{encrypted['COUPONRY_KAFKA_BOOTSTRAP_SERVERS']}"
    wrong = settings.model_copy(update={"kafka_bootstrap_servers": both, "kafka_sasl_username": "unknown"})
    with pytest.raises(OperatorError, match="refuses the login"):
        await access.check_access(wrong)
