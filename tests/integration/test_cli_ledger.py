"""Test the commands that need only the ledger, on a real PostgreSQL."""

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.domain.model.customer import Customer
from shared.ledger.engine import Engine
from tests.integration.cli_calls import Called, call
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

HOLDER = Customer("customer_123", "john.smith@email.com", "+919999988886")
LIMITED = {"min_order_amount": "100.00", "currency": "USD"}

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    """Call `couponry(…)` on this test's ledger."""

    def called(*arguments: str, given: str | bytes | None = None) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments, given=given)

    return called


@pytest.fixture
def codes(database_url: str) -> list[str]:
    """Issue three coupons of save10 to HOLDER and return their codes."""

    async def issued() -> list[str]:
        async with ledger(database_url, definition()) as pool:
            return await issue(Engine(pool), "save10", 3, HOLDER)

    return asyncio.run(issued())


def rows(database_url: str) -> dict[str, list[Any]]:
    """Return all rows of every table of the ledger."""

    async def read() -> dict[str, list[Any]]:
        connection = await asyncpg.connect(database_url, server_settings={"search_path": "couponry"})
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'couponry' ORDER BY 1")
            return {name: await connection.fetch(f'SELECT * FROM "{name}" ORDER BY 1::text') for (name,) in tables}
        finally:
            await connection.close()

    return asyncio.run(read())


def execute(database_url: str, statement: str, *arguments: object) -> None:
    """Execute one statement as the superuser, without the ledger's protections."""

    async def run() -> None:
        connection = await asyncpg.connect(database_url, server_settings={"search_path": "couponry"})
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()

    asyncio.run(run())


def campaign(campaign_id: str, **changes: Any) -> dict[str, Any]:
    return json.loads(definition(campaign_id, **changes).model_dump_json())


def test_the_example_campaign_loads_and_loading_it_again_changes_nothing(couponry: Couponry, tmp_path: Path) -> None:
    file = tmp_path / "campaign.json"
    file.write_text(couponry("example", "campaign").out)
    assert couponry("campaigns", "load", str(file), "--check").exit_code == 0
    assert couponry("campaigns", "list", "--json").json == []
    assert couponry("campaigns", "load", str(file)).words == "created welcome"
    assert couponry("campaigns", "load", str(file)).words == "unchanged welcome"
    assert couponry("campaigns", "load", "-", given=file.read_text()).words == "unchanged welcome"


