"""The engine on PostgreSQL compared with a simple model: random commands, in batches of any size.

Every answer is compared exactly: outcome, discounts, refusals, what a changed order keeps, and the sums and kinds of
its ledger entries. After each batch, so are the totals of coupons, campaigns, customers and days, and the orders.
"""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import note

from shared.domain.model.commands import Command, IssueCoupons, VoidCoupon
from shared.domain.model.coupon import code_key
from shared.domain.model.order_commands import PayOrder, RedeemCoupons
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.engine import Rejected
from tests.stateful import world
from tests.stateful.bench import LedgerMachine, run
from tests.stateful.commands import Commands
from tests.stateful.comparing import Comparison
from tests.stateful.known_gaps import known_gap
from tests.stateful.model import Model

EXAMPLES = 60
"""About a minute."""
STEPS = 60
LONGEST_BATCH = 8


class EngineMachine(LedgerMachine):
    """Collects commands in `pending`; `_run` executes them as one batch and compares every answer and every total."""

    def __init__(self) -> None:
        super().__init__()
        self.world = world.World(self.number)
        self.model = Model(self.world.offers())
        self.commands = Commands(self.world, self.model, iter(self.new_id, None))
        self.compared = Comparison(self.bench.pool, self.world, self.model)
        self.pending: list[tuple[Command, bool]] = []
        """(command, whether its id was used for another command before)"""
        self.sent: list[Command] = []
        self.now = datetime.now(UTC)
        self.wait_for(save(self.bench.pool, [world.definition(offer) for offer in self.model.offers.values()]))

    def steps(self) -> list[tuple[float, Callable[[Random], None]]]:
        return [
            (66, self._send), (4, self._attempt_again), (5, self._send_again), (4, self._deliver_again),
            (1, self._reuse_an_id), (5, self._let_a_lock_expire), (3, self._change_a_campaign),
            (12, lambda _: self._run()),
        ]  # fmt: skip

    def _send(self, chance: Random) -> None:
        self._send_one(self.commands.draw(chance))

    def _attempt_again(self, chance: Random) -> None:
        for command in self.commands.second_attempt(chance):
            self._send_one(command)

    def _send_again(self, chance: Random) -> None:
        if self.sent:
            self._send_one(self.commands.again(chance, self.sent[-chance.randint(1, min(len(self.sent), 12))]))

    def _send_one(self, command: Command) -> None:
        has_gaps = isinstance(command, RedeemCoupons | PayOrder)
        if not (has_gaps and known_gap(self._foreseen(command), command)):
            self._add(command)

    def _foreseen(self, last: Command) -> Model:
        """Return the model as it will be after the pending commands, if `last` is executed with them."""
        foreseen = deepcopy(self.model)
        foreseen.begin([*[command for command, reused in self.pending if not reused], last])
        for command, reused in self.pending:
            if not reused:
                foreseen.execute(command, self.now)
        return foreseen

    def _add(self, command: Command, *, reused: bool = False) -> None:
        self.pending.append((command, reused))
        if not reused:
            self.sent.append(command)
        if len(self.pending) >= LONGEST_BATCH:
            self._run()

    def _deliver_again(self, chance: Random) -> None:
        if self.sent:
            self._add(chance.choice(self.sent))

    def _reuse_an_id(self, chance: Random) -> None:
        if self.sent:
            self._add(VoidCoupon(chance.choice(self.sent).command_id, f"OTHER-{next(self.ids)}"), reused=True)

    # Changes between batches

    def _let_a_lock_expire(self, chance: Random) -> None:
        self._run()
        reference = self.commands.lock_to_expire(chance)
        lock = self.model.locks.get(reference)
        if lock is not None and lock.status == "open":
            lock.is_expired = True
            self.let_expire(reference)

    def _change_a_campaign(self, chance: Random) -> None:
        self._run()
        offer = self.model.change(chance.choice(self.world.names), **chance.choice(world.CHANGES))
        note(f"{offer}")
        self.wait_for(save(self.bench.pool, [world.definition(offer)]))

    def _run(self) -> None:
        if not self.pending:
            return
        batch, self.pending = self.pending, []
        fresh = [command for command, reused in batch if not reused and command.command_id not in self.model.answers]
        answers = self.execute([command for command, _ in batch])
        self.now = max([self.now, *[answer.decided_at for answer in answers if isinstance(answer, Verdict)]])
        self.model.begin(fresh)
        self.wait_for(self.compared.load_names())
        for (command, reused), answer in zip(batch, answers, strict=True):
            if reused:
                assert isinstance(answer, Rejected), (command, answer)
                continue
            assert isinstance(answer, Verdict), (command, answer)
            is_new = command in fresh
            expected = self.model.execute(command, self.now)
            self.compared.compare(command, answer, expected, is_new=is_new)
            if is_new:
                fresh.remove(command)
            if isinstance(command, IssueCoupons) and is_new:
                for coupon in answer.accepted:
                    self.model.learn_code(code_key(coupon.code), coupon.campaign_id, command.customer, command.at)
        self.wait_for(self.compared.compare_totals())

    def teardown(self) -> None:
        self._run()
        super().teardown()


@pytest.mark.timeout(600)  # it waits for the database most of the time, so a busy machine slows it down
def test_the_engine_answers_any_commands_like_the_model(database_url: str) -> None:
    run(EngineMachine, database_url, examples=EXAMPLES, steps=STEPS)
