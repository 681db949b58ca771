"""What a route works with: the engine behind its batcher, the pool for reads, and who may ask how often."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import uuid4

from fastapi import Request

from services.gateway import tenants
from services.gateway.access.failures import Failures
from services.gateway.access.guesses import Guesses, Ticket, looking_up, unknown_in
from services.gateway.access.keys import Keys
from services.gateway.access.rates import AtOnce, Rates
from services.gateway.access.tokens import Tokens
from services.gateway.batching import NOT_NOW, MicroBatcher, OverloadedError
from services.gateway.heavy.handed import Elsewhere, TakesLongError
from services.gateway.heavy.process import HeavyProcess
from services.gateway.idempotency import IdempotencyStore
from services.gateway.problems import Problem
from services.gateway.room import Room
from services.gateway.settings import BODY_BYTES_AT_ONCE, GatewaySettings
from shared.domain.explain import Explanation
from shared.domain.model.commands import Command, LockCoupons, RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from shared.ledger import validation
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import Pool
from shared.ledger.engine import UNTAKEABLE, Answer, Engine, Rejected
from shared.ledger.pacing import HeavyWork, TooMuchAtOnceError
from shared.runtime import telemetry

CHANNEL: Final = "http"
EXPORTS_AT_ONCE: Final = 2
"""Each looks through all events and kept answers; further ones wait for their turn."""

MANY_SHARES: Final = 2_000
"""Codes times lines from which on deciding, and writing each line's share, takes some 5 ms."""

STATUSES: Final[Mapping[Reason, int]] = {Reason.NOT_FOUND: 404, Reason.LOCK_NOT_FOUND: 404}
REFUSED: Final = 422
BUG: Final = (
    "This is a bug of the gateway's; its log has the details. What the request asked for was not done unless a retry "
    "under the same Idempotency-Key says so."
)


class Gateway:
    """One gateway process: everything that its routes share."""

    def __init__(self, pool: Pool, settings: GatewaySettings) -> None:
        self.pool = pool
        self.settings = settings
        self.engine = Engine(pool)
        self.campaigns = CampaignCache()
        failures = Failures(settings.http_bad_keys_per_minute)
        self.keys = Keys(pool, failures)
        self.tokens = Tokens(settings, failures)
        self.rates = Rates(settings.http_rate_per_minute)
        self.callers_at_once = AtOnce(settings.http_at_once, "of one caller")
        self.addresses_at_once = AtOnce(settings.http_at_once_per_address, "from one address")
        self.guesses = Guesses(pool, settings.http_unknown_per_minute, settings.http_unknown_per_minute_and_address)
        self.bodies = Room(BODY_BYTES_AT_ONCE)
        self.heavy = HeavyWork()
        self.process: HeavyProcess | None = None
        self.exports = asyncio.Semaphore(EXPORTS_AT_ONCE)
        self.idempotency = IdempotencyStore(pool, max(settings.http_batch_size, 50), settings.answers_retention_seconds)
        self._commands: MicroBatcher[Command, Answer] = MicroBatcher(
            self.engine.execute,
            size=settings.http_batch_size,
            batches=settings.http_batches,
            waiting=settings.http_waiting,
            for_all=NOT_NOW,
        )

    def hand_over_to(self, process: HeavyProcess) -> None:
        """Have heavy requests answered by another process from now on."""
        self.process = process
        self.heavy = Elsewhere()

    def weigh(self, command: RedeemCoupons | LockCoupons) -> None:
        """Raise TakesLongError where another process is to answer the request, as its command takes much work.

        For routes that are about to execute it and have done nothing yet.
        """
        order = command.order
        if self.process is not None and order is not None and len(command.codes) * len(order.lines) > MANY_SHARES:
            raise TakesLongError

    async def execute(self, command: Command) -> Verdict:
        """The verdict on `command`, executed with what arrives beside it.

        Raises a Problem for a command that no verdict can be had on; LedgerUnavailableError and OverloadedError for
        later.
        """
        async with looking_up(self.guesses.attempts_of(command)) as ticket:
            answer = await self._commands.submit(tenants.bound(command))
            if isinstance(answer, Verdict):
                self._judge(ticket, command, answer)
        if isinstance(answer, Rejected):
            raise rejection(answer)
        if answer.refused:
            telemetry.REFUSED.labels("gateway", answer.refused[0].reason.value).inc()
        return answer

    async def validate(self, command: Command) -> Verdict:
        """The verdict that `command` would get now; nothing is changed."""
        if isinstance(command, RedeemCoupons | LockCoupons):
            self.weigh(command)
        async with looking_up(self.guesses.attempts_of(command)) as ticket:
            try:
                verdict = await validation.validate(self.pool, tenants.bound(command), self.campaigns, self.heavy)
            except TooMuchAtOnceError as error:
                raise OverloadedError(str(error)) from error
            except UNTAKEABLE as error:
                raise untakeable(str(error)) from None
            self._judge(ticket, command, verdict)
        return verdict

    async def explain(self, command: RedeemCoupons | LockCoupons) -> Explanation:
        """Every rule for the one code of `command`, whatever refuses it first."""
        async with looking_up(self.guesses.attempts_of(command)) as ticket:
            try:
                explanation = await validation.explain(self.pool, tenants.bound(command), self.campaigns, self.heavy)
            except TooMuchAtOnceError as error:
                raise OverloadedError(str(error)) from error
            except UNTAKEABLE as error:
                raise untakeable(str(error)) from None
            self._judge(ticket, command, explanation.verdict)
        return explanation

    def _judge(self, ticket: Ticket | None, command: Command, verdict: Verdict) -> None:
        """Report what the command named that nobody knows."""
        self.guesses.learn((*verdict.accepted, *verdict.refused))
        if ticket is not None:
            ticket.report(unknown_in(command, verdict.refused))

    async def drained(self) -> None:
        """Wait until no command is under way."""
        await self._commands.drained()