def test_campaigns_load_from_a_list_and_from_packed_lines(couponry: Couponry, tmp_path: Path) -> None:
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([campaign("a"), campaign("b")], indent=2))
    assert couponry("campaigns", "load", str(listed)).words == "created a created b"
    packed = tmp_path / "lines.ndjson.gz"
    packed.write_bytes(gzip.compress("\n".join(json.dumps(campaign(f"c{number}")) for number in range(30)).encode()))
    assert couponry("campaigns", "load", str(packed)).words == "30 campaigns: 30 created, 0 changed, 0 unchanged"
    assert [one["campaign_id"] for one in couponry("campaigns", "list", "--json").json][:3] == ["a", "b", "c0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"campaign_id": "a"}', "campaign.json:1: campaign 'a', discount: is missing."),
        (
            json.dumps([campaign("a"), campaign("b") | {"nmae": "b"}]),
            "campaign.json:1: campaign 'b', nmae: is not a known field",
        ),
        (f"{json.dumps(campaign('a'))}\n{{}}\n", "campaign.json:2: campaign_id: is missing."),
        (
            json.dumps(campaign("a", limits={"spend_total": "5.001"}, eligibility=LIMITED)),
            "limits.spend_total: The amount '5.001' has 3 decimals, but USD has 2",
        ),
        ("", "campaign.json has no campaigns"),
        ('{"campaign_id": ', "campaign.json:1:17: not valid JSON"),
    ],
)
def test_an_invalid_campaign_file_is_refused_with_line_and_field(
    couponry: Couponry, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "campaign.json"
    file.write_text(content)
    called = couponry("campaigns", "load", str(file))
    assert (called.exit_code, called.out) == (1, "")
    assert message in called.err
    assert couponry("campaigns", "list", "--json").json == []


def test_a_missing_file_is_a_usage_error(couponry: Couponry, tmp_path: Path) -> None:
    called = couponry("campaigns", "load", str(tmp_path / "none.json"))
    assert called.exit_code == 2
    assert called.err.startswith("There is no file")


def test_a_shown_campaign_can_be_changed_and_loaded_again(couponry: Couponry, codes: list[str]) -> None:
    shown = couponry("campaigns", "show", "save10", "--json").json
    assert shown == campaign("save10")
    changed = couponry("campaigns", "load", "-", given=json.dumps(shown | {"status": "paused"}))
    assert changed.words == "changed save10"
    shown = couponry("campaigns", "show", "save10").words
    assert "status paused" in shown
    assert "3 issued, 0 of them voided" in shown
    unknown = couponry("campaigns", "show", "nope")
    assert (unknown.exit_code, unknown.err.count("\n")) == (1, 1)


def test_a_coupon_goes_from_lock_to_burn_and_shows_its_whole_history(couponry: Couponry, codes: list[str]) -> None:
    code = codes[0]
    locked = couponry("coupons", "lock", code, "--customer", "customer_123", "--seconds", "600", "--json").json
    assert (locked["outcome"], locked["accepted"][0]["code"]) == ("locked", code)
    refused = couponry("coupons", "lock", code.lower(), "--customer", "another_customer")
    assert refused.exit_code == 1
    assert "Refused (locked_elsewhere)" in refused.words
    reference = locked["lock_reference"]
    order = ("--order", "ORD1", "--amount", "125.00", "--currency", "USD", "--customer", "customer_123")
    burned = couponry("coupons", "burn", reference, *order, "--json")
    assert (burned.exit_code, burned.json["discount_minor"]) == (0, 1250)
    assert couponry("coupons", "void", code).words.startswith("Voided:")
    history = couponry("coupons", "show", f" {code.lower()} ", "--json").json
    happenings = [(one["kind"], one["order_id"]) for one in history["happenings"]]
    assert happenings == [("issued", None), ("locked", None), ("refused", None), ("burned", "ORD1"), ("voided", None)]
    assert history["coupon"]["status"] == "voided"
    assert (history["coupon"]["used_uses"], history["coupon"]["held_uses"]) == (1, 0)
    assert "id customer_123" in couponry("coupons", "show", code).words


def test_a_void_is_undone_and_an_end_moved_with_their_reasons_in_the_history(
    couponry: Couponry, codes: list[str]
) -> None:
    code = codes[0]
    assert couponry("coupons", "void", code).exit_code == 0
    undone = couponry("coupons", "unvoid", code, "--reason", "voided by mistake", "--id", "1")
    assert undone.words.startswith("Can be used again:")
    assert couponry("coupons", "unvoid", code, "--reason", "voided by mistake", "--id", "1").exit_code == 0
    again = couponry("coupons", "unvoid", code)
    assert (again.exit_code, "Refused (no_effect)" in again.words) == (1, True)
    extended = couponry("coupons", "extend", code, "--ends-at", "2990-01-02", "--json").json
    assert (extended["outcome"], extended["accepted"][0]["code"]) == ("extended", code)
    shown = couponry("coupons", "show", code).words
    assert "unvoided (voided by mistake)" in shown
    assert "extended: ends 2990-01-02 00:00:00" in shown
    assert couponry("coupons", "extend", code, "--ends-at", "never").words.startswith("Has no end of its own now:")
    for end, message in (
        ("1999-01-01", "Refused (expired)"),
        ("9999-12-31", "is not a valid end"),
        ("tomorrow", "is not a valid end"),
    ):
        refused = couponry("coupons", "extend", code, "--ends-at", end)
        assert (refused.exit_code > 0, message in refused.words + refused.err) == (True, True), refused
    too_long = couponry("coupons", "unvoid", code, "--reason", "x" * 100_000)
    assert (too_long.exit_code, "--reason has 100,000 characters" in too_long.err) == (2, True)


def test_a_released_lock_holds_nothing_and_a_second_release_changes_nothing(
    couponry: Couponry, codes: list[str]
) -> None:
    reference = couponry("coupons", "lock", codes[0], "--customer", "customer_123", "--json").json["lock_reference"]
    assert couponry("coupons", "show", codes[0], "--json").json["holds"][0]["lock_reference"] == reference
    assert couponry("coupons", "release", reference).words.startswith("Released:")
    assert couponry("coupons", "release", reference).words.startswith("Nothing to do")
    assert couponry("coupons", "show", codes[0], "--json").json["holds"] == []
    assert couponry("coupons", "release", "lock_unknown").exit_code == 1


def test_the_same_id_repeats_a_command_and_refuses_another(couponry: Couponry, codes: list[str]) -> None:
    lock = ("coupons", "lock", codes[0], "--customer", "customer_123", "--id", "mine", "--json")
    first, again = couponry(*lock).json, couponry(*lock).json
    assert first == again
    other = couponry("coupons", "lock", codes[1], "--customer", "customer_123", "--id", "mine")
    assert other.exit_code == 1
    assert "used before for a request with different content" in other.err


def test_validate_shows_the_result_and_changes_no_row(couponry: Couponry, codes: list[str], database_url: str) -> None:
    before = rows(database_url)
    good = couponry(
        "coupons", "validate", codes[0], "--amount", "125.00", "--currency", "USD", "--customer", "new_customer"
    )
    assert (good.exit_code, "12.50 USD" in good.out) == (0, True)
    mixed = couponry(
        "coupons",
        "validate",
        codes[0],
        "NOPE",
        "--line",
        "510509:2:50.00",
        "--line",
        "7:1:25.00",
        "--currency",
        "USD",
        "--json",
    ).json
    assert [coupon["discount_minor"] for coupon in mixed["accepted"]] == [1250]
    assert [coupon["reason"] for coupon in mixed["refused"]] == ["not_found"]
    bare = couponry("coupons", "validate", codes[0])
    assert (bare.exit_code, codes[0] in bare.out) == (0, True)
    assert couponry("coupons", "validate", "NOPE").exit_code == 1
    assert rows(database_url) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lock", "A", "--amount", "5.00"), "give --currency"),
        (("lock", "A", "--amount", "5.001", "--currency", "USD"), "3 decimals"),
        (("lock", "A", "--currency", "USD"), "--currency alone"),
        (("lock", "A", "--line", "5:x", "--currency", "USD"), "PRODUCT:QUANTITY:PRICE"),
        (("lock", "A", "--customer", "+1"), "not a phone number"),
        (("lock", "A", "--id", " "), "--id must be"),
        (("lock",), "Missing argument"),
        (("lock", "A", "--seconds", "0"), "--seconds"),
    ],
)
def test_wrong_usage_is_reported_with_exit_code_2(couponry: Couponry, arguments: tuple[str, ...], message: str) -> None:
    called = couponry("coupons", *arguments)
    assert called.exit_code == 2
    assert message in " ".join(called.err.replace("│", " ").split())


