"""Orders on the engine that change, fail to be paid, are returned in part and take over holds, in random order.

After every step the totals of coupons and campaigns are the sums of their entries, which are counted here in SQL of its
own, no limit is exceeded, and no order gets more off than it costs. A repeated command changes nothing.
"""

from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from schemas.campaigns import CampaignDefinition
from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, definition
from tests.stateful.test_engine_machine import Bench, bench

EXAMPLES = 60
"""About half a minute; a failure is not shrunk, which takes a database many minutes."""
STEPS = 30

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

orders = st.integers(0, 3)
minutes = st.integers(0, 30)
goods = st.sampled_from(GOODS)
codes = st.lists(st.sampled_from(sorted(LIMITS)), max_size=3, unique=True)
segments = st.sampled_from([None, (), ("vip",)])
parts: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.lists(st.tuples(st.sampled_from("123"), st.integers(1, 2)), min_size=1, max_size=2).map(
        lambda units: {"lines": tuple(units)}
    ),
    st.sampled_from(["0.01", "5.00", "99.00"]).map(lambda amount: {"amount": amount}),
    st.sampled_from(["0.01", "5.00", "99.00"]).map(lambda amount: {"refunded_amount": amount, "return_id": "r"}),
)

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
ORDERS = """
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


class OrdersMachine(RuleBasedStateMachine):
    """Executes each command at once, and then again under the same id and under another one."""

    bench: Bench

    @initialize()
    def begin(self) -> None:
        self.number = next(self.bench.examples)
        self.engine = Engine(self.bench.pool)
        self.ids = count(1)
        self.sent: list[tuple[Command, Verdict]] = []
        self.campaigns = campaigns(self.number)
        self._await(save(self.bench.pool, self.campaigns))

    def _await(self, awaitable: Any) -> Any:
        return self.bench.runner.run(awaitable)

    def _id(self) -> str:
        return f"/orders {self.number}-{next(self.ids)}"

    def _order_id(self, order: int) -> str:
        return f"of {self.number}-{order}"

    def _execute(self, command: Command) -> Verdict:
        [answer] = self._await(self.engine.execute([command]))
        assert isinstance(answer, Verdict), (command, answer)
        return answer

    def _send(self, command: Command) -> None:
        verdict = self._execute(command)
        self.sent.append((command, verdict))
        self._await(self._check())

    # Commands

    @rule(
        order=orders, minute=minutes, lines=goods, names=codes, customer=st.sampled_from(["ann", "bob"]),
        segment=segments, hold=st.booleans(), complete=st.booleans(), changed=st.booleans(),
        cycle=st.sampled_from([0, 1, 2]),
    )  # fmt: skip
    def place_or_change(
        self, *, order: int, minute: int, lines: tuple[Line, ...], names: list[str], customer: str,
        segment: tuple[str, ...] | None, hold: bool, complete: bool, changed: bool, cycle: int,
    ) -> None:  # fmt: skip
        at = PLACED_AT + timedelta(minutes=minute)
        content = Order(
            self._order_id(order), "USD", sum(line.amount_minor for line in lines), lines,
            placed_at=None if changed else at, subscription_id=f"sub {self.number}" if cycle else None, cycle=cycle,
        )  # fmt: skip
        command = RedeemCoupons(
            self._id(), content, tuple([f"{name}-{self.number}" for name in names]),
            Customer(f"{customer}-{self.number}", segments=segment), hold=hold,
            hold_seconds=3_600 if hold else 0, at=at, takeover=hold, complete=complete or changed, changed=changed,
        )  # fmt: skip
        self._send(command)

    @rule(order=orders, minute=minutes, kind=st.sampled_from([PayOrder, FailPayment, FailPayment, CancelOrder]))
    def pay_fail_or_cancel(self, order: int, minute: int, kind: type[PayOrder | FailPayment | CancelOrder]) -> None:
        self._send(kind(self._id(), self._order_id(order), at=PLACED_AT + timedelta(minutes=minute)))

    @rule(order=orders, minute=minutes, part=st.none() | parts)
    def return_whole_or_in_part(self, order: int, minute: int, part: dict[str, Any] | None) -> None:
        at = PLACED_AT + timedelta(minutes=minute)
        self._send(ReturnOrder(self._id(), self._order_id(order), part is None, at, **(part or {})))

    @rule(order=orders)
    def expire_a_hold(self, order: int) -> None:
        self._await(
            self.bench.owner.execute(
                "UPDATE locks SET expires_at = now() - interval '1 second' WHERE lock_reference = $1",
                f"order:{self._order_id(order)}",
            )
        )

    @precondition(lambda self: self.sent)
    @rule(pick=st.integers(0, 40))
    def repeat(self, pick: int) -> None:
        """Deliver a command again: it gets the recorded answer, and no entry is added."""
        command, before = self.sent[pick % len(self.sent)]
        entries = self._await(self._entries())
        again = self._execute(command)
        assert (again.outcome, again.accepted, again.refused) == (before.outcome, before.accepted, before.refused)
        assert self._await(self._entries()) == entries

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
        for one in await self.bench.pool.fetch(ORDERS, f"of {self.number}-%"):
            assert one["redeemed"] >= 0, dict(one)
            assert one["redeemed"] + one["held"] <= one["amount_minor"], dict(one)

    def teardown(self) -> None:
        assert self._await(audit(self.bench.pool)).findings == ()


def test_totals_and_limits_hold_for_any_life_of_orders(database_url: str) -> None:
    with bench(database_url) as shared:
        machine = type("Machine", (OrdersMachine,), {"bench": shared})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate,),
            ),
        )
