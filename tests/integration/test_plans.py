"""Frequent statements find their rows by an index, in tables of any content: no batch scans a whole table."""

import json
from typing import Any

import pytest

from shared.ledger.database import Pool, open_pool
from shared.ledger.sql import sql

ROWS = 20_000

FILL = """
INSERT INTO campaigns (campaign_id, status, definition) SELECT 'c' || n, 'active', '{}' FROM generate_series(1, 500) n;
INSERT INTO customers (customer_key) SELECT md5('p' || n)::uuid FROM generate_series(1, %(rows)s) n;
INSERT INTO customer_identifiers SELECT 'id', 'p' || n, md5('p' || n)::uuid FROM generate_series(1, %(rows)s) n;
INSERT INTO coupons (coupon_id, code, code_key, campaign_id, status, occasion, uses_limit)
    SELECT md5('k' || n)::uuid, 'K' || n, 'K' || n, 'c' || n %% 500,
           CASE WHEN n %% 10 = 0 THEN 'pooled' ELSE 'active' END,
           'reward ' || n, 1 FROM generate_series(1, %(rows)s) n;
INSERT INTO coupon_reminders SELECT md5('k' || n)::uuid, CASE WHEN n %% 100 = 0 THEN now() + n * interval '1 minute' END
    FROM generate_series(1, %(rows)s) n;
INSERT INTO orders (order_id, status, customer_key)
    SELECT 'o' || n, 'placed', md5('p' || n %% 5000)::uuid FROM generate_series(1, %(rows)s) n;
INSERT INTO shared_occasions SELECT 'reward ' || n, 'c1' FROM generate_series(1, %(rows)s) n;
INSERT INTO revoked_rewards SELECT 'reward ' || n, now(), now() FROM generate_series(1, %(rows)s) n;
INSERT INTO meters (campaign_id, customer_key)
    SELECT 'c' || n %% 500, md5('p' || n)::uuid FROM generate_series(1, %(rows)s) n;
INSERT INTO period_meters (campaign_id, customer_key, period)
    SELECT 'c' || n %% 500, md5('p' || n)::uuid, 'day 2026-11-' || 10 + n %% 20 FROM generate_series(1, %(rows)s) n;
INSERT INTO locks (lock_reference, status, order_id, expires_at)
    SELECT 'l' || n, CASE WHEN n %% 100 = 0 THEN 'open' ELSE 'burned' END, 'o' || n, now() + interval '1 day'
    FROM generate_series(1, %(rows)s) n;
INSERT INTO lock_uses
    SELECT 'l' || n, md5('k' || n)::uuid, 'c' || n %% 500, 1, 0 FROM generate_series(1, %(rows)s) n;
INSERT INTO ledger_entries (recorded_at, kind, coupon_id, campaign_id, order_id, command_id, held_uses, used_uses,
                       held_minor, used_minor, round)
    SELECT now(), 'burned', md5('k' || n)::uuid, 'c' || n %% 500, 'o' || n, 'x ' || n, 0, 1, 0, 0, 0
    FROM generate_series(1, %(rows)s) n;
INSERT INTO journal (command_id, fingerprint, kind, outcome, verdict, decided_at)
    SELECT 'x ' || n, '', 'RedeemCoupons', 'redeemed', '{}', now() FROM generate_series(1, %(rows)s) n;
INSERT INTO outbox (event_id, topic, key, type, source, subject, time, data)
    SELECT md5('e' || n)::uuid, 't', 'k', 'y', 's', 'u', now(), '{}' FROM generate_series(1, %(rows)s) n;
INSERT INTO webhook_endpoints (endpoint_id, url, secret, event_types)
    SELECT md5('w' || n)::uuid, 'https://example.com/', 'whsec_', ARRAY['*'] FROM generate_series(1, 50) n;
INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload, status)
    SELECT md5('w' || 1 + n %% 50)::uuid, md5('e' || n)::uuid, 't', '{}',
           CASE WHEN n %% 10 = 0 THEN 'pending' ELSE 'delivered' END FROM generate_series(1, %(rows)s) n;
INSERT INTO http_guesses SELECT 'caller ' || n %% 100, n, 1 FROM generate_series(1, %(rows)s) n;
INSERT INTO jobs (job_id, caller, campaign_id, total, status)
    SELECT md5('j' || n)::uuid, 'caller ' || n %% 1000, 'c1', 2000, CASE WHEN n %% 2 = 0 THEN 'done' ELSE 'waiting' END
    FROM generate_series(1, %(rows)s) n;
ANALYZE;
""" % {"rows": ROWS}  # noqa: UP031 - braces are JSON's here

