"""What the state machines share: a database, an event loop, and how they are run."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from shared.domain.model.commands import Command
from shared.ledger.audit import audit
from shared.ledger.database import Pool, open_pool
from shared.ledger.engine import Answer, Engine


@dataclass
class Bench:
    """Shared by all examples: one event loop, one database, and a counter that numbers the examples.

    `owner` has all rights, to let locks expire.
    """

    runner: asyncio.Runner
    pool: Pool
    owner: Pool
    examples: Iterator[int]


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


class LedgerMachine(RuleBasedStateMachine):
    """A machine with an engine on the shared database. `number` distinguishes the names of this example."""

    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self.number = next(self.bench.examples)
        self.engine = Engine(self.bench.pool)
        self.ids = count(1)

    def steps(self) -> list[tuple[float, Callable[[Random], None]]]:
        """Return what a step may do, each with how often it is chosen."""
        raise NotImplementedError

    @rule(chance=st.randoms(use_true_random=True))
    def step(self, chance: Random) -> None:
        """Do one of `steps`. Hypothesis itself chooses some rules, and small numbers, far more often than others."""
        steps = self.steps()
        [(_, do)] = chance.choices(steps, [weight for weight, _ in steps])
        do(chance)

    def wait_for(self, awaitable: Any) -> Any:
        return self.bench.runner.run(awaitable)

    def execute(self, commands: list[Command]) -> list[Answer]:
        note("\n".join(["batch", *[f"  {command}" for command in commands]]))
        answers: list[Answer] = self.wait_for(self.engine.execute(commands))
        return answers

    def new_id(self) -> str:
        return f"/machine {self.number}-{next(self.ids)}"

    def let_expire(self, reference: str) -> None:
        note(f"{reference} expires")
        self.wait_for(
            self.bench.owner.execute(
                "UPDATE locks SET expires_at = now() - interval '1 second' WHERE lock_reference = $1", reference
            )
        )

    def teardown(self) -> None:
        assert self.wait_for(audit(self.bench.pool)).findings == ()


def run(machine: type[LedgerMachine], database_url: str, *, examples: int, steps: int) -> None:
    """Run examples of a machine. A failure is not shrunk, which takes a database many minutes."""
    with bench(database_url) as shared:
        run_state_machine_as_test(
            type(machine.__name__, (machine,), {"bench": shared}),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate,),
            ),
        )
