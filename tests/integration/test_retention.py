"""Rows older than their retention are deleted in pieces of limited size, found by an index; newer rows stay."""

import json
from typing import Any

import pytest

from services.gateway.jobs import JobRunner
from services.relay import pruner as relay_pruner
from services.relay.pruner import Pruner
from services.relay.settings import RelaySettings
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine
from tests.integration.test_plans import FILL, ROWS, indexes, plan_of, scans
from tests.ledger import ledger

DAY = 86_400.0
MORE = """
INSERT INTO webhook_endpoints (endpoint_id, url, secret, event_types)
    VALUES (md5('e')::uuid, 'https://example.com', 's', '{*}');
INSERT INTO webhook_deliveries (endpoint_id, event_id, type, payload, status, created_at)
    SELECT md5('e')::uuid, md5('v' || n)::uuid, 't', '{}', 'delivered', now() - n * interval '1 minute'
    FROM generate_series(1, %(rows)s) n;
INSERT INTO webhook_attempts (delivery_id, attempt, error) SELECT delivery_id, 1, 'timeout' FROM webhook_deliveries;
INSERT INTO external_requests (command_id, campaign_id, idempotency_key, asked_at)
    SELECT 'x ' || n, 'c1', md5('r' || n)::uuid, now() - n * interval '1 minute' FROM generate_series(1, %(rows)s) n;
INSERT INTO jobs (job_id, caller, campaign_id, total, status, updated_at)
    SELECT md5('ended j' || n)::uuid, 'k', 'c1', 1, CASE WHEN n %% 2 = 0 THEN 'done' ELSE 'running' END,
           now() - n * interval '1 minute' FROM generate_series(1, %(rows)s) n;
INSERT INTO erasures (erasure_id, pseudonym, requested_by, requested_at, free_text, customer_keys, identifiers, stage,
                      finished_at)
    SELECT md5('a' || n)::uuid, md5('p' || n)::uuid, 'k', now(), true, '{}', '[]', 'done',
           now() - n * interval '1 minute' FROM generate_series(1, %(rows)s) n;
INSERT INTO http_answers (caller, idempotency_key, fingerprint, owner, started_at, status, media_type, body)
    SELECT 'k', n::text, '', 1, now() - n * interval '1 minute', 200, 'application/json', '{}'
    FROM generate_series(1, %(rows)s) n;
UPDATE coupons SET holder_key = md5('p' || code)::uuid;
UPDATE locks SET customer_key = md5('p' || lock_reference)::uuid;
INSERT INTO ledger_entries (recorded_at, kind, coupon_id, campaign_id, customer_key, command_id, held_uses, used_uses,
                       held_minor, used_minor)
    SELECT now(), 'issued', md5('k' || n)::uuid, 'c1', md5('p' || n)::uuid, 'y ' || n, 0, 0, 0, 0
    FROM generate_series(1, %(rows)s) n;
INSERT INTO journal (command_id, fingerprint, kind, outcome, verdict, decided_at)
    SELECT 'y ' || n, '', 'IssueCoupons', 'issued', json_build_object('customer_key', md5('p' || n)::uuid), now()
    FROM generate_series(1, %(rows)s) n;
ANALYZE;
""" % {"rows": ROWS}  # noqa: UP031

PRUNES = {
    "deliveries_prune": ("services.relay", ["86400", "100"]),
    "external_requests_prune": ("services.relay", ["86400", "100"]),
    "erasures_prune": ("services.relay", ["86400", "100"]),
    "jobs_prune": ("services.gateway", ["86400", "100"]),
    "stored_responses_prune": ("services.gateway", ["86400", "100"]),
}
CUSTOMER_KEYS = "ARRAY[md5('p1')]::uuid[]"
SCAN = ["100", "ARRAY['%ann%']", "ARRAY[]::text[]", "now()"]
OF_A_PERSON = {
    "erasure_coupons_find": [CUSTOMER_KEYS, "500"],
    "erasure_orders": ["md5('q')::uuid", CUSTOMER_KEYS, "500"],
    "erasure_locks": ["md5('q')::uuid", CUSTOMER_KEYS, "500"],
    "erasure_locks_open": ["md5('q')::uuid", CUSTOMER_KEYS],
    "erasure_journal_find": ["ARRAY[md5('p1')::uuid::text]", "500"],
    "erasure_remaining": [CUSTOMER_KEYS],
    "erasure_open_of": ["'email'", "'ann@example.com'"],
    "erasure_next": ["ARRAY[]::uuid[]"],
    "export_coupons": [CUSTOMER_KEYS, "500", "md5('a')::uuid"],
    "export_orders": [CUSTOMER_KEYS, "500", "''"],
    "export_locks": [CUSTOMER_KEYS, "500", "''"],
    "export_entries": [CUSTOMER_KEYS, "500", "0"],
    "export_journal": [CUSTOMER_KEYS, "500", "''"],
    "export_external_requests": [CUSTOMER_KEYS, "500", "''", "''"],
    "page_refused": [
        "NULL::text", "NULL::timestamptz", "NULL::timestamptz", "NULL::text", "md5('p1')::uuid::text", "NULL::text",
        "NULL::text", "NULL::timestamptz", "NULL::text", "NULL::text", "51", "NULL", "NULL::text", "NULL::text",
    ],
    "erasure_journal_scan": [*SCAN, "'x 5'"],
    "erasure_outbox_scan": [*SCAN, "19000"],
    "erasure_deliveries_scan": [*SCAN, "19000"],
    "erasure_attempts_scan": [*SCAN, "19000", "1"],
    "erasure_stored_responses_scan": [*SCAN, "'k'", "'5'"],
    "erasure_requests_scan": [*SCAN, "'x 5'", "'c1'"],
    "erasure_shared_occasions_scan": [*SCAN, "'reward 5'", "'c1'"],
}  # fmt: skip


