"""Erasure and export on PostgreSQL: no row names the customer afterwards, and all totals stay right."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from schemas.catalogue import BY_TYPE
from schemas.parsing import parse
from services.notifier.handler import NotificationHandler
from shared.domain.model.commands import RecordCustomer, ReleaseLock, VoidCoupon
from shared.domain.model.customer import Customer, identifiers
from shared.domain.model.order_commands import CancelOrder, PayOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger import erasing, erasing_steps, exporting
from shared.ledger.audit import audit
from shared.ledger.database import open_pool
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, definition, issue, ledger, redeem
from tests.privacy import (
    ANN,
    ANN_ELSEWHERE,
    ANN_IDENTIFIERS,
    BOB,
    LIMITED,
    NAMES,
    delete_erasure_events,
    erase,
    issue_coupon,
    named_in,
    write_rows_everywhere,
)
from tests.received_events import received


async def test_after_an_erasure_no_row_of_any_table_names_the_customer(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        before = await named_in(database_url)
        assert {place.partition(".")[0] for place in before} == {
            "customer_identifiers", "coupons", "shared_occasions", "orders", "journal", "outbox", "webhook_deliveries",
            "webhook_attempts", "http_answers", "external_requests",
        }  # fmt: skip
        keys = tuple(str(row[0]) for row in await pool.fetch(
            "SELECT customer_key FROM customers WHERE customer_key IN "
            "(SELECT customer_key FROM customer_identifiers WHERE value LIKE '%ann%') OR merged_into IS NOT NULL"
        ))  # fmt: skip
        assert len(keys) == 2
        erasure_id = await erase(pool)
        found = await erasing.find(pool, erasure_id)
        assert found is not None
        assert found.done
        await delete_erasure_events(pool)
        assert await named_in(database_url, (*NAMES, *keys)) == {}
        assert await named_in(database_url, ("bob@example.com",)) != {}
        assert (await audit(pool)).findings == ()


async def test_limits_apply_to_the_pseudonym_and_a_returning_customer_is_new(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        total = await pool.fetchval("SELECT sum(used_uses) FROM meters WHERE customer_key <> $1", "0" * 32)
        erasure_id = await erase(pool)
        erasure = await erasing.find(pool, erasure_id)
        assert erasure is not None
        mine = "SELECT used_uses, held_uses FROM meters WHERE campaign_id = 'limited' AND customer_key = $1"
        assert tuple(await pool.fetchrow(mine, erasure.pseudonym)) == (1, 1)
        assert await pool.fetchval("SELECT sum(used_uses) FROM meters WHERE customer_key <> $1", "0" * 32) == total
        # The held order is paid: the pseudonym's use is burned, and later restored.
        answers = await engine.execute([PayOrder("/pay A-5", "A-5", PLACED_AT)])
        assert [getattr(one, "outcome", one) for one in answers] == ["redeemed"]
        assert tuple(await pool.fetchrow(mine, erasure.pseudonym)) == (2, 0)
        [cancelled] = await engine.execute([CancelOrder("/cancel A-3", "A-3", PLACED_AT)])
        assert isinstance(cancelled, Verdict)
        assert cancelled.customer_key == erasure.pseudonym
        assert tuple(await pool.fetchrow(mine, erasure.pseudonym)) == (1, 0)
        # The same names belong to a new customer, with separate limits.
        again = await engine.execute([redeem(f"N-{n}", ["LIMITED"], customer=ANN) for n in range(3)])
        assert [getattr(one, "outcome", one) for one in again] == ["redeemed", "redeemed", "refused"]
        assert tuple(await pool.fetchrow(mine, erasure.pseudonym)) == (1, 0)
        known = await exporting.find_customer(pool, ANN_IDENTIFIERS)
        assert known is not None
        assert erasure.pseudonym not in known.customer_keys


async def test_a_replay_gets_its_recorded_verdict_and_restores_no_personal_data(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        replayed = redeem("A-3", ["LIMITED"], customer=ANN)
        [before] = await engine.execute([replayed])
        await erase(pool)
        [after] = await engine.execute([replayed])
        assert isinstance(before, Verdict)
        assert isinstance(after, Verdict)
        assert (after.outcome, after.accepted, after.discount_minor) == (
            before.outcome, before.accepted, before.discount_minor,
        )  # fmt: skip
        assert await exporting.find_customer(pool, ANN_IDENTIFIERS) is None
        fingerprint = await pool.fetchval("SELECT fingerprint FROM journal WHERE command_id = '/shop A-3'")
        assert fingerprint == b"\0", "a hash of what was asked could be guessed from"


async def test_unpublished_events_lose_the_customer_and_stay_valid(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        before = await pool.fetchval("SELECT count(*) FROM outbox")
        erasure_id = await erase(pool)
        rows = await pool.fetch("SELECT type, key, subject, data::text FROM outbox ORDER BY position")
        for row in rows:
            parse(BY_TYPE[row["type"]].model, row["data"].encode())
        erased_events = [row for row in rows if row["type"] == "customer.erased"]
        assert len(rows) == before + len(erased_events)
        assert [(row["key"], row["subject"]) for row in erased_events] == [
            ("ann_smith_77", "ann_smith_77"), ("webshop-ann-smith", "webshop-ann-smith"),
        ]  # fmt: skip
        data = json.loads(erased_events[0]["data"])
        assert set(data) == {"erasure_id", "pseudonym", "customer_id", "coupon_ids", "erased_at"}
        assert data["erasure_id"] == erasure_id
        assert len(data["coupon_ids"]) == 2
        webhooks = await pool.fetch("SELECT payload FROM webhook_deliveries WHERE type = 'customer.erased' ORDER BY 1")
        assert {json.loads(row[0])["data"]["customer_id"] for row in webhooks} == {row["key"] for row in erased_events}
        pseudonyms = {row["key"] for row in rows if row["key"].startswith("erased-")}
        assert pseudonyms == {f"erased-{data['pseudonym']}"}


async def test_a_lagging_notifier_restores_no_personal_data_during_an_erasure(database_url: str) -> None:
    data = {
        "redemption_id": "r", "order_id": "A-1", "customer": {"customer_id": "ann_smith_77"}, "requested_count": 1,
        "order_amount": "125.00", "currency": "USD", "discount_amount": "12.50", "channel": "orders",
        "coupons": [
            {"coupon_id": "c", "campaign_id": "save10", "discount": {"kind": "percentage", "value": "10"},
             "discount_amount": "12.50"}
        ],
    }  # fmt: skip
    async with ledger(database_url, definition(), LIMITED) as pool:
        await write_rows_everywhere(Engine(pool), pool)
        erasure_id = await erasing.begin(pool, ANN_IDENTIFIERS, "a test")
        late = received("coupon.redeemed", data | {"redeemed_at": "2026-03-01T12:00:00Z"}, event_id="1")
        later = received("coupon.redeemed", data | {"redeemed_at": "2999-03-01T12:00:00Z"}, event_id="2")
        assert await NotificationHandler(pool).handle([late, later]) == []
        await erasing.run(pool, erasure_id or "")
        query = "SELECT data::text FROM outbox WHERE type = 'coupon.redemption_notified' ORDER BY position"
        customers = [json.loads(row["data"])["customer"]["customer_id"] for row in await pool.fetch(query)]
        assert customers[0].startswith("erased-")
        assert customers[1] == "ann_smith_77", "a new customer with the same name"
        sent = "SELECT payload FROM webhook_deliveries WHERE type = 'coupon.redemption_notified' ORDER BY delivery_id"
        customers = [json.loads(row[0])["data"]["customer"]["customer_id"] for row in await pool.fetch(sent)]
        assert [one.startswith("erased-") for one in customers] == [True, False]


async def test_only_an_erasure_can_change_a_ledger_entry(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool, await open_pool(database_url, role=None) as owner:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        bob = await exporting.find_customer(pool, identifiers(BOB))
        assert bob is not None
        erasure_id = await erasing.begin(pool, ANN_IDENTIFIERS, "a test")
        erasure = await erasing.find(pool, erasure_id or "")
        assert erasure is not None
        for change in (
            "used_uses = used_uses + 1", f"customer_key = '{bob.customer_keys[0]}'", "customer_key = gen_random_uuid()",
            f"customer_key = '{erasure.pseudonym}'",  # of all customers
            f"customer_key = '{erasure.pseudonym}', used_minor = 0",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(f"UPDATE ledger_entries SET {change}")
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(f"UPDATE ledger_entries SET {change}")
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute("DELETE FROM ledger_entries")
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await owner.execute("TRUNCATE ledger_entries")
        verdict: Any = json.loads(
            await pool.fetchval("SELECT verdict::text FROM journal WHERE command_id = '/shop A-3'")
        )
        erases = "SELECT erase_verdicts($1, ARRAY['/shop A-3'], ARRAY[$2::text])"
        for wrong in (
            verdict | {"outcome": "refused"}, verdict | {"discount_minor": 0},
            verdict | {"customer_key": bob.customer_keys[0]}, verdict | {"accepted": []},
        ):  # fmt: skip
            with pytest.raises(asyncpg.RestrictViolationError):
                await pool.fetchval(erases, erasure_id, json.dumps(wrong))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("UPDATE journal SET verdict = '{}'")
        await erasing.run(pool, erasure_id or "")
        with pytest.raises(asyncpg.RestrictViolationError):
            await pool.fetchval(erases, erasure_id, json.dumps(verdict))


async def test_an_erasure_killed_after_any_step_is_finished_by_a_rerun_and_the_audit_stays_clean(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing_steps, "ROWS_BY_KEY", 2)
    monkeypatch.setattr(erasing_steps, "ROWS_OF_TEXT", 3)
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        erasure_id = await erasing.begin(pool, ANN_IDENTIFIERS, "a test")
        assert erasure_id is not None
        pieces = 0
        while await erasing.work(pool, erasure_id):
            pieces += 1
            assert (await audit(pool)).findings == ()
            # A second request, by any of the customer's names, continues the same erasure.
            assert await erasing.begin(pool, identifiers(ANN_ELSEWHERE), "a rerun") == erasure_id
        assert pieces >= 25
        assert await erasing.begin(pool, ANN_IDENTIFIERS, "too late") is None
        record = await pool.fetchrow("SELECT * FROM erasures")
        assert (record["identifiers"], record["customer_keys"], record["requested_by"]) == ("[]", [], "a test")
        assert json.loads(record["counts"])["ledger_entries"] > 5
        await delete_erasure_events(pool)
        assert await named_in(database_url) == {}


async def test_rows_that_a_batch_writes_during_an_erasure_are_erased_too(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        spare = await issue_coupon(engine, 9, ANN)
        keys = [str(row[0]) for row in await pool.fetch("SELECT customer_key FROM customers")]
        erasure_id = await erasing.begin(pool, ANN_IDENTIFIERS, "a test")
        assert erasure_id is not None
        commands = [
            VoidCoupon("/cli void", spare),
            CancelOrder("/cancel A-2", "A-2", PLACED_AT),
            PayOrder("/pay A-5", "A-5", PLACED_AT),
            ReleaseLock("/cli release", "lock-1"),
            CancelOrder("/cancel A-4", "A-4", PLACED_AT),
        ]
        for command in commands:
            await engine.execute([command])
            assert (await audit(pool)).findings == ()
            await erasing.work(pool, erasure_id)
            assert (await audit(pool)).findings == ()
        await erasing.run(pool, erasure_id)
        erasure = await erasing.find(pool, erasure_id)
        assert erasure is not None
        left = {str(row[0]) for row in await pool.fetch("SELECT DISTINCT customer_key FROM ledger_entries")} & set(keys)
        assert len(left) == 1, "only Bob's"
        await delete_erasure_events(pool)
        assert await named_in(database_url) == {}


async def test_two_concurrent_erasures_with_running_engines_erase_once_and_keep_every_sum(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED, connections=8) as pool:
        engines = [Engine(pool), Engine(pool)]
        await write_rows_everywhere(engines[0], pool)
        stop = asyncio.Event()

        async def orders(number: int) -> int:
            made = 0
            while not stop.is_set():
                made += 1
                name = f"{number}-{made}"
                buyer = Customer(f"customer-{number}-{made % 3}", "ann.smith@example.com" if made % 5 == 0 else None)
                order = redeem(f"O-{name}", ["LIMITED"], customer=buyer)
                await engines[number].execute([order, CancelOrder(f"/c {name}", f"O-{name}", PLACED_AT)])
            return made

        running = [asyncio.create_task(orders(number)) for number in (0, 1)]
        ids = set()
        try:
            for _ in range(3):
                async with asyncio.TaskGroup() as group:
                    found = [group.create_task(erasing.begin(pool, ANN_IDENTIFIERS, f"{n}")) for n in range(2)]
                begun = {one.result() for one in found} - {None}
                ids |= begun
                for erasure_id in begun:
                    await asyncio.gather(erasing.run(pool, erasure_id or ""), erasing.run(pool, erasure_id or ""))
                assert (await audit(pool)).findings == ()
        finally:
            stop.set()
        assert all(made > 0 for made in await asyncio.gather(*running))
        assert ids
        assert await pool.fetchval("SELECT count(*) FROM outbox WHERE type = 'customer.erased'") >= len(ids)


async def test_an_export_contains_everything_of_the_customer_and_nothing_of_others(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        engine = Engine(pool)
        await write_rows_everywhere(engine, pool)
        customer = await exporting.find_customer(pool, identifiers(ANN_ELSEWHERE))
        assert customer is not None
        made = json.loads(b"".join([part async for part in exporting.document(pool, customer)]))
        assert {(one["kind"], one["value"]) for one in made["identifiers"]} == {
            ("id", "ann_smith_77"), ("id", "webshop-ann-smith"), ("email", "ann.smith@example.com"),
            ("mobile", "+4930123456"), ("mobile", "+49301234567"),
        }  # fmt: skip
        assert made["segments"] == ["vip"]
        assert len(made["coupons"]) == 2
        assert {one["order_id"] for one in made["orders"]} == {"A-1", "A-2", "A-3", "A-4", "A-5"}
        keys = list(customer.customer_keys)
        entries = await pool.fetchval("SELECT count(*) FROM ledger_entries WHERE customer_key = ANY($1::uuid[])", keys)
        assert len(made["ledger_entries"]) == entries > 8
        assert {one["lock"]["lock_reference"] for one in made["locks"]} >= {"lock-1"}
        assert any((one["verdict"].get("metadata") or {}).get("gift_for") == "Ann Smith" for one in made["decisions"])
        assert [one["used_uses"] for one in made["totals"] if one["campaign_id"] == "limited"] == [1]
        assert {one["period"].partition(" ")[0] for one in made["totals_of_periods"]} == {"month", "coupon"}
        assert len(made["webhook_deliveries"]) == 1
        assert [one["idempotency_key"] for one in made["kept_answers"]] == ["idem-2"]
        assert made["events"]
        assert "bob@example.com" not in json.dumps(made)
        await erase(pool)
        assert await exporting.find_customer(pool, ANN_IDENTIFIERS) is None


async def test_a_placeholder_shared_by_many_customers_is_not_erased(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        people = [Customer(f"guest-{n}", "none@example.com") for n in range(erasing.MAX_NAMES + 1)]
        await engine.execute([RecordCustomer(f"/n {n}", who, PLACED_AT) for n, who in enumerate(people)])
        with pytest.raises(erasing.ErasureRefusedError, match="placeholder"):
            await erasing.begin(pool, (("email", "none@example.com"),), "a test")
        assert await pool.fetchval("SELECT count(*) FROM erasures") == 0


async def test_a_piece_that_takes_too_long_is_retried_smaller(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        await write_rows_everywhere(Engine(pool), pool)
        tried: list[int] = []
        real = erasing_steps.STEPS["outbox"]

        async def slow(connection: Any, target: erasing_steps.Target, cursor: Any) -> erasing_steps.Piece:
            tried.append(target.bounded(erasing_steps.ROWS_OF_TEXT))
            if tried[-1] > 75:
                raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
            return await real(connection, target, cursor)

        monkeypatch.setattr(erasing_steps, "STEPS", {**erasing_steps.STEPS, "outbox": slow})
        monkeypatch.setattr(erasing, "STEPS", erasing_steps.STEPS)
        await erase(pool)
        assert tried == [250, 125, 62]


async def test_the_customer_of_an_open_erasure_is_hidden_from_readers(database_url: str) -> None:
    async with ledger(database_url, definition(), LIMITED) as pool:
        await write_rows_everywhere(Engine(pool), pool)
        await erasing.begin(pool, ANN_IDENTIFIERS, "a test")
        async with await open_pool(database_url, role="couponry_readonly") as reader:
            assert await reader.fetchval("SELECT requested_by FROM erasures") == "a test"
            for column in ("identifiers", "customer_keys", "cursor"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await reader.fetchval(f"SELECT {column} FROM erasures")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.fetchval("SELECT erase_ledger_entries(gen_random_uuid(), 1)")


async def test_the_erasure_of_a_customer_without_an_id_is_published_with_their_coupons(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        nameless = Customer(None, "ann@example.com")
        await issue_coupon(engine, 1, nameless)
        await erase(pool, identifiers(nameless))
        event = await pool.fetchrow("SELECT key, subject, data::text FROM outbox WHERE type = 'customer.erased'")
        data = json.loads(event["data"])
        parse(BY_TYPE["customer.erased"].model, event["data"].encode())
        assert (event["key"], data["customer_id"], len(data["coupon_ids"])) == (data["pseudonym"], None, 1)
        assert await named_in(database_url, ("ann@example.com",)) == {}


async def test_references_that_name_the_customer_are_kept_and_counted(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        code = await issue_coupon(engine, 1, ANN)
        await engine.execute([redeem("order of ann_smith_77", [code], customer=ANN)])
        erasure = await erasing.find(pool, await erase(pool))
        assert erasure is not None
        assert erasure.counts["references_kept"] == 1
        places = set(await named_in(database_url))
    assert {"orders.order_id", "ledger_entries.order_id", "journal.order_id", "journal.command_id"} <= places
    assert all(place.partition(".")[2] in ("order_id", "command_id", "verdict", "key", "subject", "data", "payload")
               for place in places), places  # fmt: skip


async def test_a_second_erasure_does_not_change_the_event_of_the_first(database_url: str) -> None:
    query = "SELECT event_id::text, key, data::text FROM outbox WHERE type = 'customer.erased' ORDER BY position"
    async with ledger(database_url, definition(), LIMITED) as pool:
        await write_rows_everywhere(Engine(pool), pool)
        await erase(pool)
        first = [tuple(row) for row in await pool.fetch(query)]
        assert first
        await issue(Engine(pool), "save10", customer=ANN)
        await erase(pool)
        assert [tuple(row) for row in await pool.fetch(query)][: len(first)] == first
