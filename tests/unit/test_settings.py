"""Settings: their sources, and the errors about missing or wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

from shared.runtime.settings import KafkaSettings, Settings, SettingsError, load_settings

DATABASE_URL = "postgresql://couponry:hunter2@db/couponry?sslmode=require"


class ServiceSettings(Settings):
    burn_on: str = Field("placed", pattern="^(placed|paid)$")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_DATABASE_URL", DATABASE_URL)
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    monkeypatch.delenv("COUPONRY_SECRETS_DIR", raising=False)
    monkeypatch.delenv("COUPONRY_TOPIC_PREFIX", raising=False)


def test_the_environment_is_read_and_the_rest_has_defaults() -> None:
    settings = load_settings(ServiceSettings)
    assert settings.database_url.get_secret_value() == DATABASE_URL
    assert settings.kafka_bootstrap_servers == "localhost:9092"
    assert settings.burn_on == "placed"
    assert settings.topic_prefix == ""


def test_a_secret_never_shows_in_the_settings_text() -> None:
    assert "hunter2" not in repr(load_settings(Settings))


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUPONRY_DATABASE_URL")
    with pytest.raises(SettingsError, match=r"^COUPONRY_DATABASE_URL is not set\.$"):
        load_settings(Settings)


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_DATABASE_URL", "")
    with pytest.raises(SettingsError, match="COUPONRY_DATABASE_URL is not set"):
        load_settings(Settings)


def test_every_wrong_variable_is_named_and_no_value_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_BATCH_MAX_RECORDS", "s3cret")
    monkeypatch.setenv("COUPONRY_BURN_ON", "never")
    with pytest.raises(SettingsError) as caught:
        load_settings(ServiceSettings)
    text = str(caught.value)
    assert "COUPONRY_BATCH_MAX_RECORDS is not valid" in text
    assert "COUPONRY_BURN_ON is not valid" in text
    assert "s3cret" not in text


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COUPONRY_DATABASE_URL")
    monkeypatch.setenv("COUPONRY_SECRETS_DIR", str(tmp_path))
    (tmp_path / "couponry_database_url").write_text("postgresql://from/a/file?sslmode=require\n")
    assert load_settings(Settings).database_url.get_secret_value() == "postgresql://from/a/file?sslmode=require"


def test_a_variable_comes_before_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUPONRY_SECRETS_DIR", str(tmp_path))
    (tmp_path / "couponry_database_url").write_text("postgresql://from/a/file?sslmode=require")
    assert load_settings(Settings).database_url.get_secret_value() == DATABASE_URL


def test_a_missing_secrets_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_SECRETS_DIR", "/nowhere/at/all")
    with pytest.raises(SettingsError, match="COUPONRY_SECRETS_DIR"):
        load_settings(Settings)


def test_sasl_without_a_login_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(SettingsError, match="COUPONRY_KAFKA_SASL_USERNAME"):
        load_settings(KafkaSettings)


def test_the_prefix_precedes_topics_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_TOPIC_PREFIX", "blue.")
    settings = load_settings(Settings)
    assert settings.topic("orders") == "blue.orders"
    assert settings.group("redeemer") == "blue.couponry.redeemer"


def test_bad_settings_end_a_process_with_code_2_and_one_line() -> None:
    program = "from shared.runtime.settings import Settings, load_settings_or_exit\nload_settings_or_exit(Settings)\n"
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={"COUPONRY_DATABASE_URL": "postgresql://localhost"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stderr == "COUPONRY_KAFKA_BOOTSTRAP_SERVERS is not set.\n"
