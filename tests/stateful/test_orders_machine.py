"""Orders on the engine that change, fail to be paid, are returned in part and take over holds, in random order.

After every step the totals of coupons and campaigns are the sums of their entries, which are counted here in SQL of its
own, no limit is exceeded, and no order gets more off than it costs. A repeated command changes nothing.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from schemas.campaigns import CampaignDefinition
from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from tests.ledger import PLACED_AT, definition
from tests.stateful.bench import LedgerMachine, run

EXAMPLES = 60
"""About half a minute."""
STEPS = 30
ORDERS = 4
MINUTES = 30

GOODS = (
    (Line("1", "boots", 1, 6_000), Line("2", "socks", 2, 2_000)),
    (Line("1", "boots", 1, 6_000), Line("2", "socks", 1, 2_000)),
    (Line("2", "socks", 3, 333),),
    (Line("1", "boots", 2, 6_000), Line("3", "laces", 1, 1)),
)
"""What an order may consist of; the third is below the minimum of a campaign and less than a discount."""

LIMITS: dict[str, dict[str, Any]] = {
    "ten": {"uses_per_coupon": 3, "uses_per_customer": 2, "uses_total": 3, "spend_total": "20.00"},
    "off": {"uses_per_coupon": 1},
    "often": {"uses_per_coupon": 2, "uses_per_customer": 1, "caps": [{"per": "day", "uses": 1}]},
    "vip": {"uses_per_coupon": 2, "uses_total": 2},
}

SEGMENTS = (None, (), ("vip",))
AMOUNTS = ("0.01", "5.00", "99.00")

COUPONS = """
SELECT code, campaign_id, held_uses, used_uses, uses_limit,
       (SELECT coalesce(sum(held_uses), 0) FROM ledger_entries entry WHERE entry.coupon_id = coupon.coupon_id) AS held,
       (SELECT coalesce(sum(used_uses), 0) FROM ledger_entries entry WHERE entry.coupon_id = coupon.coupon_id) AS used,
       (SELECT coalesce(sum(uses), 0) FROM lock_uses JOIN locks USING (lock_reference)
        WHERE lock_uses.coupon_id = coupon.coupon_id AND locks.status = 'open') AS locked
FROM coupons coupon WHERE campaign_id = ANY($1)
"""
METERS = """
SELECT campaign_id, customer_key, held_uses, used_uses, held_minor, used_minor,
       coalesce(sum(entry.held), 0) AS held, coalesce(sum(entry.used), 0) AS used,
       coalesce(sum(entry.held_money), 0) AS held_money, coalesce(sum(entry.used_money), 0) AS used_money
FROM meters LEFT JOIN LATERAL (
    SELECT held_uses AS held, used_uses AS used, held_minor AS held_money, used_minor AS used_money
    FROM ledger_entries one WHERE one.campaign_id = meters.campaign_id
      AND (meters.customer_key = '00000000-0000-0000-0000-000000000000' OR one.customer_key = meters.customer_key)
) entry ON true
WHERE campaign_id = ANY($1) GROUP BY campaign_id, customer_key
"""
OFF_ORDERS = """
SELECT order_id, amount_minor,
       (SELECT coalesce(sum(used_minor), 0) FROM ledger_entries one WHERE one.order_id = orders.order_id) AS redeemed,
       (SELECT coalesce(sum(discount_minor), 0) FROM lock_uses JOIN locks USING (lock_reference)
        WHERE lock_reference = 'order:' || orders.order_id AND status = 'open' AND expires_at > now()) AS held
