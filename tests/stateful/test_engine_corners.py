"""Cases that the state machine found: interactions of different commands."""

import asyncio
from dataclasses import replace

from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger.database import open_pool
from shared.ledger.engine import Answer, Engine, Rejected
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem

ANN, BOB = Customer("ann"), Customer("bob")


def outcome(answer: Answer) -> str:
    assert isinstance(answer, Verdict), answer
    return answer.outcome


def reasons(answer: Answer) -> list[Reason]:
    assert isinstance(answer, Verdict), answer
    return [refused.reason for refused in answer.refused]


async def test_the_same_command_twice_in_a_batch_is_executed_once(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        [code] = await issue(Engine(pool), "save10")
        command = redeem("A", [code])
        first, again = await Engine(pool).execute([command, command])
        assert first == again
        assert outcome(first) == "redeemed"


async def test_a_command_keeps_its_verdict_if_another_with_its_id_precedes_it(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        command = redeem("A", [code])
        await engine.execute([command])
        other, again = await engine.execute([VoidCoupon(command.command_id, code), command])
        assert isinstance(other, Rejected)
        assert outcome(again) == "redeemed"
        assert await count(pool, "SELECT count(*) FROM ledger_entries WHERE kind <> 'issued'") == 1


async def test_a_guest_may_repeat_a_lock_under_the_same_reference(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        for number in range(2):
            [answer] = await engine.execute([LockCoupons(f"/cli {number}", "cart-1", (code,), 60)])
            assert outcome(answer) == "locked", answer
        assert await count(pool, "SELECT held_uses FROM coupons") == 1


async def test_a_hold_of_an_order_counts_for_its_customer_if_a_later_event_names_another(database_url: str) -> None:
    plain = definition()
    limited = definition("once", code={"shared_code": "ONCE"}, limits={"uses_per_coupon": None, "uses_per_customer": 1})
    async with ledger(database_url, plain, limited) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10", customer=ANN)
        for order, customer, codes in (("A", ANN, [code]), ("A", BOB, ["ONCE"]), ("B", ANN, ["ONCE"])):
            command = redeem(
                order, codes, command_id=f"/shop {order} {codes}", customer=customer, hold=True, hold_seconds=60
            )
            [answer] = await engine.execute([command])
        assert reasons(answer) == [Reason.CUSTOMER_LIMIT]
        assert await count(pool, "SELECT max(held_uses) FROM meters") == 1


async def test_a_hold_in_one_batch_counts_for_the_same_customer(database_url: str) -> None:
    limited = definition("once", code={"shared_code": "ONCE"}, limits={"uses_per_coupon": None, "uses_per_customer": 1})
    async with ledger(database_url, definition(), limited) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10", customer=ANN)
        answers = await engine.execute(
            [
                redeem(order, codes, command_id=f"/shop {order} {codes}", customer=customer, hold=True, hold_seconds=60)
                for order, customer, codes in (("A", ANN, [code]), ("A", BOB, ["ONCE"]), ("B", ANN, ["ONCE"]))
            ]
        )
        assert [outcome(answer) for answer in answers] == ["held", "held", "refused"]


async def test_a_coupon_cannot_be_locked_for_an_order_that_redeemed_it(database_url: str) -> None:
    hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": 9})
    async with ledger(database_url, hot) as pool:
        engine = Engine(pool)
        await engine.execute([redeem("A", ["HOT"], customer=ANN)])
        [answer] = await engine.execute([LockCoupons("/cli 1", "cart-1", ("HOT",), 60, ANN, order_id="A")])
        assert reasons(answer) == [Reason.ALREADY_REDEEMED]


async def test_the_latest_of_several_cancellations_counts(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        day = PLACED_AT.replace
        for number, cancelled_at in enumerate((day(day=1), day(day=9))):
            await engine.execute([CancelOrder(f"/shop cancel {number}", "A", cancelled_at)])
        command = redeem("A", [code])
        placed_between = redeem("A", [code], at=day(day=5), order=replace(command.order, placed_at=day(day=5)))
        [answer] = await engine.execute([placed_between])
        assert reasons(answer) == [Reason.ORDER_MISMATCH]


async def test_a_late_payment_keeps_what_the_order_redeemed_after_its_hold(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool, await open_pool(database_url, role=None) as owner:
        engine = Engine(pool)
        [code] = await issue(engine, "save10")
        await engine.execute([redeem("A", [code], command_id="/shop held", hold=True, hold_seconds=60)])
        await owner.execute("UPDATE locks SET expires_at = now() - interval '1 second'")
        redeemed, paid = await engine.execute([redeem("A", [code]), PayOrder("/shop paid", "A", PLACED_AT)])
        assert outcome(redeemed) == "redeemed"
        assert (outcome(paid), reasons(paid)) == ("recorded", [])


async def test_an_unused_coupon_can_be_voided_in_a_campaign_that_counts_uses(database_url: str) -> None:
    hot = definition("hot", code={"shared_code": "HOT"}, limits={"uses_per_coupon": None, "uses_total": 9})
    async with ledger(database_url, hot) as pool:
        [answer] = await Engine(pool).execute([VoidCoupon("/cli void", "HOT")])
        assert outcome(answer) == "voided"


async def test_a_lock_made_while_a_batch_waits_for_its_coupon_is_released_with_all_its_coupons(
    database_url: str,
) -> None:
    async with ledger(database_url, definition()) as pool, await open_pool(database_url, role=None) as owner:
        one, other = await issue(Engine(pool), "save10", 2, customer=ANN)

        async def until_waiting(batches: int) -> None:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            async with asyncio.timeout(30):
                while await owner.fetchval(waiting) < batches:
                    await asyncio.sleep(0.01)

        async with owner.acquire() as connection, connection.transaction(), asyncio.TaskGroup() as group:
            await connection.execute("SELECT FROM coupons WHERE code = $1 FOR UPDATE", one)
            lock = LockCoupons("/cli 1", "cart-1", (one, other), 60, ANN, order_id="A")
            locking = group.create_task(Engine(pool).execute([lock]))
            await until_waiting(1)
            batch = [CancelOrder("/shop cancel A", "A", PLACED_AT), redeem("B", [one], customer=ANN)]
            cancelling = group.create_task(Engine(pool).execute(batch))
            await until_waiting(2)
            await connection.execute("COMMIT")
            await connection.execute("BEGIN")
        assert [outcome(answer) for answer in [*locking.result(), *cancelling.result()]] == [
            "locked",
            "released",
            "redeemed",
        ]


async def test_a_shared_code_is_issued_once_per_occasion_by_any_command(database_url: str) -> None:
    everybody = definition("all", code={"shared_code": "ALL"}, limits={"uses_per_coupon": None})
    async with ledger(database_url, everybody) as pool:
        commands = [
            IssueCoupons(f"/loyalty {number}", Cause("reward.earned", "/loyalty", "1"), ANN, ("all",), None, "reward 1")
            for number in range(3)
        ]
        answers = await Engine(pool).execute(commands[:1]) + await Engine(pool).execute(commands[1:])
        assert [outcome(answer) for answer in answers] == ["issued", "unchanged", "unchanged"]
        assert await count(pool, "SELECT count(*) FROM outbox WHERE type = 'coupon.issued'") == 1


async def test_a_shared_code_is_issued_once_per_occasion_on_several_engines_at_once(
    database_url: str,
) -> None:
    everybody = definition("all", code={"shared_code": "ALL"}, limits={"uses_per_coupon": None})
    async with ledger(database_url, everybody) as pool:
        for occasion in range(5):
            answers = await asyncio.gather(
                *(
                    Engine(pool).execute(
                        [
                            IssueCoupons(
                                f"/loyalty {occasion} {number}",
                                Cause("reward.earned", "/loyalty", "1"),
                                ANN,
                                ("all",),
                                None,
                                f"reward {occasion}",
                            )
                        ]
                    )
                    for number in range(3)
                )
            )
            assert sorted(outcome(answer) for [answer] in answers) == ["issued", "unchanged", "unchanged"]
