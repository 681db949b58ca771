"""Compare the engine's answers and the totals in its tables with those of the model."""

from dataclasses import replace
from datetime import date, timedelta

from shared.domain.model.commands import Command, IssueCoupons, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.coupon import code_key
from shared.domain.model.verdicts import LedgerEntry, Verdict
from shared.ledger.database import Pool
from tests.ledger import PLACED_AT
from tests.stateful.answers import Answer
from tests.stateful.facts import Movement
from tests.stateful.model import Model
from tests.stateful.world import World

EVERYBODY = "00000000-0000-0000-0000-000000000000"
FIRST_LOCKED = f"day {(PLACED_AT + timedelta(days=90)).date()}"
"""Before this day are all events, and after it all locks without an event, whose uses count on the day of the test."""


class Comparison:
    """Compares one example: its names in the database are those of `world`."""

    def __init__(self, pool: Pool, world: World, model: Model) -> None:
        self._pool, self._world, self._model = pool, world, model
        self._codes: dict[str, str] = {}
        """coupon id → code"""
        self._customers: dict[str, str] = {}
        """customer key → an identifier of the customer, as the model writes it"""

    async def load_names(self) -> None:
        """Load the ids of coupons and customers, by which entries name them."""
        rows = await self._pool.fetch(
            "SELECT coupon_id::text, code_key FROM coupons WHERE campaign_id = ANY($1)", self._world.names
        )
        self._codes = {row[0]: row[1] for row in rows}
        rows = await self._pool.fetch(
            "SELECT kind, value, customer_key::text FROM customer_identifiers WHERE value = ANY($1)",
            self._world.identifiers,
        )
        self._customers = {row["customer_key"]: f"{row['kind']} {row['value']}" for row in rows}

    def compare(self, command: Command, verdict: Verdict, expected: Answer, *, is_new: bool) -> None:
        """Compare an answer. A repeated command gets the recorded one, whose entries are not compared again."""
        actual = self._answer(command, verdict, with_kinds=expected.kinds is not None)
        if isinstance(command, IssueCoupons | LockCoupons | ReleaseLock | VoidCoupon):
            actual = replace(actual, kinds=None)
            expected = replace(expected, kinds=None)
        if not is_new:
            actual, expected = (replace(one, moved={}, kinds=None) for one in (actual, expected))
        expected = comparable(expected)
        assert actual == expected, f"{command}\nthe engine: {actual}\nthe model:  {expected}"

    def _answer(self, command: Command, verdict: Verdict, *, with_kinds: bool) -> Answer:
        """Return the verdict as an answer of the model."""
        issue = isinstance(command, IssueCoupons)
        kinds = frozenset((entry.kind, self._codes.get(entry.coupon_id, "")) for entry in verdict.entries)
        return comparable(
            Answer(
                verdict.outcome,
                tuple(
                    (one.campaign_id, None) if issue else (code_key(one.code), one.discount_minor)
                    for one in verdict.accepted
                ),
                tuple(
                    (str(one.campaign_id) if issue else code_key(one.code or ""), one.reason.value)
                    for one in verdict.refused
                ),
                tuple(
                    (code_key(one.coupon.code), one.coupon.discount_minor or 0, one.before_minor)
                    for one in verdict.kept
                ),
                self._moved(verdict.entries),
                kinds if with_kinds else None,
            )
        )

    def _moved(self, entries: tuple[LedgerEntry, ...]) -> dict[tuple[str, str | None], Movement]:
        moved: dict[tuple[str, str | None], Movement] = {}
        for entry in entries:
            change = (entry.held_uses, entry.used_uses, entry.held_minor, entry.used_minor)
            if any(change):
                key = (self._codes[entry.coupon_id], self._customer(entry.customer_key))
                had = moved.get(key, (0, 0, 0, 0))
                moved[key] = (had[0] + change[0], had[1] + change[1], had[2] + change[2], had[3] + change[3])
        return {key: change for key, change in moved.items() if any(change)}

    def _customer(self, customer_key: str | None) -> str | None:
        return None if customer_key is None else self._model.customer_key(self._customers[customer_key])

    # Totals

    async def compare_totals(self) -> None:
        """Compare the totals of coupons, campaigns, customers, days and orders with those that the model counts."""
        await self._compare_coupons()
        await self._compare_meters()
        await self._compare_days()
        await self._compare_orders()

    async def _compare_coupons(self) -> None:
        rows = await self._pool.fetch(
            "SELECT code_key, held_uses, used_uses FROM coupons "
            "WHERE campaign_id = ANY($1) AND held_uses + used_uses > 0",
            self._world.names,
        )
        wanted: dict[str, tuple[int, int]] = {}
        for (code, _), (held, used, _, _) in self._model.totals().items():
            had = wanted.get(code, (0, 0))
            wanted[code] = (had[0] + held, had[1] + used)
        assert {row[0]: (row[1], row[2]) for row in rows} == {code: two for code, two in wanted.items() if any(two)}

    async def _compare_meters(self) -> None:
        rows = await self._pool.fetch(
            "SELECT campaign_id, customer_key::text, issued_coupons, held_uses, used_uses, held_minor, used_minor "
            "FROM meters WHERE campaign_id = ANY($1)",
            self._world.names,
        )
        totals = self._model.totals()
        for name, customer_key, issued, *numbers in rows:
            if customer_key != EVERYBODY and customer_key not in self._customers:
                assert not any(numbers), (name, "a customer who was merged")
                continue
            key = None if customer_key == EVERYBODY else self._customer(customer_key)
            if key is None:
                assert issued == self._model.issued(name), name
            wanted = [0, 0, 0, 0]
            for (code, owner), changes in totals.items():
                if self._model.coupons[code].campaign == name and key in (None, owner):
                    wanted = [one + more for one, more in zip(wanted, changes, strict=True)]
            assert numbers == wanted, (name, key)

    async def _compare_days(self) -> None:
        rows = await self._pool.fetch(
            "SELECT campaign_id, period, held_uses + used_uses FROM period_meters "
            "WHERE campaign_id = ANY($1) AND customer_key = $2::uuid",
            self._world.names, EVERYBODY,
        )  # fmt: skip
        days: dict[tuple[str, str], int] = {}
        for (_, code), use in self._model.uses.items():
            self._count(days, code, use.day, use.takes)
        for lock in self._model.locks.values():
            for code, held in lock.uses.items() if lock.status == "open" else ():
                self._count(days, code, held.day, held.takes)
        for name, period, uses in rows:
            if period < FIRST_LOCKED:
                assert uses == days.get((name, period), 0), (name, period)

    def _count(self, days: dict[tuple[str, str], int], code: str, day: date | None, takes: int) -> None:
        if day is not None:
            key = (self._model.coupons[code].campaign, f"day {day}")
            days[key] = days.get(key, 0) + takes

    async def _compare_orders(self) -> None:
        rows = await self._pool.fetch(
            "SELECT order_id, status, amount_minor FROM orders WHERE order_id LIKE $1",
            self._world.order_id(0)[:-1] + "%",
        )
        for order_id, status, amount in rows:
            order = self._model.orders[order_id]
            content = 0 if order.content is None else order.content.amount
            assert (status, amount or 0) == (order.status, content), order_id


def comparable(answer: Answer) -> Answer:
    """Return the answer with everything sorted whose order doesn't matter."""
    outcome = "nothing" if answer.outcome in {"recorded", "unchanged"} else answer.outcome
    accepted = answer.accepted
    if outcome in {"restored", "released"}:
        # A lock without an order has no discount, which is 0 or None.
        accepted = tuple(sorted((code, minor or 0) for code, minor in accepted))
    elif outcome == "redeemed":
        accepted = tuple(sorted(accepted, key=lambda one: one[0]))
    return replace(
        answer, outcome=outcome, accepted=accepted, refused=tuple(sorted(answer.refused)),
        kept=tuple(sorted(answer.kept)),
    )  # fmt: skip