@pytest.fixture
async def filled(database_url: str) -> str:
    async with await open_pool(database_url, role=None, max_size=1) as pool:
        await pool.execute(FILL)
        await pool.execute("TRUNCATE jobs, webhook_endpoints CASCADE")
        await pool.execute(MORE)
    return database_url


async def test_rows_to_delete_or_erase_are_found_by_an_index(filled: str) -> None:
    async with await open_pool(filled, max_size=1) as pool:
        read = {
            name: scans(await plan_of(pool, name, package, arguments)) for name, (package, arguments) in PRUNES.items()
        }
        read |= {
            name: scans(await plan_of(pool, name, "shared.ledger", arguments))
            for name, arguments in OF_A_PERSON.items()
        }
        assert {name: tables for name, tables in read.items() if tables} == {}
        entries = "EXPLAIN (FORMAT JSON) SELECT entry_id FROM ledger_entries WHERE customer_key = ANY ($1) LIMIT 500"
        plan: dict[str, Any] = json.loads(await pool.fetchval(entries.replace("$1", CUSTOMER_KEYS)))[0]["Plan"]
        assert indexes(plan) == ["ledger_entries_customer_key"]


async def test_the_relay_deletes_rows_older_than_their_retention_in_limited_pieces(
    filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_pruner, "ROWS_AT_ONCE", 7_000)
    retention = dict.fromkeys(("deliveries_prune", "external_requests_prune", "erasures_prune"), 7 * DAY)
    young = 7 * 24 * 60
    async with await open_pool(filled, max_size=1) as pool:
        leading: list[int | None] = [None]
        pruner = Pruner(pool, lambda: leading[0], retention_seconds=DAY, others=retention)
        assert await pruner.run_once() == 0, "another relay leads"
        leading[0] = 0
        assert await pruner.run_once() == 7_000
        assert await left(pool, "webhook_deliveries") == ROWS - 7_000
        while await pruner.run_once():
            pass
        for table in ("webhook_deliveries", "webhook_attempts", "external_requests", "erasures"):
            assert young - 5 <= await left(pool, table) <= young, table


async def test_a_gateway_deletes_only_old_responses_and_finished_jobs(filled: str) -> None:
    async with await open_pool(filled, max_size=1) as pool:
        runner = JobRunner(pool, Engine(pool), retention_seconds=7 * DAY)
        while await runner.prune():
            pass
        assert await pool.fetchval("SELECT count(*) FROM jobs WHERE status = 'running'") == ROWS // 2
        ended = await pool.fetchval("SELECT count(*) FROM jobs WHERE status = 'done'")
        assert 7 * 24 * 30 - 5 <= ended <= 7 * 24 * 30


async def test_an_open_erasure_is_never_deleted_from_the_log(database_url: str) -> None:
    async with ledger(database_url) as pool:
        await pool.execute(
            "INSERT INTO erasures (erasure_id, pseudonym, requested_by, requested_at, free_text, customer_keys, "
            "identifiers, stage) VALUES (gen_random_uuid(), gen_random_uuid(), 'k', now() - interval '9 years', true, "
            "'{}', '[]', 'coupons')"
        )
        pruner = Pruner(pool, lambda: 0, retention_seconds=DAY, others={"erasures_prune": DAY})
        assert await pruner.run_once() == 0
        assert await left(pool, "erasures") == 1


def test_every_retention_of_the_relay_is_a_statement_with_a_setting() -> None:
    settings = RelaySettings(database_url="postgresql://localhost", kafka_bootstrap_servers="localhost:1")  # type: ignore[arg-type]
    assert set(settings.retention) == {name for name, (package, _) in PRUNES.items() if package == "services.relay"}
    assert min(settings.retention.values()) >= 30 * DAY


async def left(pool: Pool, table: str) -> int:
    rows: int = await pool.fetchval(f"SELECT count(*) FROM {table}")
    return rows