HOT = {
    "journal_look_up": ["ARRAY['x 1', 'x 2']::text[]"],
    "customers_find": ["ARRAY['id', 'id']", "ARRAY['p1', 'p2']"],
    "orders_lock": ["ARRAY['o1', 'o2']"],
    "orders_redemptions": ["ARRAY['o1', 'o2']"],
    "subscription_uses": ["ARRAY['s1', 's2']"],
    "subscription_cycles": ["ARRAY['s1', 's2']", "ARRAY['c1', 'c2']", "now()"],
    "reminders_due": ["now()", "200"],
    "reminders_update": [
        "ARRAY[md5('k1')::uuid]",
        "ARRAY[now()]",
        "ARRAY[NULL]::timestamptz[]",
        "ARRAY[NULL]::timestamptz[]",
    ],
    "customers_lock": ["ARRAY[md5('p1')::uuid, md5('p2')::uuid]"],
    "customers_segments": ["ARRAY[md5('p1')::uuid]", "ARRAY['[]']::jsonb[]"],
    "orders_of_customers": ["ARRAY[md5('p1')::uuid, md5('p2')::uuid]", "3", "ARRAY['o7']", "now()"],
    "coupons_lock_by_code": ["ARRAY['K1', 'K2']"],
    "coupons_lock": ["ARRAY['K1', 'K2']", "ARRAY[md5('k3')::uuid]"],
    "coupons_occasions": ["ARRAY['reward 1', 'reward 2']"],
    "coupons_of_rewards": ["ARRAY['reward 1', 'reward 2']"],
    "customers_identifiers": ["ARRAY[md5('p1')::uuid, md5('p2')::uuid]"],
    "pool_take": ["ARRAY['c10', 'c20']", "ARRAY[2, 3]"],
    "locks_lock": ["ARRAY['l1', 'l2']", "ARRAY['o100']"],
    "locks_expired": ["now()", "200", "'{}'"],
    "lock_uses_of": ["ARRAY['l1', 'l2']"],
    "locks_of_coupons": ["ARRAY[md5('k1')::uuid]", "ARRAY[md5('p1')::uuid]", "ARRAY['o1']", "now()"],
    "meters_lock": ["ARRAY['c1', 'c2']", "ARRAY[md5('p1')::uuid, md5('p2')::uuid]"],
    "coupons_update": [
        "ARRAY[md5('k1')::uuid]",
        "ARRAY[0]",
        "ARRAY[1]",
        "ARRAY['active']",
        "ARRAY[now()]",
        "ARRAY[false]",
    ],
    "meters_update": [
        "ARRAY['c1']",
        "ARRAY[md5('p1')::uuid]",
        "ARRAY[0]",
        "ARRAY[0]",
        "ARRAY[0]",
        "ARRAY[0]",
        "ARRAY[0]",
    ],
    "period_meters_ensure": [
        "ARRAY['c1', 'c2']",
        "ARRAY[md5('p1')::uuid, md5('p2')::uuid]",
        "ARRAY['day 2026-11-11', 'week 2026-11-09']",
        "ARRAY[1, 1]",
        "ARRAY[1, 1]",
    ],
    "period_meters_lock": [
        "ARRAY['c1', 'c2']",
        "ARRAY[md5('p1')::uuid, md5('p2')::uuid]",
        "ARRAY['day 2026-11-11', 'week 2026-11-09']",
    ],
    "period_meters_update": [
        "ARRAY['c1']",
        "ARRAY[md5('p1')::uuid]",
        "ARRAY['day 2026-11-11']",
        "ARRAY[0]",
        "ARRAY[0]",
        "ARRAY[1]",
    ],
    "campaigns_version": [],
    "campaigns_changed_since": ["499"],
    "outbox_read_after": ["19000", "500"],
}

