"""Test `couponry customers split`, `rejoin` and `normalise` as they are typed: with mistakes, twice, and at once."""

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.domain.model.customer import Customer, IdentityRules, possible_identifiers
from shared.ledger.audit import audit
from shared.ledger.engine import Engine
from shared.ledger.normalising import normalise
from shared.ledger.splitting import SplitRefusedError, Wanted, split
from tests.integration.cli_calls import Called, call
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

ANN = Customer("ann", "ann+shop@example.com")
BOB = Customer("bob", "ann@example.com", "+441614960000")
BOTH = Customer("ann", "ann@example.com")
BOBS = ("--separate", "bob", "--separate", "ann@example.com", "--separate", "+44 161 496 0000")

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    environment = {"COUPONRY_DATABASE_URL": database_url, "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": ""}
    return lambda *arguments, given=None, **more: call(environment | more, *arguments, given=given)


@pytest.fixture
def merged(database_url: str) -> None:
    """Issue a coupon to Ann and one to Bob, and merge them by an order that names both."""

    async def prepared() -> None:
        async with ledger(database_url, definition()) as pool:
            engine = Engine(pool)
            await issue(engine, "save10", customer=ANN)
            await issue(engine, "save10", customer=BOB)
            await engine.execute([redeem("X", [], customer=BOTH)])

    asyncio.run(prepared())


def rows(database_url: str, query: str) -> list[Any]:
    async def fetched() -> list[Any]:
        async with ledger(database_url) as pool:
            assert (await audit(pool)).findings == ()
            return list(await pool.fetch(query))

    return asyncio.run(fetched())


@pytest.mark.usefixtures("merged")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("split", "ann"), 2, "Missing option '--separate'"),
        (("split", "", "--separate", "bob"), 2, "A customer's identifier must have 1 to 255 characters."),
        (("split", "ann", "--separate", " "), 2, "A customer's identifier must have 1 to 255 characters."),
        (("split", "ann", "--separate", "x" * 256), 2, "A customer's identifier must have 1 to 255 characters."),
        (("split", "ann", "--separate", "a\x07"), 2, "must have no control characters."),
        (("split", "ann", "--separate", "\udcff", "--yes"), 2, "The argument '\\xff' is not valid UTF-8"),
        (("split", "eve", "--separate", "bob", "--yes"), 1, "No customer is known as 'eve'; check it with"),
        (("split", "ann", "--separate", "guest", "--yes"), 1, "No customer is known as 'guest'; check it with"),
        (("split", "ann", "--separate", "ann", "--yes"), 1, "'ann' can't be split from itself"),
        (("split", "ann", *BOBS, "--json"), 2, "--json can't ask whether to split the customer; add --yes"),
        (("split", "ann", *BOBS, "--yes", "--by", "x" * 2_001), 2, "--by has 2,001 characters; at most 2,000"),
        (("split", "ann", *BOBS, "--yes", "--by", "a\nb"), 2, "--by has a character that can't be shown"),
        (("split", "ann", *BOBS), 1, "Aborted."),
        (("rejoin", "ann"), 2, "Missing argument"),
        (("rejoin", "ann", ""), 2, "A customer's identifier must have 1 to 255 characters."),
        (("rejoin", "ann", "eve"), 1, "No customer is known as 'eve'"),
        (("rejoin", "ann", "bob"), 1, "Both are one customer already; nothing keeps them separate."),
        (("erase", "ann", "--by", "a\0b"), 2, "--by has a character that can't be shown"),
        (("normalise", "now"), 2, "unexpected extra argument"),
    ],
)
def test_a_mistake_is_reported_and_changes_nothing(
    couponry: Couponry, database_url: str, arguments: tuple[str, ...], exit_code: int, says: str
) -> None:
    called = couponry("customers", *arguments)
    assert called.exit_code == exit_code
    assert says in " ".join(called.err.replace("│", " ").split())
    assert rows(database_url, "SELECT 1 FROM separate_customers UNION ALL SELECT 1 FROM erasures") == []


def test_a_plan_is_shown_before_the_question_and_a_second_split_is_refused(
    couponry: Couponry, merged: None, database_url: str
) -> None:
    asked = couponry("customers", "split", "ann", *BOBS, given="y\n")
    assert asked.exit_code == 0, asked.err
    assert asked.words.startswith("The split would be:")
    assert "The customer was split:" in asked.words
    [record] = rows(database_url, "SELECT verdict FROM journal WHERE kind = 'SplitCustomer'")
    assert f"couponry customers split, {getpass.getuser()}" in str(record["verdict"])
    again = couponry("customers", "split", "ann", *BOBS, "--yes")
    assert (again.exit_code, again.err) == (
        1, "'bob' and 'ann' are different customers already; nothing to split.\n"
    )  # fmt: skip
    assert couponry("customers", "rejoin", "ann", "bob").words == "The next event that names both merges them."
    assert couponry("customers", "rejoin", "bob", "ann").words.startswith("Nothing to do")