def test_importing_a_file_twice_fills_the_pool_once(couponry: Couponry, tmp_path: Path) -> None:
    pool = json.dumps(campaign("partner", source={"kind": "pool"}, code={}))
    couponry("campaigns", "load", "-", given=f"{pool}\n")
    file = tmp_path / "codes.txt"
    file.write_text("AAA-1\naaa-2 \n\nAAA-3\n")
    assert couponry("coupons", "import", "partner", str(file)).words == "3 codes added to partner."
    again = couponry("coupons", "import", "partner", str(file), "--json").json
    assert again == {"campaign_id": "partner", "added": 0, "already_there": ["AAA-1", "aaa-2", "AAA-3"]}
    assert "pool 3 codes left" in couponry("campaigns", "show", "partner").words
    assert couponry("coupons", "import", "nope", str(file)).exit_code == 1


def test_a_customer_is_found_by_any_identifier(couponry: Couponry, codes: list[str]) -> None:
    couponry("coupons", "lock", codes[0], "--customer", "customer_123")
    for name in ("customer_123", "John.Smith@Email.com", "+919999988886", "id:customer_123"):
        wallet = couponry("customers", "show", name, "--json").json
        assert wallet["identifiers"] == ["id customer_123", "email john.smith@email.com", "mobile +919999988886"], name
        assert sorted(coupon["state"] for coupon in wallet["coupons"]) == ["held", "usable", "usable"]
    assert "3 coupons" in couponry("customers", "show", "customer_123").words
    assert couponry("customers", "show", "unknown").err.startswith("No customer is known as 'unknown'")


