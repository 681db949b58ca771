"""Random commands on a world: how often each kind is chosen, and with which content."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from random import Random

from shared.domain.model.commands import (
    Cause,
    Command,
    IssueCoupons,
    LockCoupons,
    RecordCustomer,
    ReleaseLock,
    VoidCoupon,
)
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from tests.ledger import PLACED_AT
from tests.stateful import world
from tests.stateful.model import Model

ORDERS = 5
FAR = timedelta(days=36_500)
"""A time after the database's counts as now."""
LONG_BEFORE = timedelta(days=-400)
"""Before any campaign begins."""

SEGMENTS: tuple[tuple[str, ...] | None, ...] = (None, None, None, (), ("vip",), ("staff", "vip"))


class Commands:
    """Draws commands. Time goes on from command to command; some events arrive late, so their times lie before."""

    def __init__(self, named: world.World, model: Model, ids: Iterator[str]) -> None:
        self._world, self._model, self._ids = named, model, ids
        self._new_orders = count(ORDERS)
        self._hour = 0
        self._makers: list[tuple[float, Callable[[Random], Command]]] = [
            (14, self.place),
            (7, self.add),
            (10, self.change),
            (4, self.swap),
            (7, self.pay),
            (4, self.fail),
            (1.5, self.cancel),
            (0.7, self.return_all),
            (8, self.return_part),
            (7, self.issue),
            (5, self.lock),
            (2, self.release),
            (2, self.record),
            (0.3, self.void),
        ]

    def draw(self, chance: Random) -> Command:
        self._hour += chance.random() < 0.5
        [(_, make)] = chance.choices(self._makers, [weight for weight, _ in self._makers])
        return make(chance)

    def _at(self, chance: Random) -> datetime:
        drawn = chance.random()
        if drawn < 0.02:
            return PLACED_AT + LONG_BEFORE
        late = chance.randint(0, 8) if drawn < 0.2 else 0
        return PLACED_AT + timedelta(hours=max(self._hour - late, 0))

    def _codes(self, chance: Random, most: int) -> tuple[str, ...]:
        shared = [offer.shared_code for offer in self._model.offers.values() if offer.shared_code is not None]
        issued = [code for code in self._model.coupons if code not in shared][-4:]
        known = [*shared, *issued, "NO-SUCH"]
        picks = chance.choices(known, k=chance.randint(1, most))
        return tuple(code.lower() if chance.random() < 0.5 else f" {code} " for code in picks)

    def _customer(self, chance: Random, order: int) -> Customer | None:
        """Return the customer of an order: mostly the same one."""
        number = 2 * order % len(world.CUSTOMERS) if chance.random() < 0.92 else chance.randrange(len(world.CUSTOMERS))
        return self._world.customer(number, chance.choice(SEGMENTS))

    def _version(self, chance: Random, *, complete: bool, changed: bool = False) -> RedeemCoupons:
        order, at, hold = chance.randrange(ORDERS), self._at(chance), chance.random() < 0.6
        cycle = chance.choice([0, 0, 1, 1, 2, 2, 3])
        goods = order if chance.random() < 0.6 else chance.randrange(len(world.GOODS))
        content = self._world.content(order, goods, None if changed else at, cycle)
        codes = () if chance.random() < 0.1 else self._codes(chance, 3)
        if cycle and chance.random() < 0.7:
            codes = (*codes, self._recurring)
        return RedeemCoupons(
            next(self._ids), content, codes, self._customer(chance, order), self._lock_of(chance),
            atomic=chance.random() < 0.15, hold=hold, hold_seconds=3_600 if hold else 0, at=at,
            takeover=hold and chance.random() < 0.7, complete=complete, changed=changed,
        )  # fmt: skip

    @property
    def _recurring(self) -> str:
        return next(offer.shared_code or "" for offer in self._model.offers.values() if offer.recurring)

    def _lock_of(self, chance: Random) -> str | None:
        """Return the lock that an order names: mostly none, else mostly one that exists."""
        if chance.random() < 0.75:
            return None
        known = [reference for reference in self._model.locks if not reference.startswith("order:")]
        return chance.choice([*known, *known, self._world.reference(chance.randrange(3))])

    def place(self, chance: Random) -> Command:
        return self._version(chance, complete=True)

    def add(self, chance: Random) -> Command:
        return self._version(chance, complete=False)

    def change(self, chance: Random) -> Command:
        return self._version(chance, complete=True, changed=True)

    def swap(self, chance: Random) -> Command:
        """Return a change of an order that names another coupon of the same campaign instead of the one that it has."""
        version = self._version(chance, complete=True, changed=True)
        coupons = self._model.coupons
        swaps = [
            (order_id, code)
            for order_id in self._model.orders
            for has in self._model.has(order_id)
            for code in coupons
            if code != has and coupons[code].campaign == coupons[has].campaign
        ]
        if not swaps:
            return version
        order_id, code = chance.choice(swaps)
        usual = 2 * int(order_id.rpartition("-")[2]) % len(world.CUSTOMERS)
        customer = self._model.orders[order_id].customer or self._world.customer(usual)
        return replace(version, order=replace(version.order, order_id=order_id), codes=(code,), customer=customer)

    def _order_id(self, chance: Random) -> str:
        return self._world.order_id(chance.randrange(ORDERS))

    def pay(self, chance: Random) -> Command:
        order_id = self._order_that_is(chance, "held", "released", "lapsed")
        is_late = chance.random() < (0.8 if self._model.phase(order_id) == "lapsed" else 0.1)
        return PayOrder(next(self._ids), order_id, PLACED_AT + FAR if is_late else self._at(chance))

    def again(self, chance: Random, sent: Command) -> Command:
        """Return the same under another id, as a shop that sends its events twice does.

        A return in part may have another time or another `return_id`: only the latter is another return.
        """
        command = replace(sent, command_id=next(self._ids))
        if isinstance(command, ReturnOrder) and not command.whole and chance.random() < 0.6:
            if command.return_id is not None and chance.random() < 0.5:
                return replace(command, at=self._at(chance))
            return replace(command, return_id=f"r{chance.randint(2, 99)}")
        return command

    def second_attempt(self, chance: Random) -> list[Command]:
        """Return what follows an order that holds coupons: its payment fails or not, its customer places another order
        with the same coupons, and then the first is paid after all.
        """
        held = [order_id for order_id in self._model.orders if self._model.phase(order_id) == "held"]
        version = self._version(chance, complete=True)
        if not held:
            return [version]
        order_id = chance.choice(held)
        codes, customer = tuple(self._model.has(order_id)), self._model.orders[order_id].customer
        failed: list[Command] = []
        if chance.random() < 0.5:
            failed = [FailPayment(next(self._ids), order_id, self._at(chance))]
        new = replace(version.order, order_id=self._world.order_id(next(self._new_orders)))
        again = replace(
            version,
            order=new,
            codes=codes,
            customer=customer,
            atomic=False,
            hold=True,
            hold_seconds=3_600,
            takeover=True,
        )
        return [*failed, again, PayOrder(next(self._ids), order_id, self._at(chance))]

    def fail(self, chance: Random) -> Command:
        return FailPayment(next(self._ids), self._order_that_is(chance, "held"), self._at(chance))

    def cancel(self, chance: Random) -> Command:
        return CancelOrder(next(self._ids), self._order_id(chance), self._at(chance))

    def return_all(self, chance: Random) -> Command:
        return ReturnOrder(next(self._ids), self._order_id(chance), True, self._at(chance))

    def _order_that_is(self, chance: Random, *phases: str) -> str:
        """Return an order: mostly one in one of these phases."""
        found = [order_id for order_id in self._model.orders if self._model.phase(order_id) in phases]
        return chance.choice(found) if found and chance.random() < 0.7 else self._order_id(chance)

    def _redeemed(self, chance: Random) -> str:
        """Return an order: mostly one that has redeemed coupons."""
        found = sorted({order_id for order_id, _ in self._model.uses})
        return chance.choice(found) if found and chance.random() < 0.7 else self._order_id(chance)

    def return_part(self, chance: Random) -> Command:
        """Return lines, goods of an amount, or a refund; some under a `return_id` that others have."""
        lines: tuple[tuple[str, int], ...] = ()
        amount = refunded = None
        how = chance.randrange(4)
        if how < 2:
            lines = tuple((chance.choice("1234"), chance.randint(1, 2)) for _ in range(chance.randint(1, 2)))
        if how == 2:
            amount = chance.choice(["0.01", "0.77", "5.01", "30.00", "0.00"])
        if how == 3 or chance.random() < 0.1:
            refunded = chance.choice(["0.01", "0.77", "4.99", "12.34", "31.07", "120.00"])
        return ReturnOrder(
            next(self._ids), self._redeemed(chance), False, self._at(chance), lines=lines, amount=amount,
            refunded_amount=refunded, return_id=chance.choice([None, None, "r1", f"r{chance.randint(2, 99)}"]),
        )  # fmt: skip

    def issue(self, chance: Random) -> Command:
        command_id = next(self._ids)
        own = [offer.name for offer in self._model.offers.values() if offer.shared_code is None]
        names = chance.sample(own if chance.random() < 0.7 else self._world.names, chance.randint(1, 3))
        occasion = command_id if chance.random() < 0.6 else str(chance.randrange(5))
        number, segments = chance.randrange(1, len(world.CUSTOMERS)), chance.choice(SEGMENTS)
        customer = self._world.customer(number, segments)
        assert customer is not None
        cause = Cause("reward.earned", "/machine", command_id)
        return IssueCoupons(command_id, cause, customer, tuple(names), PLACED_AT, f"{self._world.number} {occasion}")

    def record(self, chance: Random) -> Command:
        number, segments = chance.randrange(1, len(world.CUSTOMERS)), chance.choice(SEGMENTS)
        customer = self._world.customer(number, segments)
        assert customer is not None
        return RecordCustomer(next(self._ids), customer)

    def lock(self, chance: Random) -> Command:
        order = chance.randrange(ORDERS)
        cycle = chance.choice([0, 0, 2])
        content = self._world.content(order, order, None, cycle) if chance.random() < 0.6 else None
        bound = self._world.order_id(order) if chance.random() < 0.3 else None
        reference = self._reference(chance)
        return LockCoupons(
            next(self._ids), reference, self._codes(chance, 2), 3_600, self._customer(chance, order), content, bound
        )

    def release(self, chance: Random) -> Command:
        return ReleaseLock(next(self._ids), self._reference(chance))

    def _reference(self, chance: Random) -> str:
        """Return a caller's reference, or that of an order's own lock."""
        if chance.random() < 0.1:
            return f"order:{self._order_id(chance)}"
        return self._world.reference(chance.randrange(3))

    def lock_to_expire(self, chance: Random) -> str:
        return chance.choice([reference for reference, lock in self._model.locks.items() if lock.holds] or ["none"])

    def void(self, chance: Random) -> Command:
        return VoidCoupon(next(self._ids), self._codes(chance, 1)[0])
