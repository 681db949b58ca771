"""Guesses: limits of unknown codes, locks, customers and other names, per caller and per address.

All routes and facades are counted here. Each request has a *ticket* (`Guesses.ticket`), which the guard opens and
closes. `Gateway` reports unknown names of commands, and the guard counts every other "not found" response. So a route
can't forget it.

The counts of all gateways are in the table `http_guesses`. It is written for wrong guesses only, and read once a second
by each gateway: a request with existing names costs nothing.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from typing import Final

import asyncpg

from services.gateway.access.failure_budgets import SLOT_SECONDS, SLOTS, Budgets, Clock, OverBudgetError, spread
from services.gateway.problems import Problem
from shared.domain.model.commands import Command, ExpireLock, LockCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, RefusedCoupon
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.sql import sql
from shared.runtime import telemetry
from shared.runtime.logging import get_logger
from shared.runtime.shutdown import sleep_unless

log = get_logger("gateway")

PACKAGE: Final = "services.gateway"
READ_SECONDS: Final = 1.0
PRUNED_EVERY: Final = 60
MAX_READ: Final = 20_000
MAX_KNOWN: Final = 50_000

WHAT: Final = "unknown codes, locks or customers"
UNKNOWN: Final = frozenset({Reason.NOT_FOUND, Reason.LOCK_NOT_FOUND})
_UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, asyncpg.PostgresError)
_current: ContextVar["Ticket | None"] = ContextVar("guesses", default=None)


def names_in(command: Command) -> tuple[tuple[str, ...], int]:
    """Return the codes that a command looks up, and the number of its other secrets: a lock reference, a PIN."""
    # LockCoupons chooses its reference, and only the engine creates ExpireLock.
    has_lock = command.named_lock is not None and not isinstance(command, LockCoupons | ExpireLock)
    return command.named_codes, has_lock + has_validation_code(command)


def has_validation_code(command: Command) -> bool:
    """Return whether a PIN was sent with the command's codes."""
    return isinstance(command, RedeemCoupons | LockCoupons) and command.validation_code is not None


def count_unknown(command: Command, refused: Iterable[RefusedCoupon]) -> int:
    """Return how many guesses of a command were wrong. A wrong validation code counts if one was sent."""
    has_code = has_validation_code(command)
    return sum(
        one.reason in UNKNOWN or (has_code and one.reason is Reason.VALIDATION_CODE_MISMATCH)
        for one in refused
    )  # fmt: skip


class Ticket:
    """The guesses of one request: those it has room for, and those that were wrong."""

    def __init__(self, guesses: "Guesses", caller: str, address: str, api: str) -> None:
        self._guesses = guesses
        self._caller = caller
        self._address = address
        self._api = api
        self._base: tuple[int, int] | None = None
        self._whole = False
        self._before: Token[Ticket | None] | None = None
        self._uncounted = 0
        self.reported = 0

    def check(self) -> None:
        """Check the limits of the caller and the address. Raises a Problem (429)."""
        with as_problem(WHAT):
            self._guesses.callers.check(self._caller)
            self._guesses.addresses.check(self._address)

    async def begin(self, *, waits: bool = True) -> None:
        """Begin the request. `waits`: wait for room for one guess. Raises a Problem (429)."""
        if waits:
            self._base = await self.take(1)
        self._before = _current.set(self)

    def report(self, unknown: int) -> None:
        """Record the number of unknown codes, locks or customers of the request."""
        self.reported += unknown
        self._uncounted += unknown

    async def end(self) -> None:
        """Count the reported guesses, and release the room."""
        if self._before is not None:
            _current.reset(self._before)
        try:
            await self.count()
        finally:
            self._give_back_base()

    @asynccontextmanager
    async def reserve_guesses(self, attempts: int, *, whole: bool = False) -> AsyncIterator[None]:
        """Reserve room for a number of guesses at once. Raises a Problem (429).

        `whole`: the room covers everything that is looked up inside, so that no part is refused after another was done.
        """
        if not attempts or self._whole:
            yield
            return
        taken = await self.take_instead(attempts)
        self._whole = whole
        try:
            yield
        finally:
            self._whole = self._whole and not whole
            try:
                await self.count()
            finally:
                self.give_back(taken)

    async def take_instead(self, attempts: int) -> tuple[int, int]:
        """Replace the room that the request began with; otherwise as `take`."""
        self._give_back_base()  # before waiting for more, so that two requests never wait for each other
        return await self.take(attempts)

    async def take(self, attempts: int) -> tuple[int, int]:
        """Wait for room for so many guesses. Return what to `give_back`. Raises a Problem (429)."""
        callers, addresses = self._guesses.callers, self._guesses.addresses
        with as_problem(WHAT):
            addresses.check(self._address)
            mine = await callers.of(self._caller).take(attempts)
            try:
                return mine, await addresses.of(self._address).take(attempts)
            except BaseException:
                callers.of(self._caller).give_back(mine)
                callers.drop_unused(self._caller)
                raise

    def give_back(self, taken: tuple[int, int]) -> None:
        """Release room."""
        for budgets, who, count in (
            (self._guesses.callers, self._caller, taken[0]),
            (self._guesses.addresses, self._address, taken[1]),
        ):
            budgets.of(who).give_back(count)
            budgets.drop_unused(who)

    def _give_back_base(self) -> None:
        if self._base is not None:
            base, self._base = self._base, None
            self.give_back(base)

    async def count(self) -> None:
        """Count what was reported and isn't counted yet."""
        unknown, self._uncounted = self._uncounted, 0
        if unknown:
            telemetry.HTTP_GUESSES.labels(self._api).inc(unknown)
            await self._guesses.add(self._caller, self._address, unknown)


