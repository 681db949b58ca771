"""Test `couponry campaigns plan` on a real PostgreSQL: it shows what a load would change, and changes nothing."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.domain.model.commands import LockCoupons
from shared.domain.model.customer import Customer
from shared.ledger.campaigns import save
from shared.ledger.engine import Engine
from tests.integration.cli_calls import Called, call
from tests.integration.test_cli_ledger import campaign, execute, rows
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

PAGE = Path(__file__).resolve().parents[2] / "docs" / "campaign-files.md"

ANNA = Customer("anna")
LIVE = {"uses_per_coupon": 1, "uses_per_customer": 2, "uses_total": 4, "coupons_total": 4, "coupons_per_customer": 3}

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    """Call `couponry(…)` on this test's ledger."""

    def called(*arguments: str, given: str | bytes | None = None) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments, given=given)

    return called


@pytest.fixture
def live(database_url: str) -> str:
    """Issue coupons of save10: three to anna, of them two used and one held, and one to ben."""

    async def happened() -> None:
        async with ledger(database_url, definition(limits=LIVE)) as pool:
            engine = Engine(pool)
            codes = await issue(engine, "save10", 3, ANNA)
            await issue(engine, "save10", 1, Customer("ben"))
            await engine.execute([redeem(f"O{number}", [codes[number]], customer=ANNA) for number in range(2)])
            await save(pool, [definition(limits=LIVE | {"uses_per_customer": 3})])
            await engine.execute([LockCoupons("lock", "L1", (codes[2],), 600, ANNA)])
            await save(pool, [definition(limits=LIVE)])

    asyncio.run(happened())
    return database_url


def planned(couponry: Couponry, **changes: Any) -> dict[str, Any]:
    """Return the plan for save10 with these changes."""
    given = json.dumps(campaign("save10", **{"limits": LIVE} | changes))
    called = couponry("campaigns", "plan", "-", "--json", given=given)
    assert called.exit_code == 0, called.err
    (one,) = called.json
    return dict(one)


def effects(couponry: Couponry, **changes: Any) -> dict[str, str]:
    return {effect["field"]: effect["text"] for effect in planned(couponry, **changes)["effects"]}


def test_a_plan_shows_fields_and_effects_and_changes_no_row(couponry: Couponry, live: str) -> None:
    before = rows(live)
    given = json.dumps([campaign("save10", limits=LIVE | {"uses_per_coupon": 2}), campaign("new")])
    called = couponry("campaigns", "plan", "-", given=given)
    assert called.exit_code == 0
    assert called.out.splitlines() == [
        "changed    save10",
        "    limits.uses_per_coupon: 1 → 2",
        "        2 used-up coupons can be used again.",
        "created    new",
        "",
        "2 campaigns: 1 created, 1 changed, 0 unchanged. Nothing was loaded.",
    ]
    assert rows(live) == before
    loaded = couponry("campaigns", "load", "-", "--json", given=given).json
    assert [one["change"] for one in loaded] == ["changed", "created"], "as planned"
    assert "0 created, 0 changed, 2 unchanged" in couponry("campaigns", "plan", "-", given=given).words