FROM orders WHERE order_id LIKE $1 AND amount_minor IS NOT NULL
"""


def campaigns(number: int) -> list[CampaignDefinition]:
    """Return the campaigns of an example. `number` distinguishes them from those of other examples in the database."""
    fields: dict[str, dict[str, Any]] = {
        "ten": {"eligibility": {"currency": "USD", "min_order_amount": "20.00"}},
        "off": {"discount": {"kind": "fixed", "value": "15.01", "currency": "USD"}},
        "often": {"recurring": True},
        "vip": {"eligibility": {"segments_any": ["vip"]}, "discount": {"kind": "percentage", "value": "33.3"}},
    }
    return [
        definition(f"{name}-{number}", limits=LIMITS[name], code={"shared_code": f"{name}-{number}"}, **more)
        for name, more in fields.items()
    ]


class OrdersMachine(LedgerMachine):
    """Executes each command at once, and now and then an earlier one again."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[Command, Verdict]] = []
        self.campaigns = campaigns(self.number)
        self.wait_for(save(self.bench.pool, self.campaigns))

    def steps(self) -> list[tuple[float, Callable[[Random], None]]]:
        return [
            (10, self._place_or_change), (5, self._pay_fail_or_cancel), (4, self._return_whole_or_in_part),
            (2, self._expire_a_hold), (2, self._repeat),
        ]  # fmt: skip

    def _order_id(self, chance: Random) -> str:
        return f"of {self.number}-{chance.randrange(ORDERS)}"

    def _execute(self, command: Command) -> Verdict:
        [answer] = self.execute([command])
        assert isinstance(answer, Verdict), (command, answer)
        return answer

    def _send(self, command: Command) -> None:
        verdict = self._execute(command)
        self.sent.append((command, verdict))
        self.wait_for(self._check())

    # Commands

    def _place_or_change(self, chance: Random) -> None:
        lines, hold, changed = chance.choice(GOODS), chance.random() < 0.5, chance.random() < 0.5
        at, cycle = PLACED_AT + timedelta(minutes=chance.randint(0, MINUTES)), chance.choice([0, 1, 2])
        content = Order(
            self._order_id(chance), "USD", sum(line.amount_minor for line in lines), lines,
            placed_at=None if changed else at, subscription_id=f"sub {self.number}" if cycle else None, cycle=cycle,
        )  # fmt: skip
        codes = chance.sample(sorted(LIMITS), chance.randint(0, 3))
        customer = Customer(f"{chance.choice(['ann', 'bob'])}-{self.number}", segments=chance.choice(SEGMENTS))
        command = RedeemCoupons(
            self.new_id(), content, tuple([f"{name}-{self.number}" for name in codes]), customer, hold=hold,
            hold_seconds=3_600 if hold else 0, at=at, takeover=hold, complete=changed or chance.random() < 0.5,
            changed=changed,
        )  # fmt: skip
        self._send(command)

    def _pay_fail_or_cancel(self, chance: Random) -> None:
        kind = chance.choice([PayOrder, PayOrder, FailPayment, FailPayment, CancelOrder])
        at = PLACED_AT + timedelta(minutes=chance.randint(0, MINUTES))
        self._send(kind(self.new_id(), self._order_id(chance), at=at))

    def _return_whole_or_in_part(self, chance: Random) -> None:
        parts: list[dict[str, Any]] = [
            {"lines": tuple((chance.choice("123"), chance.randint(1, 2)) for _ in range(chance.randint(1, 2)))},
            {"amount": chance.choice(AMOUNTS)},
            {"refunded_amount": chance.choice(AMOUNTS), "return_id": "r"},
        ]
        part = None if chance.random() < 0.2 else chance.choice(parts)
        at = PLACED_AT + timedelta(minutes=chance.randint(0, MINUTES))
        self._send(ReturnOrder(self.new_id(), self._order_id(chance), part is None, at, **(part or {})))

    def _expire_a_hold(self, chance: Random) -> None:
        self.let_expire(f"order:{self._order_id(chance)}")

    def _repeat(self, chance: Random) -> None:
        """Deliver a command again: it gets the recorded answer, and no entry is added."""
        if not self.sent:
            return
        command, before = chance.choice(self.sent)
        entries = self.wait_for(self._entries())
        again = self._execute(command)
        assert (again.outcome, again.accepted, again.refused) == (before.outcome, before.accepted, before.refused)
        assert self.wait_for(self._entries()) == entries

    # Checks

    async def _entries(self) -> int:
        names = [one.campaign_id for one in self.campaigns]
        counted: int = await self.bench.pool.fetchval(
            "SELECT count(*) FROM ledger_entries WHERE campaign_id = ANY($1)", names
        )
        return counted

    async def _check(self) -> None:
        names = [one.campaign_id for one in self.campaigns]
        for one in await self.bench.pool.fetch(COUPONS, names):
            assert (one["held_uses"], one["used_uses"]) == (one["held"], one["used"]), dict(one)
            assert one["held"] == one["locked"], dict(one)
            assert min(one["held"], one["used"]) >= 0
            assert one["held"] + one["used"] <= one["uses_limit"], dict(one)
        for one in await self.bench.pool.fetch(METERS, names):
            assert (one["held_uses"], one["used_uses"]) == (one["held"], one["used"]), dict(one)
            assert (one["held_minor"], one["used_minor"]) == (one["held_money"], one["used_money"]), dict(one)
            assert min(one["held"], one["used"], one["held_money"], one["used_money"]) >= 0, dict(one)
            limits = LIMITS[one["campaign_id"].partition("-")[0]]
            most = limits.get("uses_per_customer" if one["customer_key"].int else "uses_total", 10**9)
            assert one["held"] + one["used"] <= most, dict(one)
            if "spend_total" in limits and not one["customer_key"].int:
                assert one["held_money"] + one["used_money"] <= 2_000
        for one in await self.bench.pool.fetch(OFF_ORDERS, f"of {self.number}-%"):
            assert one["redeemed"] >= 0, dict(one)
            assert one["redeemed"] + one["held"] <= one["amount_minor"], dict(one)


def test_totals_and_limits_hold_for_any_life_of_orders(database_url: str) -> None:
    run(OrdersMachine, database_url, examples=EXAMPLES, steps=STEPS)
