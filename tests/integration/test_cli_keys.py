"""Test `couponry keys`: keys are shown once, listed without their secrets, revoked permanently."""

import asyncio
import json
from collections.abc import Callable

import pytest

from services.gateway.access.keys import Keys
from shared.ledger.database import open_pool
from tests.integration.cli_calls import Called, call

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    def called(*arguments: str) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments)

    return called


def scopes_of(database_url: str, key: str) -> frozenset[str] | None:
    async def look() -> frozenset[str] | None:
        async with await open_pool(database_url, max_size=1) as pool:
            caller = await Keys(pool).caller(key)
            return None if caller is None else caller.scopes

    return asyncio.run(look())


def test_a_key_is_created_listed_and_revoked(couponry: Couponry, database_url: str) -> None:
    made = couponry("keys", "create", "checkout", "--scope", "validate", "--scope", "redeem")
    key = made.out.strip()
    assert made.exit_code == 0
    assert "can't be shown again" in made.err
    assert scopes_of(database_url, key) == {"validate", "redeem"}
    secret = key.split("_", 2)[2]
    listed = couponry("keys", "list")
    assert "checkout" in listed.out
    assert secret not in listed.out
    [shown] = json.loads(couponry("keys", "list", "--json").out)
    assert shown["scopes"] == ["validate", "redeem"]
    assert couponry("keys", "revoke", key).exit_code == 0
    assert scopes_of(database_url, key) is None
    again = couponry("keys", "revoke", shown["key_id"])
    assert (again.exit_code, "couponry keys list" in again.err) == (1, True)


def test_a_key_with_every_scope_as_json(couponry: Couponry, database_url: str) -> None:
    made = json.loads(couponry("keys", "create", "everything", "--all", "--json").out)
    assert scopes_of(database_url, made["key"]) == {"issue", "validate", "redeem", "manage", "read", "privacy"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x"], "--scope"),
        (["x", "--all", "--scope", "read"], "--scope"),
        (["x", "--scope", "eat"], "'eat'"),
        ([" ", "--all"], "must have 1 to 100 printable characters"),
    ],
)
def test_an_invalid_key_is_refused_with_a_reason(couponry: Couponry, arguments: list[str], message: str) -> None:
    called = couponry("keys", "create", *arguments)
    assert called.exit_code == 2
    assert message in called.err


def test_without_keys_the_list_says_how_to_create_one(couponry: Couponry) -> None:
    assert "couponry keys create" in couponry("keys", "list").out