def gateway_of(request: Request) -> Gateway:
    """The gateway behind the application that answers `request`."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def command_id_of(request: Request) -> str:
    """The id of the command that `request` gives: the same for the same Idempotency-Key of the same caller."""
    key = request.headers.get("idempotency-key")
    name = request.state.caller.name
    return f"/couponry/http/{name} {key if key and request.method == 'POST' else uuid4()}"


def rejection(rejected: Rejected) -> Problem:
    """A command that got no verdict, as a problem."""
    if rejected.error_class == "CommandIdReused":
        return Problem(422, "idempotency_key_reused", rejected.text)
    if rejected.is_bug:
        return Problem(500, "internal_error", BUG)
    return untakeable(rejected.text)


def untakeable(why: str) -> Problem:
    """A value that no ledger takes."""
    return Problem(422, "invalid_request", f"The ledger can't take this request: {why}")


def refusal(verdict: Verdict | Sequence[RefusedCoupon]) -> Problem:
    """A refused verdict as a problem: its first reason, with all that was refused."""
    refused = verdict.refused if isinstance(verdict, Verdict) else verdict
    first = min(refused, key=lambda one: list(Reason).index(one.reason)) if refused else None
    if first is None:
        return Problem(REFUSED, "conflict", "Nothing was asked for that could be done.")
    return Problem(
        STATUSES.get(first.reason, REFUSED),
        first.reason.value,
        first.message,
        details={"reason": first.reason.value, "refused": [refused_coupon(one) for one in refused]},
    )


def refused_coupon(refused: RefusedCoupon) -> dict[str, object]:
    """One refusal, as JSON."""
    return {
        "code": refused.code,
        "coupon_id": refused.coupon_id,
        "campaign_id": refused.campaign_id,
        "reason": refused.reason.value,
        "message": refused.message,
        "details": refused.details,
    }