@pytest.mark.parametrize(
    ("limits", "field", "says"),
    [
        ({"uses_per_coupon": 3}, "uses_per_coupon", "2 used-up coupons can be used again."),
        ({"uses_per_coupon": None}, "uses_per_coupon", "2 used-up coupons can be used again."),
        ({"uses_total": 3}, "uses_total", "2 used, 1 held: no new use. What was used stays used;"),
        ({"uses_total": 9}, "uses_total", "2 used, 1 held: 6 left."),
        ({"uses_total": None}, "uses_total", "2 used, 1 held; no limit any more."),
        ({"uses_per_customer": 1}, "uses_per_customer", "1 customer is at or beyond the new limit: no new use"),
        ({"uses_per_customer": 3}, "uses_per_customer", "0 customers who had no use left can use coupons again."),
        ({"uses_per_customer": 4}, "uses_per_customer", "1 customer who had no use left can use coupons again."),
        ({"caps": [{"per": "day", "uses": 2}]}, "caps", "What was used and issued in a period counts in it"),
        ({"coupons_total": 2}, "coupons_total", "4 issued: no further coupon. Those that are issued stay valid."),
        ({"coupons_total": 10}, "coupons_total", "4 issued: 6 left."),
        ({"coupons_per_customer": 1}, "coupons_per_customer", "2 customers get no further coupon;"),
        ({"coupons_per_customer": 4}, "coupons_per_customer", "1 customer who had no coupon left to get can get one"),
    ],
)  # fmt: skip
def test_a_changed_limit_is_shown_with_the_numbers_of_the_ledger(
    couponry: Couponry, live: str, limits: dict[str, Any], field: str, says: str
) -> None:
    found = effects(couponry, limits=LIVE | limits)
    assert list(found) == [f"limits.{field}"]
    assert found[f"limits.{field}"].startswith(says)


def test_lowering_the_uses_per_coupon_counts_the_coupons_at_the_new_limit(couponry: Couponry, live: str) -> None:
    couponry("campaigns", "load", "-", given=json.dumps(campaign("save10", limits=LIVE | {"uses_per_coupon": 2})))
    assert effects(couponry)["limits.uses_per_coupon"] == (
        "3 coupons are at or beyond the new limit: no new use of them. What was used stays used; what is held can "
        "still be burned."
    )


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"window": {"starts_at": "2026-01-01T00:00:00Z"}}, "window.ends_at", "The campaign has no end any more, nor"),
        (
            {"window": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-02-01"}},
            "window.ends_at",
            "It ends 2026-02-01 00:00 UTC, which is over, and with it 4 issued coupons",
        ),
        (
            {"window": {"starts_at": "2039-01-01", "ends_at": None}},
            "window.starts_at",
            "From 2039-01-01 00:00 UTC on, so it isn't yet running.",
        ),
        ({"status": "paused"}, "status", "No coupon is issued, and 4 issued coupons can't be used until it is"),
        ({"status": "archived"}, "status", "No coupon is issued, and 4 issued coupons can't be used until it is"),
        ({"code": {"pattern": "NEW-########"}}, "code.pattern", "Only codes made from now on; 4 issued coupons"),
        ({"code": {"shared_code": "ALL"}}, "code.shared_code", "ALL is a further code, with uses of its own;"),
        ({"discount": {"kind": "percentage", "value": "20"}}, "discount.value", "For every use from now on, including"),
        ({"name": "Ten off"}, "name", "Words only: nothing changes for any coupon."),
        ({"restore_on": []}, "restore_on", "For orders cancelled or returned from now on, whenever"),
        ({"stacking": {"policy": "exclusive"}}, "stacking.policy", "For every use from now on, including coupons"),
    ],
)  # fmt: skip
def test_other_changes_say_what_they_apply_to(
    couponry: Couponry, live: str, changes: dict[str, Any], field: str, says: str
) -> None:
    assert effects(couponry, **changes)[field].startswith(says)


def test_the_same_campaign_in_yaml_and_in_json_is_the_same(couponry: Couponry) -> None:
    as_json, as_yaml = couponry("example", "campaign").out, couponry("example", "campaign", "--yaml").out
    assert couponry("campaigns", "load", "-", given=as_yaml).words.startswith("created welcome")
    assert couponry("campaigns", "load", "-", given=as_yaml).words == "unchanged welcome"
    # Amounts are compared by their digits: 10 equals "10", but 10.0 differs.
    assert couponry("campaigns", "load", "-", given=as_json).words == "unchanged welcome"
    assert couponry("campaigns", "plan", "-", given=as_json).words.startswith("unchanged welcome 1 campaign: 0 created")


