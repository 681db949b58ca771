"""Test the parts of the command line that need no server: help, options, error messages."""

import gzip
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import typer
from aiokafka.errors import TopicAuthorizationFailedError
from typer.testing import CliRunner

from cli import locations
from cli.apps import parse_since
from cli.connect import address_of
from cli.demo.report import Row
from cli.errors import CommandFailedError, UsageProblemError, explain
from cli.executing import command_id, customer_of, order_of
from cli.files import open_input
from cli.lazy import Entry, lazy_group
from cli.main import ENTRIES, app
from schemas.campaigns import CampaignDefinition
from shared.domain.model.customer import Customer
from shared.domain.model.ids import lock_reference
from shared.domain.model.money import MoneyError
from shared.messaging.codec import Codec
from shared.messaging.records import Record
from shared.runtime.settings import DatabaseSettings, SettingsError


def test_every_command_is_listed_and_has_help() -> None:
    listed = CliRunner().invoke(app, ["--help"], prog_name="couponry").output
    for name in ENTRIES:
        assert f" {name} " in listed
        called = CliRunner().invoke(app, [name, "--help"], prog_name="couponry")
        assert called.exit_code == 0, name
        assert f"Usage: couponry {name}" in called.output


def test_listing_the_commands_imports_none_of_them() -> None:
    program = """
import sys
from typer.testing import CliRunner
from cli.main import app
CliRunner().invoke(app, ["--help"])
print([name for name in ("asyncpg", "aiokafka", "pydantic", "psycopg", "httpx") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_command_is_wrong_usage_with_a_suggestion() -> None:
    called = CliRunner().invoke(app, ["coupon"])
    assert called.exit_code == 2
    assert "'coupons'" in called.output


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CommandFailedError("It is so."), 1, "It is so."),
        (UsageProblemError("Do it so."), 2, "Do it so."),
        (SettingsError("COUPONRY_X is not set."), 2, "COUPONRY_X is not set."),
        (MoneyError("No such currency."), 2, "No such currency."),
        (asyncpg.UndefinedTableError("no relation"), 1, "`couponry migrate`"),
        (asyncpg.InvalidPasswordError("no"), 1, "refuses the login"),
        (asyncpg.InvalidCatalogNameError("no"), 1, "does not exist"),
        (asyncpg.InvalidParameterValueError('role "couponry_service" does not exist'), 1, "`couponry migrate`"),
        (asyncpg.ReadOnlySQLTransactionError("read only"), 1, "PostgreSQL refused: read only."),
        (TopicAuthorizationFailedError(), 1, "The broker refused"),
        (ConnectionResetError("reset"), 1, "was lost"),
        (ZeroDivisionError("division by zero"), 70, "This is a bug in Couponry: ZeroDivisionError: division by zero."),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(error: Exception, code: int, message: str) -> None:
    found, sentence = explain(error)
    assert found == code
    assert message in sentence
    assert "\n" not in sentence


def test_a_bug_shows_no_traceback_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = typer.Typer(cls=lazy_group({"boom": Entry("tests.unit.test_cli:boom", "Breaks.", "Run")}))

    @broken.callback()
    def root() -> None:
        """A group."""

    called = CliRunner().invoke(broken, ["boom"])
    assert (called.exit_code, "Traceback" in called.output, "This is a bug" in called.output) == (70, False, True)
    monkeypatch.setenv("COUPONRY_TRACEBACK", "1")
    assert "Traceback" in CliRunner().invoke(broken, ["boom"]).output


boom = typer.Typer()


@boom.command()
def break_down() -> None:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("text", "customer"),
    [
        ("customer_123", Customer(customer_id="customer_123")),
        (" a@b.example ", Customer(email="a@b.example")),
        ("id:a@b.example", Customer(customer_id="a@b.example")),
        ("+919999988886", Customer(mobile="+919999988886")),
        ("urn:loyalty:7", Customer(customer_id="urn:loyalty:7")),
        (None, None),
    ],
)
def test_a_customer_is_named_by_id_email_or_phone_number(text: str | None, customer: Customer | None) -> None:
    assert customer_of(text) == customer


@pytest.mark.parametrize("text", ["", " ", "id:", "x" * 256, "+12"])
def test_an_invalid_customer_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageProblemError):
        customer_of(text)


def test_an_orders_amount_is_given_or_the_sum_of_its_lines() -> None:
    lines = order_of("O", None, "USD", ["urn:p:1:2:50.00", "7:1:25"])
    assert lines is not None
    assert (lines.amount_minor, [line.product_id for line in lines.lines]) == (12_500, ["urn:p:1", "7"])
    given = order_of("O", "1000", "JPY", None)
    assert given is not None
    assert given.amount_minor == 1_000
    assert order_of("O", None, None, None) is None


def test_the_same_command_opens_the_same_lock() -> None:
    short, name = command_id("mine")
    assert (short, name) == ("mine", "/couponry/cli mine")
    assert lock_reference(name) == lock_reference("/couponry/cli mine")
    assert lock_reference(name) != lock_reference("/couponry/cli other")
    assert command_id(None)[0] != command_id(None)[0]


def test_a_time_is_a_day_a_timestamp_or_a_duration_ago() -> None:
    assert parse_since("2026-11-22") == datetime(2026, 11, 22, tzinfo=UTC)
    assert parse_since("2026-11-22T09:30:00+02:00") == datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
    before, found, after = datetime.now(UTC), parse_since("2h"), datetime.now(UTC)
    assert before <= found + timedelta(hours=2) <= after
    for text in ("yesterday", "2x", "99999999999d", ""):
        with pytest.raises(typer.BadParameter):
            parse_since(text)


def test_a_file_can_be_read_several_times_packed_or_not(tmp_path: Path) -> None:
    content = b"one\n\n  two \nthree"
    for name, written in (("plain", content), ("packed", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        with open_input(tmp_path / name) as file:
            expected = [(1, b"one"), (3, b"two"), (4, b"three")]
            assert list(file.lines()) == expected
            assert list(file.lines()) == expected
            assert file.content() == content


def test_a_damaged_gzip_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"line\n" * 1_000)[:-20])
    with open_input(tmp_path / "cut.gz") as file, pytest.raises(UsageProblemError, match="damaged"):
        list(file.lines())


@pytest.mark.parametrize("kind", ["signup", "reward", "order", "paid", "cancelled"])
def test_an_example_event_can_be_read_and_is_new_each_time(kind: str) -> None:
    arguments = ["example", kind, "--customer", "c1", "--order", "O1", "--code", "CODE-1"]
    lines = [CliRunner().invoke(app, arguments).output.encode() for _ in range(2)]
    topic = {"signup": "signups", "reward": "rewards"}.get(kind, "orders")
    events = [Codec().decode(Record(topic, 0, 0, 0, None, line)) for line in lines]
    assert events[0].id != events[1].id
    assert events[0].subject == ("c1" if topic != "orders" else "O1")


def test_the_example_campaign_is_valid() -> None:
    document = CliRunner().invoke(app, ["example", "campaign"]).output
    assert CampaignDefinition.model_validate_json(document).campaign_id == "welcome"


def test_numbers_that_differ_in_one_source_are_not_the_same() -> None:
    assert Row("", 5, 5, 5).same
    assert Row("", 5, None, 5).same
    assert not Row("", 5, 5, 4).same
    assert not Row("", 0, None, 5).same
    assert not Row("", "1.00", "1.0", None).same


def test_the_environment_wins_over_a_running_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in locations.SERVER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    locations.choose_data_dir(tmp_path)
    with pytest.raises(SettingsError, match="couponry up"):
        locations.find_settings(DatabaseSettings)
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")
    with pytest.raises(SettingsError, match="COUPONRY_DATABASE_URL is not set"):
        locations.find_settings(DatabaseSettings)


def test_a_stopped_stack_is_not_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in locations.SERVER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "stack.json").write_text('{"database_url": "postgresql://x", "bootstrap_servers": "y:1", "pid": 1}')
    locations.choose_data_dir(tmp_path)
    with pytest.raises(SettingsError, match="No stack is running in"):
        locations.find_settings(DatabaseSettings)


def test_an_address_names_every_host_and_no_login() -> None:
    assert address_of("postgresql://user:secret@here:5433/shop") == "here:5433/shop"
    assert address_of("postgresql://user:secret@a:5432,b:5433/shop?target_session_attrs=rw") == "a:5432,b:5433/shop"