def test_of_two_splits_at_once_one_is_refused(couponry: Couponry, merged: None, database_url: str) -> None:
    async def both() -> list[str]:
        wanted = Wanted(possible_identifiers("ann"), [possible_identifiers("bob")], "a test")
        async with ledger(database_url) as pool:
            results = await asyncio.gather(split(pool, wanted), split(pool, wanted), return_exceptions=True)
        return sorted("refused" if isinstance(one, SplitRefusedError) else "split" for one in results)

    assert asyncio.run(both()) == ["refused", "split"]
    assert len(rows(database_url, "SELECT 1 FROM journal WHERE kind = 'SplitCustomer'")) == 1


def test_an_erased_customer_is_unknown_to_all_three(couponry: Couponry, merged: None) -> None:
    couponry("customers", "split", "ann", *BOBS, "--yes")
    assert couponry("customers", "erase", "bob", "--by", "request 7").exit_code == 0
    for arguments in (("split", "ann", "--separate", "bob", "--yes"), ("rejoin", "ann", "bob")):
        refused = couponry("customers", *arguments)
        assert refused.exit_code == 1
        assert refused.err.startswith("No customer is known as 'bob'")
    assert couponry("customers", "normalise", "--json").json == {
        "read": 2, "added": 0, "merged": 0, "separate": 0, "placeholders": 0, "invalid": 0,
    }  # fmt: skip


def test_normalising_merges_customers_who_are_the_same_but_none_that_were_split(
    couponry: Couponry, merged: None, database_url: str
) -> None:
    couponry("customers", "split", "ann", *BOBS, "--yes")
    same = {"COUPONRY_EMAIL_PLUS": "same"}
    for _ in range(2):
        separate = couponry("customers", "normalise", **same)
        assert separate.exit_code == 0, separate.err
        assert "customers merged 0" in separate.words
        assert "kept separate by a split 1" in separate.words
    couponry("customers", "rejoin", "ann", "bob")
    planned = couponry("customers", "normalise", "--dry-run", "--json", **same)
    assert (planned.json["merged"], planned.json["separate"]) == (1, 0)
    assert couponry("customers", "normalise", "--json", **same).json["merged"] == 1
    again = couponry("customers", "normalise", **same)
    assert "customers merged 0" in again.words
    assert "kept separate" not in again.words
    assert couponry("customers", "show", "ann", "--json").json == couponry("customers", "show", "bob", "--json").json


async def test_one_run_merges_all_customers_with_the_same_form(database_url: str) -> None:
    """Three customers share one address, two of these a phone number with a fourth; a fifth was split from one."""
    rules = IdentityRules(email_plus="same")
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        customers = [Customer(f"c{number}", f"x+{number}@example.com") for number in range(600)]
        chain = [Customer("d", "y+1@example.com"), Customer("e", "y+2@example.com"), Customer("e", "z+1@example.com"),
                 Customer("f", "z+2@example.com")]  # fmt: skip
        for one in [*customers, *chain, Customer("g", "x+0@example.com")]:
            await engine.execute([redeem(f"O-{one.customer_id}-{one.email}", [], customer=one)])
        await split(pool, Wanted(possible_identifiers("c0"), [possible_identifiers("g")], "a test"))
        assert (await normalise(pool, rules, dry_run=True)).merged == 600
        found = await normalise(pool, rules)
        assert (found.added, found.merged) == (3, 601)
        assert await pool.fetchval("SELECT count(*) FROM customers WHERE merged_into IS NULL") == 3
        again = await normalise(pool, rules)
        assert (again.added, again.merged) == (0, 0)
        assert (await audit(pool)).findings == ()


def test_an_argument_that_is_not_utf_8_is_reported_unless_it_names_a_file(couponry: Couponry, tmp_path: Path) -> None:
    for arguments in (
        ("coupons", "show"), ("coupons", "void"), ("coupons", "extend", "--ends-at", "never"), ("campaigns", "show"),
        ("campaigns", "archive"), ("coupons", "validate"), ("coupons", "release"), ("customers", "show"),
        ("redemptions", "list", "--code"), ("keys", "revoke"),
    ):  # fmt: skip
        called = couponry(*arguments, "caf\udce9")
        assert called.exit_code == 2
        assert "The argument 'caf\\xe9' is not valid UTF-8; type it again." in called.err, arguments
    file = tmp_path / "caf\udce9.yaml"
    try:
        file.write_text("{campaign_id: c, discount: {kind: percentage, value: 10}}")
    except OSError:
        pytest.skip("this file system has no such names")
    assert couponry("campaigns", "load", str(file), "--check").exit_code == 0
