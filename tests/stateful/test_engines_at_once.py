"""Three engines with random commands at once: no limit is exceeded and every sum is right."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import orjson
import pytest

from schemas.campaigns import CampaignDefinition
from shared.domain.model.commands import Cause, Command, IssueCoupons, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Answer, Engine
from tests.ledger import PLACED_AT
from tests.stateful import world

ENGINES, ROUNDS, BATCHES, LONGEST_BATCH = 3, 10, 3, 12
ORDERS, REFERENCES = 8, 4


class Chance:
    """A generator of random commands on the same few coupons, orders, locks and customers."""

    def __init__(self, seed: int) -> None:
        self.world = world.World(seed)
        self.codes = [offer.shared_code for offer in self.world.offers() if offer.shared_code is not None]
        self._random = random.Random(seed)
        self._made = 0

    def batch(self) -> list[Command]:
        return [self.command() for _ in range(self._random.randint(1, LONGEST_BATCH))]

    def command(self) -> Command:
        chance, these = self._random, self.world
        self._made += 1
        command_id = f"/chance {these.number}-{self._made}"
        at = PLACED_AT + timedelta(days=chance.randint(0, 4))
        customer = these.customer(chance.randrange(len(world.CUSTOMERS)))
        reference = these.reference(chance.randrange(REFERENCES))
        codes = tuple(chance.choices(self.codes, k=chance.randint(1, 4)))
        order = these.order(chance.randrange(ORDERS), (at - PLACED_AT).days)
        atomic = chance.random() < 0.3
        bound = order.order_id if chance.random() < 0.3 else None
        seconds = chance.choice((1, 60))
        makers: list[tuple[float, Callable[[], Command]]] = [
            (8, lambda: RedeemCoupons(command_id, order, codes, customer, None, atomic=atomic, at=at)),
            (
                5,
                lambda: RedeemCoupons(
                    command_id,
                    order,
                    codes,
                    customer,
                    atomic=atomic,
                    hold=True,
                    hold_seconds=seconds,
                    at=at,
                    takeover=True,
                ),
            ),
            (4, lambda: self._change(command_id, at, codes, hold=atomic)),
            (2, lambda: FailPayment(command_id, order.order_id, at)),
            (2, lambda: ReturnOrder(command_id, order.order_id, False, at, amount="12.34")),
            (3, lambda: RedeemCoupons(command_id, order, codes[:1], customer, reference, atomic=atomic, at=at)),
            (4, lambda: PayOrder(command_id, order.order_id, at)),
            (3, lambda: CancelOrder(command_id, order.order_id, at)),
            (2, lambda: ReturnOrder(command_id, order.order_id, True, at)),
            (5, lambda: LockCoupons(command_id, reference, codes[:2], seconds, customer, order=order, order_id=bound)),
            (2, lambda: ReleaseLock(command_id, reference)),
            (0.1, lambda: VoidCoupon(command_id, codes[0])),
            (3, lambda: self._issue(command_id, customer)),
        ]
        [(_, make)] = chance.choices(makers, [weight for weight, _ in makers])
        return make()

    def _change(self, command_id: str, at: datetime, codes: tuple[str, ...], *, hold: bool) -> RedeemCoupons:
        """Return a change of an order: its goods are those of any of the orders."""
        chance = self._random
        content = self.world.order(chance.randrange(ORDERS), (at - PLACED_AT).days)
        order = replace(content, order_id=self.world.order_id(chance.randrange(ORDERS)), placed_at=None)
        return RedeemCoupons(
            command_id, order, codes[:2], None, hold=hold, hold_seconds=60, at=at, takeover=hold, complete=True,
            changed=True,
        )  # fmt: skip

    def _issue(self, command_id: str, customer: Customer | None) -> IssueCoupons:
        cause = Cause("reward.earned", "/chance", command_id)
        names = tuple(self._random.sample(self.world.names, 2))
        return IssueCoupons(command_id, cause, customer or Customer("dave"), names, PLACED_AT, command_id)


def capped(plain: CampaignDefinition, seed: int) -> CampaignDefinition:
    """Return the campaign with a budget and caps: commands on five days fall into every kind of period."""
    chance = random.Random(seed)
    written = plain.model_dump(mode="json")
    pers = chance.sample(["day", "week", "month"], 2)
    written["limits"]["caps"] = [
        {"per": per, "each": each, "uses": chance.randint(2, 6), "coupons": chance.randint(2, 6)}
        for per in pers
        for each in ("campaign", "customer")
    ]
    written["limits"]["spend_total"] = "60.00"
    written["eligibility"]["currency"] = "USD"
    written["window"]["time_zone"] = chance.choice(["UTC", "Asia/Tokyo", "America/New_York"])
    return CampaignDefinition.model_validate_json(orjson.dumps(written))


@pytest.mark.parametrize("seed", range(1, 10))
async def test_concurrent_engines_exceed_no_limit_and_keep_every_sum_right(database_url: str, seed: int) -> None:
    chance = Chance(seed)
    async with await open_pool(database_url, max_size=2 * ENGINES) as pool:
        definitions = [world.definition(offer) for offer in chance.world.offers()]
        await save(pool, [capped(one, seed) for one in definitions] if seed > 5 else definitions)
        engines = [Engine(pool) for _ in range(ENGINES)]
        answers: dict[str, Answer] = {}
        executed: list[Command] = []
        for _ in range(ROUNDS):
            shares = [[chance.batch() for _ in range(BATCHES)] for _ in engines]
            # The last engine also gets every batch of the first one: a redelivery that overtakes.
            shares[-1] = [*shares[-1], *shares[0]]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work(engine, share)) for engine, share in zip(engines, shares, strict=True)]
            for task in tasks:
                for command, answer in task.result():
                    assert isinstance(answer, Verdict), answer
                    assert comparable(answers.setdefault(command.command_id, answer)) == comparable(answer)
                    executed.append(command)
                    if isinstance(command, IssueCoupons):
                        chance.codes += [one.code for one in answer.accepted if one.code not in chance.codes]
            assert (await audit(pool)).findings == ()
        again = await engines[0].execute(executed)
        assert [comparable(answer) for answer in again] == [
            comparable(answers[command.command_id]) for command in executed
        ]
        await check_events_match_entries(pool, [answer for answer in answers.values() if isinstance(answer, Verdict)])


async def work(engine: Engine, batches: Sequence[Sequence[Command]]) -> list[tuple[Command, Answer]]:
    done: list[tuple[Command, Answer]] = []
    for batch in batches:
        done += zip(batch, await engine.execute(batch), strict=True)
    return done


def comparable(answer: Answer) -> tuple[object, ...]:
    """Return the parts of an answer that are the same for a repeated command."""
    assert isinstance(answer, Verdict), answer
    return answer.outcome, answer.decided_at, answer.accepted, answer.refused, answer.discount_minor


async def check_events_match_entries(pool: Pool, verdicts: Sequence[Verdict]) -> None:
    """Check that each use and each restore is published exactly once."""
    rows = await pool.fetch("SELECT type, data::text FROM outbox WHERE topic = 'coupons.redemptions'")
    for event_type, kind in (("coupon.redeemed", "burned"), ("coupon.redemption_restored", "restored")):
        published = sorted(
            (data["order_id"], coupon["coupon_id"])
            for row in rows
            if row["type"] == event_type
            for data in [orjson.loads(row["data"])]
            for coupon in data["coupons"]
            if coupon.get("uses") != 0  # a part that was returned
        )
        entries = await pool.fetch(
            "SELECT order_id, coupon_id::text FROM ledger_entries WHERE kind = $1 AND used_uses <> 0", kind
        )
        assert published == sorted((row[0], row[1]) for row in entries)
    assert await pool.fetchval("SELECT count(*) FROM journal") == len(verdicts)
    assert sum(verdict.outcome == "redeemed" for verdict in verdicts) > 0
