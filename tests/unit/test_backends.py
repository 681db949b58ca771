"""Test which backends are chosen, and forced choices."""

from pathlib import Path

import pytest

from tests.backends import BackendError, Folders, describe_choices, start_kafka
from tests.backends.handles import NotStoppableError, temporary_folder


def test_a_given_broker_is_used_before_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUPONRY_TEST_BROKER", raising=False)
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")
    broker = start_kafka()
    assert broker.bootstrap_servers == "broker.example:9092"
    assert "broker.example:9092" in broker.description


def test_clients_of_a_given_broker_get_its_security_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")
    monkeypatch.setenv("COUPONRY_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    assert start_kafka("given").environment["COUPONRY_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"


def test_a_given_broker_is_never_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")
    broker = start_kafka("given")
    with pytest.raises(NotStoppableError):
        broker.kill()


def test_an_unavailable_forced_choice_fails_without_a_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(BackendError, match="COUPONRY_KAFKA_BOOTSTRAP_SERVERS is not set"):
        start_kafka("given")


def test_a_forced_apache_without_java_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendError, match="java is not on the PATH"):
        start_kafka("apache")


def test_an_unknown_choice_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_TEST_BROKER", "carrier-pigeon")
    with pytest.raises(BackendError, match="given, docker, apache, embedded"):
        describe_choices()


def test_a_killed_runs_data_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folders, "root", tmp_path)
    unused_pid = 2**22 + 1  # above the largest pid of Linux
    left = tmp_path / f"couponry-tests-{unused_pid}-kafka-x"
    left.mkdir()
    mine = temporary_folder("kafka")
    assert not left.exists()
    assert mine.is_dir()