NULL_TIMES = ["NULL::timestamptz", "NULL::timestamptz"]
READS: dict[str, tuple[str, str, list[str]]] = {
    "redemptions of a campaign": (
        "page_redeemed", "shared.ledger",
        ["NULL::text", *NULL_TIMES, "'c1'", "NULL::uuid", "NULL::text", "NULL::uuid[]", "15000", "51", "NULL",
         "NULL::text"],
    ),
    "redemptions of a customer": (
        "page_redeemed", "shared.ledger",
        ["NULL::text", *NULL_TIMES, "NULL::text", "md5('p1')::uuid", "NULL::text", "NULL::uuid[]", "NULL::bigint", "51",
         "NULL", "NULL::text"],
    ),
    "redemptions of an order": (
        "page_redeemed", "shared.ledger",
        ["'burned'", *NULL_TIMES, "NULL::text", "NULL::uuid", "'o1'", "NULL::uuid[]", "NULL::bigint", "51", "NULL",
         "NULL::text"],
    ),
    "redemptions, newest first": (
        "page_redeemed", "shared.ledger",
        ["NULL::text", *NULL_TIMES, "NULL::text", "NULL::uuid", "NULL::text", "NULL::uuid[]", "15000", "51", "NULL",
         "NULL::text"],
    ),
    "redemptions of a code": (
        "page_redeemed", "shared.ledger",
        ["NULL::text", *NULL_TIMES, "NULL::text", "NULL::uuid", "NULL::text", "ARRAY[md5('k1')::uuid]", "NULL::bigint",
         "51", "NULL", "NULL::text"],
    ),
    "coupons of a code": ("coupons_of_code", "shared.ledger", ["'K1'"]),
    "the coupon of a code and earlier ones": ("show_coupon", "shared.ledger", ["'K1'", "101"]),
    "codes to be freed": ("codes_free", "shared.ledger", ["'c1'", "5000"]),
    "keys that may differ": (
        "rekey_find", "shared.ledger", ["'00000000-0000-0000-0000-000000000000'", "1000"],
    ),
    "coupons that lost their code": ("rekey_lost", "shared.ledger", ["21"]),
    "coupons of a campaign": (
        "page_coupons", "shared.ledger", ["'c1'", "NULL::uuid", "NULL::text", "md5('k1')::uuid", "51", "NULL"],
    ),
    "coupons, by id": (
        "page_coupons", "shared.ledger", ["NULL::text", "NULL::uuid", "NULL::text", "md5('k1')::uuid", "51", "NULL"],
    ),
    "coupons of a group": (
        "page_coupons", "shared.ledger",
        ["NULL::text", "NULL::uuid", "NULL::text", "md5('k1')::uuid", "51", "ARRAY['g']"],
    ),
    "redemptions of a group": (
        "page_redeemed", "shared.ledger",
        ["NULL::text", *NULL_TIMES, "NULL::text", "NULL::uuid", "NULL::text", "NULL::uuid[]", "15000", "51",
         "ARRAY['g']", "NULL::text"],
    ),
    "a key": ("key_find", "services.gateway", ["'k1'"]),
    "deliveries that are due": (
        "deliveries_claim", "services.notifier",
        ["ARRAY[md5('w1')::uuid]", "ARRAY[3]", "8", "false", "ARRAY[md5('w2')::uuid]", "32", "24", "60"],
    ),
    "an answer": ("stored_responses_find", "services.gateway", ["ARRAY['a']", "ARRAY['b']"]),
    "old answers": ("stored_responses_prune", "services.gateway", ["2592000", "100"]),
    "whether an order has burned": ("order_has_burned", "services.gateway", ["'o1'", "NULL"]),
    "a coupon and its company": ("coupon_alone", "services.gateway", ["'K1'", "NULL"]),
    "whether a code is taken": ("code_is_taken", "services.gateway", ["'K1'", "'c2'"]),
    "coupons in use": ("coupons_in_use", "services.gateway", ["ARRAY['c1']"]),
    "a guess": ("guesses_add", "services.gateway", ["ARRAY['caller 7']", "ARRAY[0]", "ARRAY[1]", "5", "13"]),
    "guesses of all gateways": ("guesses_read", "services.gateway", ["5", "13", "20000"]),
    "old guesses": ("guesses_prune", "services.gateway", ["5", "500000000"]),
    "another job": (
        "job_add", "services.gateway", ["md5('j')::uuid", "'caller 7'", "'c1'", "2000", "20", "2000000"],
    ),
}  # fmt: skip
"""Statements of the gateway's requests and pages, with used and unused filters."""


def scans(plan: dict[str, Any]) -> list[str]:
    """Return the tables that a plan scans completely."""
    found = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return found + [name for child in plan.get("Plans", ()) for name in scans(child)]


@pytest.fixture
async def filled(database_url: str) -> str:
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        await pool.execute(FILL)
    return database_url


def indexes(plan: dict[str, Any]) -> list[str]:
    """Return the indexes that a plan uses, and `sort` for each sort."""
    found = [plan["Index Name"]] if "Index Name" in plan else []
    found += ["sort"] if "Sort" in plan["Node Type"] else []
    return found + [name for child in plan.get("Plans", ()) for name in indexes(child)]


async def plan_of(
    pool: Pool, name: str, package: str = "shared.ledger", arguments: list[str] | None = None
) -> dict[str, Any]:
    statement = sql(name, package)
    for number, argument in reversed(list(enumerate(HOT[name] if arguments is None else arguments, 1))):
        statement = statement.replace(f"${number}", argument)
    assert "$" not in statement, f"{name}: give all of its arguments"
    plan: dict[str, Any] = json.loads(await pool.fetchval(f"EXPLAIN (FORMAT JSON) {statement}"))[0]["Plan"]
    return plan


async def test_no_frequent_statement_scans_a_whole_table(filled: str) -> None:
    async with await open_pool(filled, max_size=1) as pool:
        for name in HOT:
            plan = await plan_of(pool, name)
            assert scans(plan) == [], f"{name} reads {scans(plan)} from end to end"


async def test_no_list_page_scans_a_whole_table(filled: str) -> None:
    async with await open_pool(filled, max_size=1) as pool:
        for what, (name, package, arguments) in READS.items():
            read = set(scans(await plan_of(pool, name, package, arguments)))
            small = {"campaigns", "api_keys", "http_answers", "webhook_endpoints"}
            assert read <= small, f"{what}: {name} reads {read} from end to end"


async def test_a_first_order_is_found_by_the_index_of_customers(filled: str) -> None:
    async with await open_pool(filled, max_size=1) as pool:
        assert set(indexes(await plan_of(pool, "orders_of_customers"))) - {"sort"} == {
            "orders_customer_key",
            "locks_pkey",
        }