def test_redemptions_are_listed_newest_first_and_filtered(
    couponry: Couponry, codes: list[str], database_url: str
) -> None:
    async def orders() -> None:
        async with ledger(database_url) as pool:
            engine = Engine(pool)
            await engine.execute([redeem("ORD1", [codes[0]])])
            await engine.execute([redeem("ORD2", [codes[0], "NOPE"])])

    assert couponry("redemptions", "list").words == "No redemptions yet."
    asyncio.run(orders())
    listed = [
        (one["order_id"], one["outcome"], one["reason"]) for one in couponry("redemptions", "list", "--json").json
    ]
    assert sorted(listed[:2]) == [("ORD2", "refused", "exhausted"), ("ORD2", "refused", "not_found")]
    assert listed[2:] == [("ORD1", "redeemed", None)]
    assert len(couponry("redemptions", "list", "--refused", "--json").json) == 2
    found = couponry("redemptions", "list", "--reason", "not_found", "--json").json
    assert [(one["code"], one["reason"]) for one in found] == [("NOPE", "not_found")]
    assert len(couponry("redemptions", "list", "--since", "1h", "--json").json) == 3
    assert couponry("redemptions", "list", "--since", "2100-01-01", "--json").json == []
    assert len(couponry("redemptions", "list", "--limit", "1", "--json").json) == 1
    assert "redeemed 12.50 USD" in couponry("redemptions", "list").words
    assert couponry("redemptions", "list", "--reason", "nonsense").exit_code == 2
    assert "requests named that code" in couponry("coupons", "show", "nope").words


def test_the_audit_finds_a_changed_meter(couponry: Couponry, codes: list[str], database_url: str) -> None:
    assert "nothing found" in couponry("audit").words
    execute(database_url, "UPDATE coupons SET used_uses = 1 WHERE code = $1", codes[0])
    called = couponry("audit", "--json")
    assert called.exit_code == 1
    assert [one["check"] for one in called.json["findings"]] == ["audit_coupons"]
    assert "The ledger is wrong" in couponry("audit").words


def test_webhooks_are_added_disabled_and_enabled(couponry: Couponry) -> None:
    added = couponry("webhooks", "add", "https://shop.example/hooks", "--event", "coupon.redeemed", "--json").json
    assert added["secret"].startswith("whsec_")
    [listed] = couponry("webhooks", "list", "--json").json
    assert (listed["url"], listed["event_types"], "secret" in listed) == (
        "https://shop.example/hooks",
        ["coupon.redeemed"],
        False,
    )
    assert couponry("webhooks", "disable", added["endpoint_id"], "--reason", "Too slow.").exit_code == 0
    assert "disabled: Too slow." in couponry("webhooks", "list").words
    assert couponry("webhooks", "enable", added["endpoint_id"]).exit_code == 0
    assert couponry("webhooks", "list", "--json").json[0]["status"] == "active"
    assert "not a public address" in couponry("webhooks", "add", "https://127.0.0.1/hooks").err
    assert couponry("webhooks", "enable", "0199f6a2-6000-7000-8000-000000000001").exit_code == 1


def test_an_unavailable_database_is_reported_in_one_line_without_its_password() -> None:
    away = {"COUPONRY_DATABASE_URL": "postgresql://me:hidden@127.0.0.1:1/couponry"}
    for arguments in (("audit",), ("campaigns", "list"), ("coupons", "lock", "A", "--id", "mine"), ("migrate",)):
        called = call(away, *arguments)
        assert (called.exit_code, called.out, called.err.count("\n")) == (1, "", 1), called
        assert "hidden" not in called.err
        assert "COUPONRY_DATABASE_URL" in called.err
    assert "--id mine" in call(away, "coupons", "lock", "A", "--id", "mine").err


def test_without_tables_the_message_says_how_to_create_them(postgres: Any) -> None:
    url = postgres.create_database("cli_without_tables")
    try:
        environment = {"COUPONRY_DATABASE_URL": url}
        for arguments in (("audit",), ("campaigns", "list"), ("coupons", "void", "A"), ("webhooks", "list")):
            called = call(environment, *arguments)
            assert (called.exit_code, called.err) == (
                1,
                "The ledger has no tables yet: create them with `couponry migrate`.\n",
            )
        assert "applied 0001.definitions" in call(environment, "migrate").words
        assert call(environment, "migrate").out.startswith("Nothing to do")
        assert call(environment, "audit").exit_code == 0
    finally:
        postgres.drop_database("cli_without_tables")


@pytest.mark.parametrize(
    ("url", "message"),
    [("not a url", "can't be read"), ("postgresql://u:p@127.0.0.1:1/x?sslmode=perhaps", "can't be read")],
)
def test_an_invalid_database_url_is_refused_with_the_right_format(url: str, message: str) -> None:
    called = call({"COUPONRY_DATABASE_URL": url}, "audit")
    assert called.exit_code in (1, 2)
    assert message in called.err