class Guesses:
    """Wrong guesses of callers and addresses, counted over all gateways of one ledger."""

    def __init__(self, pool: Pool, per_caller: int, per_address: int) -> None:
        self._pool = pool
        self._clock = Clock()
        self.callers = Budgets(per_caller, self._clock)
        self.addresses = Budgets(per_address, self._clock)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._reads = 0

    def ticket(self, caller: str, address: str, api: str) -> Ticket:
        """Return the ticket of one request."""
        return Ticket(self, f"caller {caller}", f"address {address}", api)

    async def add(self, caller: str, address: str, unknown: int) -> None:
        """Count wrong guesses for all gateways. If the ledger is unavailable, only this process counts them."""
        new = [
            (who, ahead, count)
            for who, budgets in ((caller, self.callers), (address, self.addresses))
            for ahead, count in spread(unknown, budgets.limit)
        ]
        try:
            records = await self._pool.fetch(
                sql("guesses_add", PACKAGE), *map(list, zip(*new, strict=True)), SLOT_SECONDS, SLOTS
            )
        except _UNAVAILABLE as error:
            log.warning("guesses are counted in this process only", error=repr(error))
            for who, ahead, count in new:
                self._budgets_of(who).of(who).add({self._clock.slot() + ahead: count}, known=False)
            return
        self._apply_counts(records)

    async def run(self, stopping: asyncio.Event) -> None:
        """Read the counts of all gateways until `stopping` is set. If the ledger is unavailable, retry."""
        while not stopping.is_set():
            try:
                await self.run_once()
            except _UNAVAILABLE as error:
                log.warning("guesses of other gateways can't be read", error=repr(error))
            await sleep_unless(stopping, READ_SECONDS)

    async def run_once(self) -> None:
        """Read the current counts; every PRUNED_EVERY reads, delete old ones."""
        self.callers.tidy()
        self.addresses.tidy()
        self._apply_counts(await self._pool.fetch(sql("guesses_read", PACKAGE), SLOT_SECONDS, SLOTS, MAX_READ))
        self._reads += 1
        if self._reads % PRUNED_EVERY == 0:
            await self._pool.execute(sql("guesses_prune", PACKAGE), SLOT_SECONDS, SLOTS)

    def attempts_of(self, command: Command) -> int:
        """Return how many guesses a command may contain. Known codes are no guesses, unless a PIN is sent with them."""
        codes, others = names_in(command)
        if has_validation_code(command):
            return len(codes) + others
        return others + sum(code_key(code) not in self._known for code in codes)

    def remember_codes(self, coupons: Iterable[AcceptedCoupon | RefusedCoupon]) -> None:
        """Remember codes that exist."""
        for one in coupons:
            if one.code and not (isinstance(one, RefusedCoupon) and one.coupon_id is None):
                self._known[code_key(one.code)] = None
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _apply_counts(self, records: Sequence[asyncpg.Record]) -> None:
        for record in records:
            self._clock.set(record["at"])  # the ledger's clock, because the gateways' clocks may differ
            if record["subject"] is None:
                continue
            who = record["subject"]
            self._budgets_of(who).of(who).add({record["slot"]: record["guesses"]}, known=True)

    def _budgets_of(self, who: str) -> Budgets:
        return self.callers if who.startswith("caller ") else self.addresses


@asynccontextmanager
async def reserve_guesses(attempts: int, *, whole: bool = False) -> AsyncIterator[Ticket | None]:
    """Reserve room for guesses of the current request, see `Ticket.reserve_guesses`.

    Yields the request's ticket, or None outside of a request.
    """
    ticket = _current.get()
    if ticket is None:
        yield None
        return
    async with ticket.reserve_guesses(attempts, whole=whole):
        yield ticket


@contextmanager
def as_problem(what: str) -> Iterator[None]:
    """Convert OverBudgetError to a Problem (429)."""
    try:
        yield
    except OverBudgetError as error:
        raise Problem(
            429,
            "rate_limited",
            f"Too many {what}: at most {error.limit} per minute. Try again in {error.seconds} s.",
            headers={"Retry-After": str(error.seconds)},
        ) from None
