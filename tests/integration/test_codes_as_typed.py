"""Codes as they are typed: a refused code is found again, and stored keys are made again after an upgrade."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Customer, identifiers
from shared.ledger import erasing
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from shared.ledger.migrate import migrate
from tests.gateway import Served, served
from tests.integration.test_plans import indexes
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.asyncio

TYPED = (
    "none-1", " none-1-b ", "\tnone-1-t", "none-1-n\r\n", "\u00a0none-1-n", "stra\u00dfe-1", "\u00e4pfel-1",
    "\u0131stanbul-1",
        "\ufb01-1", "\uff2e\uff2f\uff2e\uff25-1", "cafe\u0301-1", "none\u20131", "no\u200bne 1", "\u0130zmir", "none%1",
)  # fmt: skip


async def tried(here: Served, code: str, order_id: str) -> int:
    body: dict[str, Any] = {
        "codes": [code],
        "order": {"order_id": order_id, "currency": "USD", "amount": "5.00"},
        "atomic": False,
    }
    return (await here.client.post("/v1/redemptions", json=body)).status_code


@pytest.mark.parametrize("code", TYPED)
async def test_a_refused_code_is_found_as_it_was_typed(database_url: str, code: str) -> None:
    async with served(database_url, definition()) as here:
        assert await tried(here, code, "O1") == 404
        history = await here.client.get(f"/v1/coupons/{quote(code, safe='')}/history")
        listed = await here.client.get("/v1/redemptions", params={"code": code})
        assert (history.status_code, len(history.json()["happenings"])) == (200, 1), history.text
        assert [item["code"] for item in listed.json()["items"]] == [code]


async def test_a_refused_code_is_found_in_every_spelling(database_url: str) -> None:
    spellings = ("VIP-10", "vip\u201310", " V I P - 1 0 ", "\uff36\uff29\uff30-10", "vip\u00ad-10")
    async with served(database_url, definition()) as here:
        for number, code in enumerate(spellings):
            await tried(here, code, f"O{number}")
        for code in spellings:
            listed = (await here.client.get("/v1/redemptions", params={"code": code})).json()["items"]
            assert {item["code"] for item in listed} == set(spellings)


async def test_a_refusal_without_a_key_is_found_as_before(database_url: str) -> None:
    """An earlier version recorded it, or still does while services are upgraded one after another."""
    async with served(database_url, definition()) as here:
        await tried(here, "Old-1 ", "O1")
        async with await open_pool(database_url, role=None, max_size=1) as owner:
            [verdict] = [json.loads(row[0]) for row in await owner.fetch("SELECT verdict::text FROM journal")]
            assert verdict["refused"][0].pop("code_key") == "OLD-1"
            await owner.execute("ALTER TABLE journal DISABLE TRIGGER USER")
            await owner.execute("UPDATE journal SET verdict = $1::text::json", json.dumps(verdict))
        for code in ("OLD-1", " old-1"):
            listed = (await here.client.get("/v1/redemptions", params={"code": code})).json()["items"]
            history = (await here.client.get(f"/v1/coupons/{quote(code)}/history")).json()
            assert (len(listed), len(history["happenings"])) == (1, 1)
        assert (await here.client.get("/v1/redemptions", params={"code": "OLD"})).json()["items"] == []


async def test_refusals_of_a_code_are_found_by_an_index(database_url: str) -> None:
    refused = '{"refused": [{"code": "X", "code_key": "X-%s", "coupon_id": null}]}'
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        await pool.execute(
            "INSERT INTO journal (command_id, fingerprint, kind, outcome, reasons, verdict, decided_at) "
            "SELECT 'x ' || n, '', 'RedeemCoupons', 'refused', '{not_found}', replace($1, '%s', n::text)::json, now() "
            "FROM generate_series(1, 20000) n",
            refused,
        )
        await pool.execute("ANALYZE journal")
        condition = "reasons <> '{}' AND (refused_names(verdict) @> '{X-7}' OR refused_names(verdict) IS NULL)"
        plan = await pool.fetchval(f"EXPLAIN (FORMAT JSON) SELECT FROM journal WHERE {condition}")
        used = set(indexes(json.loads(plan)[0]["Plan"]))
        assert used == {"journal_refused_names", "journal_refused_without_keys"}


def earlier_key(code: str) -> str:
    return code.strip().upper()


async def as_before(pool: Pool, codes: list[tuple[str, str, str]]) -> None:
    """Insert coupons as an earlier version did: (code, campaign id, time of issue)."""
    await pool.executemany(
        "INSERT INTO coupons (coupon_id, code, code_key, campaign_id, status, uses_limit, issued_at) "
        "VALUES (gen_random_uuid(), $1, $2, $3, 'active', 1, $4::text::timestamptz)",
        [(code, earlier_key(code), campaign_id, issued_at) for code, campaign_id, issued_at in codes],
    )


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("BLACK FRIDAY", "blackfriday"), ("CAFE\u030110", "caf\u00e910"), ("VIP\u201310", "vip-10"),
        ("STRA\u1e9eE", "strasse"),
        ("\uff21\uff22\uff23", "abc"), ("\u0130ZMIR", "izmir"), ("\u65e5\u672c 10", "\u65e5\u672c10"),
        ("A\u00ad1", "A1"),
    ],
)  # fmt: skip
async def test_a_code_of_an_earlier_version_is_found_after_the_migration(
    database_url: str, stored: str, typed: str
) -> None:
    said: list[str] = []
    async with ledger(database_url, definition()) as pool:
        await as_before(pool, [(stored, "save10", "2026-02-01T00:00:00Z"), ("PLAIN", "save10", "2026-02-01T00:00:00Z")])
        migrate(database_url, said.append)
        assert said == ["The keys of 1 code were made again."]
        [verdict] = await Engine(pool).execute([redeem("O1", [typed])])
        assert [coupon.code for coupon in verdict.accepted] == [stored]
        said.clear()
        migrate(database_url, said.append)
        assert said == []


@pytest.mark.parametrize(
    ("older", "younger"),
    [("CAFE\u030110", "CAF\u00c910"), ("CAF\u00c910", "CAFE\u030110"), ("A B", "AB"), ("AB", "A B"), ("A B", "A  B")],
)
async def test_of_two_codes_with_one_key_the_older_keeps_working_and_both_are_reported(
    database_url: str, older: str, younger: str
) -> None:
    said: list[str] = []
    async with ledger(database_url, definition("new"), definition("old")) as pool:
        await as_before(pool, [(younger, "new", "2026-02-02T00:00:00Z"), (older, "old", "2026-02-01T00:00:00Z")])
        for _ in range(2):  # it is repeated until the campaign is archived
            said.clear()
            migrate(database_url, said.append)
            assert f"{younger!r} of campaign 'new'" in said[-1]
            assert f"{older!r} of campaign 'old', which is older and keeps it" in said[-1]
        [verdict] = await Engine(pool).execute([redeem("O1", [younger])])
        assert [coupon.campaign_id for coupon in verdict.accepted] == ["old"]


async def test_a_voided_coupon_does_not_keep_its_code_from_a_usable_one(database_url: str) -> None:
    async with ledger(database_url, definition("a"), definition("b")) as pool:
        await as_before(pool, [("A B", "a", "2026-02-01T00:00:00Z"), ("AB", "b", "2026-02-02T00:00:00Z")])
        await pool.execute("UPDATE coupons SET status = 'voided' WHERE code = 'A B'")
        said: list[str] = []
        migrate(database_url, said.append)
        assert said == ["The keys of 1 code were made again."]
        [verdict] = await Engine(pool).execute([redeem("O1", ["A B"])])
        assert [coupon.campaign_id for coupon in verdict.accepted] == ["b"]


async def test_a_code_that_cannot_be_seen_is_reported(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        await as_before(pool, [("\u200b", "save10", "2026-02-01T00:00:00Z")])
        said: list[str] = []
        migrate(database_url, said.append)
        assert "none of its characters can be seen" in said[-1]


async def test_keys_are_made_again_page_by_page(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.ledger.rekeying.PAGE", 7)
    async with ledger(database_url, definition()) as pool:
        await as_before(pool, [(f"CODE {number}", "save10", "2026-02-01T00:00:00Z") for number in range(50)])
        migrate(database_url, lambda _: None)
        keys = {row[0] for row in await pool.fetch("SELECT code_key FROM coupons")}
        assert keys == {f"CODE{number}" for number in range(50)}


async def test_a_shared_code_whose_key_changed_can_still_be_loaded(database_url: str) -> None:
    shared = definition("bf", code={"shared_code": "BLACK FRIDAY"}, limits={"uses_per_coupon": 5})
    async with served(database_url, shared) as here:
        # As an earlier version stored it, with an id that it made from its own key.
        await here.pool.execute("UPDATE coupons SET code_key = 'BLACK FRIDAY', coupon_id = gen_random_uuid()")
        migrate(database_url, lambda _: None)
        body = shared.model_copy(update={"name": "Black Friday"}).model_dump(mode="json")
        changed = await here.client.put("/v1/campaigns/bf", json=body)
        assert changed.status_code == 200, changed.text
        planned = await here.client.post("/v1/campaigns/bf/plan", json=body | {"name": "again"})
        assert planned.json()["conflict"] is None
        assert await here.pool.fetchval("SELECT count(*) FROM coupons") == 1
        assert await tried(here, "black-friday".replace("-", ""), "O1") == 200


async def test_an_erasure_replaces_a_name_in_the_key_of_a_refused_code(database_url: str) -> None:
    typed = "ann\u200b@example.com"
    async with served(database_url, definition(code={"pattern": "A########"})) as here:
        await issue(Engine(here.pool), "save10", 1, Customer("ann-1234567", "ann@example.com"))
        await tried(here, typed, "O1")
        await tried(here, "ann@example.com", "O2")
        names = identifiers(Customer("ann-1234567", "ann@example.com"))
        erasure_id = await erasing.begin(here.pool, names, "a test")
        await erasing.run(here.pool, erasure_id or "")
        rows = [row[0] for row in await here.pool.fetch("SELECT verdict::text FROM journal")]
        assert [row for row in rows if "example.com" in row.lower()] == []
        refused = [coupon for row in rows for coupon in json.loads(row)["refused"]]
        assert [coupon["code_key"] for coupon in refused] == [code_key(coupon["code"]) for coupon in refused]
        assert len(refused) == 2
