"""Unencrypted connections to other machines are refused at the start, unless a setting allows them."""

import os

import pytest

from shared.runtime.remote_hosts import hosts_and_sslmode, is_this_machine
from shared.runtime.settings import DatabaseSettings, KafkaSettings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("COUPONRY_", "PG")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("", True),
        ("/var/run/postgresql", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("kafka", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_loopback_and_sockets_count_as_this_machine(host: str, here: bool) -> None:
    assert is_this_machine(host) == here


@pytest.mark.parametrize(
    ("servers", "protocol", "allowed"),
    [
        ("127.0.0.1:9092,[::1]:9092,localhost:9092", "PLAINTEXT", True),
        ("kafka:9092", "PLAINTEXT", False),
        ("127.0.0.1:9092,kafka:9092", "PLAINTEXT", False),
        ("kafka:9092", "SASL_PLAINTEXT", False),
        ("kafka:9092", "SASL_SSL", True),
        ("kafka:9092", "SSL", True),
    ],
)
def test_a_remote_broker_needs_tls(monkeypatch: pytest.MonkeyPatch, servers: str, protocol: str, allowed: bool) -> None:
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", servers)
    monkeypatch.setenv("COUPONRY_KAFKA_SECURITY_PROTOCOL", protocol)
    monkeypatch.setenv("COUPONRY_KAFKA_SASL_USERNAME", "u")
    monkeypatch.setenv("COUPONRY_KAFKA_SASL_PASSWORD", "hunter2")
    if allowed:
        load_settings(KafkaSettings)
        return
    with pytest.raises(SettingsError, match="names kafka, which is not this machine") as caught:
        load_settings(KafkaSettings)
    assert "COUPONRY_ALLOW_PLAINTEXT=true" in str(caught.value)
    monkeypatch.setenv("COUPONRY_ALLOW_PLAINTEXT", "true")
    load_settings(KafkaSettings)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("postgresql://u:hunter2@localhost/x", True),
        ("postgresql://u:hunter2@127.0.0.1:5432/x", True),
        ("postgresql://u:hunter2@[::1]:5432/x", True),
        ("postgresql:///x", True),
        ("postgresql:///x?host=/var/run/postgresql", True),
        ("postgresql://u:hunter2@%2Fvar%2Frun/x", True),
        ("postgresql://u:hunter2@db/x", False),
        ("postgresql://u:hunter2@db:5432/x?sslmode=prefer", False),
        ("postgresql://u:hunter2@db:5432/x?sslmode=disable", False),
        ("postgresql://u:hunter2@localhost,db:5432/x", False),
        ("postgresql://localhost/x?host=db", False),
        ("postgresql://localhost/x?hostaddr=10.0.0.1", False),
        ("postgresql://u:hunter2@db/x?sslmode=require", True),
        ("postgresql://u:hunter2@db/x?sslmode=verify-ca&sslrootcert=/ca", True),
        ("postgresql://u:hunter2@db/x?sslmode=verify-full&sslrootcert=/ca", True),
    ],
)
def test_a_remote_database_needs_tls(monkeypatch: pytest.MonkeyPatch, url: str, allowed: bool) -> None:
    monkeypatch.setenv("COUPONRY_DATABASE_URL", url)
    if allowed:
        load_settings(DatabaseSettings)
        return
    with pytest.raises(SettingsError, match="which is not this machine") as caught:
        load_settings(DatabaseSettings)
    assert "sslmode=verify-full" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("COUPONRY_ALLOW_PLAINTEXT", "true")
    load_settings(DatabaseSettings)


def test_libpqs_variables_are_applied_as_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert hosts_and_sslmode("postgresql:///x") == (["db"], "verify-full")
