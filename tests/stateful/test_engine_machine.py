"""The engine on PostgreSQL compared with a simple model: random commands, in batches of any size."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from shared.domain.model.commands import Cause, Command, IssueCoupons, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.coupon import code_key
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Engine, Rejected
from tests.ledger import PLACED_AT
from tests.stateful import world
from tests.stateful.model import Answer, Model

EXAMPLES = 120
"""About half a minute; a failure is not shrunk, which takes a database many minutes."""
STEPS = 40
LONGEST_BATCH = 8

MOMENTS = (-400, 1, 2, 3, 4)
"""Days after PLACED_AT at which an event may have happened; the first lies before any campaign begins."""

numbers = st.integers(0, 40)
moments = st.sampled_from(MOMENTS)
customers = st.integers(0, len(world.CUSTOMERS) - 1)
orders = st.integers(0, 3)
references = st.integers(0, 2)


@dataclass
class Bench:
    """Shared by all examples: one event loop, one database, and a counter that numbers the examples."""

    runner: asyncio.Runner
    pool: Pool
    owner: Pool
    examples: Iterator[int]


class EngineMachine(RuleBasedStateMachine):
    """Collects commands in `pending`; `run` executes them as one batch and compares every answer and every total."""

    bench: Bench

    @initialize()
    def begin(self) -> None:
        self.world = world.World(next(self.bench.examples))
        self.model = Model(self.world.offers())
        self.engine = Engine(self.bench.pool)
        self.pending: list[tuple[Command, bool]] = []
        """(command, whether its id was used for another command before)"""
        self.sent: list[Command] = []
        self.ids = count(1)
        self._await(save(self.bench.pool, [world.definition(offer) for offer in self.model.offers.values()]))

    def _await(self, awaitable: Any) -> Any:
        return self.bench.runner.run(awaitable)

    def _add(self, command: Command, *, reused: bool = False) -> None:
        self.pending.append((command, reused))
        if not reused:
            self.sent.append(command)
        if len(self.pending) >= LONGEST_BATCH:
            self.run()

    def _id(self) -> str:
        return f"/machine {self.world.number}-{next(self.ids)}"

    def _codes(self, picks: list[int]) -> list[str]:
        known = [*self.model.coupons, "NO-SUCH"]
        return [known[pick % len(known)] for pick in picks]

    # Commands

    @rule(
        campaign=st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True),
        customer_number=customers,
        occasion=numbers,
    )
    def issue(self, campaign: list[int], customer_number: int, occasion: int) -> None:
        command_id = self._id()
        names = [self.world.names[one] for one in campaign]
        customer = self.world.customer(customer_number)
        if customer is None:
            return
        key = f"{self.world.number} {occasion if occasion < 10 else command_id}"
        cause = Cause("reward.earned", "/machine", command_id)
        self._add(IssueCoupons(command_id, cause, customer, tuple(names), PLACED_AT, key))

    @rule(
        order=orders,
        picks=st.lists(numbers, min_size=1, max_size=5),
        customer_number=customers,
        day=moments,
        atomic=st.booleans(),
        hold=st.booleans(),
        reference=st.none() | references,
    )
    def redeem(
        self,
        *,
        order: int,
        picks: list[int],
        customer_number: int,
        day: int,
        atomic: bool,
        hold: bool,
        reference: int | None,
    ) -> None:
        command = RedeemCoupons(
            self._id(),
            self.world.order(order, day),
            tuple(
                code.lower() if pick % 2 else f" {code} " for pick, code in zip(picks, self._codes(picks), strict=True)
            ),
            self.world.customer(customer_number),
            None if reference is None else self.world.reference(reference),
            atomic=atomic,
            hold=hold,
            hold_seconds=3_600 if hold else 0,
            at=PLACED_AT + timedelta(days=day),
        )
        self._add(command)

    @rule(order=orders, day=moments)
    def pay(self, order: int, day: int) -> None:
        self._add(PayOrder(self._id(), self.world.order_id(order), PLACED_AT + timedelta(days=day)))

    @rule(order=orders, day=moments)
    def cancel(self, order: int, day: int) -> None:
        self._add(CancelOrder(self._id(), self.world.order_id(order), PLACED_AT + timedelta(days=day)))

    @rule(order=orders, day=moments, whole=st.booleans())
    def return_order(self, order: int, day: int, whole: bool) -> None:
        self._add(ReturnOrder(self._id(), self.world.order_id(order), whole, PLACED_AT + timedelta(days=day)))

    @rule(
        reference=references,
        picks=st.lists(numbers, min_size=1, max_size=4),
        customer_number=customers,
        order=st.none() | orders,
        bound=st.booleans(),
    )
    def lock(self, reference: int, picks: list[int], customer_number: int, order: int | None, bound: bool) -> None:
        given = None if order is None else self.world.order(order, 1)
        command = LockCoupons(
            self._id(),
            self.world.reference(reference),
            tuple(self._codes(picks)),
            3_600,
            self.world.customer(customer_number),
            given,
            given.order_id if given is not None and bound else None,
        )
        self._add(command)

    @rule(reference=references | st.integers(100, 103))
    def release(self, reference: int) -> None:
        """Release a lock by a caller's reference, or by the reference of an order's own hold."""
        name = f"order:{self.world.order_id(reference - 100)}" if reference >= 100 else self.world.reference(reference)
        self._add(ReleaseLock(self._id(), name))

    @rule(pick=numbers, chance=st.integers(0, 3))
    def void(self, pick: int, chance: int) -> None:
        if chance == 0:
            self._add(VoidCoupon(self._id(), self._codes([pick])[0].lower()))

    @precondition(lambda self: self.sent)
    @rule(pick=numbers)
    def deliver_again(self, pick: int) -> None:
        self._add(self.sent[pick % len(self.sent)])

    @precondition(lambda self: self.sent)
    @rule(pick=numbers)
    def reuse_an_id(self, pick: int) -> None:
        command_id = self.sent[pick % len(self.sent)].command_id
        self._add(VoidCoupon(command_id, f"OTHER-{next(self.ids)}"), reused=True)

    # Changes between batches

    @rule(reference=references | st.integers(100, 103))
    def expire_a_lock(self, reference: int) -> None:
        self.run()
        name = f"order:{self.world.order_id(reference - 100)}" if reference >= 100 else self.world.reference(reference)
        lock = self.model.locks.get(name)
        if lock is None or lock.status != "open":
            return
        lock.is_expired = True
        self._await(
            self.bench.owner.execute(
                "UPDATE locks SET expires_at = now() - interval '1 second' WHERE lock_reference = $1", name
            )
        )

    @rule(campaign=st.integers(0, 4), change=st.sampled_from(world.CHANGES))
    def change_a_campaign(self, campaign: int, change: dict[str, Any]) -> None:
        self.run()
        offer = self.model.change(self.world.names[campaign], **change)
        self._await(save(self.bench.pool, [world.definition(offer)]))

    # Comparing

    @rule()
    def run(self) -> None:
        if not self.pending:
            return
        batch, self.pending = self.pending, []
        fresh = [command for command, reused in batch if not reused and command.command_id not in self.model.answers]
        answers = self._await(self.engine.execute([command for command, _ in batch]))
        self.model.begin(fresh)
        for (command, reused), answer in zip(batch, answers, strict=True):
            if reused:
                assert isinstance(answer, Rejected), (command, answer)
                continue
            assert isinstance(answer, Verdict), (command, answer)
            actual = _in_model_terms(command, answer)
            expected = _comparable(self.model.execute(command))
            assert actual == expected, f"{command}\nthe engine: {actual}\nthe model:  {expected}"
            if isinstance(command, IssueCoupons) and command in fresh:
                fresh.remove(command)
                for coupon in answer.accepted:
                    self.model.learn_code(code_key(coupon.code), coupon.campaign_id, command.customer, command.at)
        self._await(self._compare_totals())

    async def _compare_totals(self) -> None:
        rows = await self.bench.pool.fetch(
            "SELECT code_key, held_uses, used_uses FROM coupons "
            "WHERE campaign_id = ANY($1) AND held_uses + used_uses > 0",
            self.world.names,
        )
        held: dict[str, int] = {}
        for lock in self.model.locks.values():
            for code in lock.uses if lock.status == "open" else ():
                held[code] = held.get(code, 0) + 1
        wanted = {code: (held.get(code, 0), self.model.coupon_uses(code)) for code in self.model.coupons}
        assert {row[0]: (row[1], row[2]) for row in rows} == {code: two for code, two in wanted.items() if any(two)}
        rows = await self.bench.pool.fetch(
            "SELECT campaign_id, issued_coupons, used_uses FROM meters "
            "WHERE campaign_id = ANY($1) AND customer_key = '00000000-0000-0000-0000-000000000000'",
            self.world.names,
        )
        for name, issued, used in rows:
            assert (issued, used) == (self.model.issued(name), self.model.used(name)), name

    def teardown(self) -> None:
        self.run()
        report = self._await(audit(self.bench.pool))
        assert report.findings == ()


def _in_model_terms(command: Command, verdict: Verdict) -> Answer:
    """Return the verdict as an answer of the model."""
    issue = isinstance(command, IssueCoupons)
    return _comparable(
        Answer(
            verdict.outcome,
            tuple(
                (one.campaign_id, None) if issue else (code_key(one.code), one.discount_minor)
                for one in verdict.accepted
            ),
            tuple(
                (one.campaign_id if issue else code_key(one.code or ""), one.reason.value)  # type: ignore[misc]
                for one in verdict.refused
            ),
        )
    )


def _comparable(answer: Answer) -> Answer:
    """Return the answer with sorted refusals; accepted coupons are sorted too unless their order matters."""
    outcome = "nothing" if answer.outcome in {"recorded", "unchanged"} else answer.outcome
    accepted = answer.accepted
    if outcome in {"restored", "released"}:
        # A lock without an order has no discount, which is 0 or None.
        accepted = tuple(sorted((code, minor or 0) for code, minor in accepted))
    elif outcome == "redeemed":
        accepted = tuple(sorted(accepted, key=lambda one: one[0]))
    return Answer(outcome, accepted, tuple(sorted(answer.refused)))


@contextmanager
def bench(database_url: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(database_url, max_size=3))
        owner = runner.run(open_pool(database_url, max_size=1, role=None))
        try:
            yield Bench(runner, pool, owner, count())
        finally:
            runner.run(owner.close())
            runner.run(pool.close())


def test_the_engine_answers_any_commands_like_the_model(database_url: str) -> None:
    with bench(database_url) as shared:
        machine = type("Machine", (EngineMachine,), {"bench": shared})
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