def test_a_shared_code_of_another_coupon_is_planned_as_a_conflict_and_refused(couponry: Couponry) -> None:
    def shared(campaign_id: str) -> str:
        return json.dumps(campaign(campaign_id, code={"shared_code": "HELLO"}))

    couponry("campaigns", "load", "-", given=shared("one"))
    called = couponry("campaigns", "plan", "-", given=shared("two"))
    assert (called.exit_code, "a coupon of campaign 'one' has that code already" in called.words) == (0, True)
    refused = couponry("campaigns", "load", "-", given=shared("two"))
    assert refused.exit_code == 1
    assert refused.err.startswith("Campaign 'two': code.shared_code: a coupon of campaign 'one' has that code already")
    assert refused.err.rstrip().endswith("Nothing was loaded.")
    assert "CONFLICT" not in couponry("campaigns", "plan", "-", given=shared("one")).out


def test_a_plan_does_not_print_headers(couponry: Couponry) -> None:
    source = {"kind": "external", "url": "https://partner.example/codes", "headers": {"Authorization": "Bearer one"}}
    couponry("campaigns", "load", "-", given=json.dumps(campaign("ext", source=source, code={})))
    source["headers"] = {"Authorization": "Bearer two"}
    given = json.dumps(campaign("ext", source=source, code={}))
    for more in ([], ["--json"]):
        called = couponry("campaigns", "plan", "-", *more, given=given)
        assert (called.exit_code, "source.headers" in called.out, "Bearer" in called.out) == (0, True, False)


def test_a_row_that_an_older_version_wrote_is_planned_as_it_is_loaded(couponry: Couponry, database_url: str) -> None:
    given = json.dumps(campaign("old"))
    couponry("campaigns", "load", "-", given=given)
    execute(database_url, "UPDATE campaigns SET definition = definition - 'recurring'")
    assert "No field differs; it would only be stored again" in couponry("campaigns", "plan", "-", given=given).words
    assert couponry("campaigns", "load", "-", given=given).words == "changed old"


def test_an_invalid_file_is_reported_as_by_load(couponry: Couponry) -> None:
    for command in ("plan", "load"):
        called = couponry("campaigns", command, "-", given="campaign_id: a\nname: 5\n")
        assert (called.exit_code, called.out) == (1, "")
        assert called.err.splitlines() == [
            "standard input:1: campaign 'a', discount: is missing.",
            "standard input:2: campaign 'a', name: must be a string; put it in quotes.",
        ]


def test_a_changed_long_list_shows_added_and_removed_entries(couponry: Couponry) -> None:
    before, after = [f"p{n}" for n in range(10)], [f"p{n}" for n in range(1, 11)]
    couponry("campaigns", "load", "-", given=json.dumps(campaign("a", applies_to={"product_ids": before})))
    called = couponry("campaigns", "plan", "-", given=json.dumps(campaign("a", applies_to={"product_ids": after})))
    assert "applies_to.product_ids: 10 → 10 entries (new: p10; gone: p0)" in called.words


def test_the_page_shows_what_its_commands_print(
    couponry: Couponry, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def coupons_go_out() -> None:
        async with ledger(database_url) as pool:
            engine = Engine(pool)
            codes = await issue(engine, "save10", 40)
            await engine.execute([redeem(f"O{number}", [code]) for number, code in enumerate(codes[:27])])

    monkeypatch.chdir(tmp_path)
    commands = 0
    for kind, block in re.findall(r"```(yaml|console)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
        if kind == "yaml":
            file = Path(block.partition("\n")[0].removeprefix("# "))
            if file.exists():
                asyncio.run(coupons_go_out())
            file.write_text(block, encoding="utf-8")
            continue
        for command, shown in re.findall(r"^\$ couponry (.*)\n((?:(?!\$ ).*\n)*)", block, flags=re.MULTILINE):
            called = couponry(*command.split())
            assert called.out + called.err == shown
            commands += 1
    assert commands == 5
