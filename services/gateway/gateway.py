"""Shared state of a gateway process: command batching, the pool for reads, and limits."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import uuid4

from fastapi import Request

from services.gateway import tenants
from services.gateway.access.failures import Failures
from services.gateway.access.guesses import Guesses, Ticket, count_unknown, reserve_guesses
from services.gateway.access.keys import Keys
from services.gateway.access.rates import ConcurrencyLimit, Rates
from services.gateway.access.tokens import Tokens
from services.gateway.batching import TEMPORARY_ERRORS, MicroBatcher, OverloadedError
from services.gateway.body_memory import BodyMemory
from services.gateway.heavy.handover import HeavyWorkElsewhere, TakesLongError
from services.gateway.heavy.process import HeavyProcess
from services.gateway.idempotency import IdempotencyStore
from services.gateway.problems import Problem
from services.gateway.settings import BODY_BYTES_AT_ONCE, GatewaySettings
from shared.domain.explain import Explanation
from shared.domain.model.commands import Command, LockCoupons
from shared.domain.model.customer import Identifier, possible_identifiers
from shared.domain.model.ids import readable
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import RefusedCoupon, Verdict
from shared.ledger import validation
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import Pool
from shared.ledger.engine import INVALID_VALUE_ERRORS, Answer, Engine, Rejected
from shared.ledger.identity import rules_of
from shared.ledger.workload import HeavyWork, TooMuchAtOnceError
from shared.runtime import telemetry

CHANNEL: Final = "http"
EXPORTS_AT_ONCE: Final = 2
"""Each export scans all events and recorded responses; further ones wait."""

MANY_SHARES: Final = 2_000
"""Codes times lines from which on deciding and writing each line's share takes about 5 ms."""

KEYED_METHODS: Final = frozenset({"POST", "PATCH", "PUT"})
"""Methods of which a request may have an idempotency key; requests of the others can be repeated without one."""

STATUSES: Final[Mapping[Reason, int]] = {Reason.NOT_FOUND: 404, Reason.LOCK_NOT_FOUND: 404}
REFUSED: Final = 422
BUG: Final = (
    "This is a bug in the gateway; its log has the details. The request was not executed, unless a retry with the same "
    "Idempotency-Key reports success."
)


class Gateway:
    """State that all routes of a gateway process share."""

    def __init__(self, pool: Pool, settings: GatewaySettings) -> None:
        self.pool = pool
        self.settings = settings
        self.identity = rules_of(settings)
        self.engine = Engine(pool, self.identity)
        self.campaigns = CampaignCache()
        failures = Failures(settings.http_bad_keys_per_minute)
        self.keys = Keys(pool, failures)
        self.tokens = Tokens(settings, failures)
        self.rates = Rates(settings.http_rate_per_minute)
        self.callers_at_once = ConcurrencyLimit(settings.http_at_once, "of one caller")
        self.addresses_at_once = ConcurrencyLimit(settings.http_at_once_per_address, "from one address")
        self.guesses = Guesses(pool, settings.http_unknown_per_minute, settings.http_unknown_per_minute_and_address)
        self.bodies = BodyMemory(BODY_BYTES_AT_ONCE)
        self.heavy = HeavyWork()
        self.process: HeavyProcess | None = None
        self.exports = asyncio.Semaphore(EXPORTS_AT_ONCE)
        self.idempotency = IdempotencyStore(pool, max(settings.http_batch_size, 50), settings.answers_retention_seconds)
        self._commands: MicroBatcher[Command, Answer] = MicroBatcher(
            self.engine.execute,
            size=settings.http_batch_size,
            batches=settings.http_batches,
            waiting=settings.http_waiting,
            for_all=TEMPORARY_ERRORS,
        )

    def names_of(self, who: str) -> tuple[Identifier, ...]:
        """Return the identifiers that a string may be: a customer id first, then an email address or phone number."""
        return possible_identifiers(who, self.identity)

    def hand_over_to(self, process: HeavyProcess) -> None:
        """Answer heavy requests in `process` from now on."""
        self.process = process
        self.heavy = HeavyWorkElsewhere()

    def weigh(self, command: RedeemCoupons | LockCoupons) -> None:
        """Check that `command` is not heavy. Raises TakesLongError: the heavy process has to answer the request.

        Call it before a route changes anything.
        """
        order = command.order
        if self.process is not None and order is not None and len(command.codes) * len(order.lines) > MANY_SHARES:
            raise TakesLongError

    async def execute(self, command: Command) -> Verdict:
        """Execute `command` in a batch with concurrent ones and return its verdict.

        Raises a Problem for a command that can't be decided. LedgerUnavailableError and OverloadedError: retry later.
        """
        async with reserve_guesses(self.guesses.attempts_of(command)) as ticket:
            result = await self._commands.submit(tenants.restrict_to_groups(command))
            if isinstance(result, Verdict):
                self._count_guesses(ticket, command, result)
        if isinstance(result, Rejected):
            raise rejection(result)
        if result.refused:
            telemetry.REFUSED.labels("gateway", result.refused[0].reason.value).inc()
        if result.why is not None:
            telemetry.UNCHANGED.labels("gateway", result.why).inc()
        return result

    async def validate(self, command: Command) -> Verdict:
        """Return the verdict that `command` would get now, without changing anything."""
        if isinstance(command, RedeemCoupons | LockCoupons):
            self.weigh(command)
        async with reserve_guesses(self.guesses.attempts_of(command)) as ticket:
            try:
                verdict = await validation.validate(
                    self.pool, tenants.restrict_to_groups(command), self.campaigns, self.heavy, self.identity
                )
            except TooMuchAtOnceError as error:
                raise OverloadedError(str(error)) from error
            except INVALID_VALUE_ERRORS as error:
                raise invalid_value(readable(str(error))) from None
            self._count_guesses(ticket, command, verdict)
        return verdict

    async def explain(self, command: RedeemCoupons | LockCoupons) -> Explanation:
        """Evaluate every rule for the single code of `command`, including those after the first refusal."""
        async with reserve_guesses(self.guesses.attempts_of(command)) as ticket:
            try:
                explanation = await validation.explain(
                    self.pool, tenants.restrict_to_groups(command), self.campaigns, self.heavy, self.identity
                )
            except TooMuchAtOnceError as error:
                raise OverloadedError(str(error)) from error
            except INVALID_VALUE_ERRORS as error:
                raise invalid_value(readable(str(error))) from None
            self._count_guesses(ticket, command, explanation.verdict)
        return explanation

    def _count_guesses(self, ticket: Ticket | None, command: Command, verdict: Verdict) -> None:
        """Count the unknown codes, locks and customers that the command named."""
        self.guesses.remember_codes((*verdict.accepted, *verdict.refused))
        if ticket is not None:
            ticket.report(count_unknown(command, verdict.refused))

    async def drained(self) -> None:
        """Wait until all commands are finished."""
        await self._commands.drained()


def gateway_of(request: Request) -> Gateway:
    """Return the gateway of the application that handles `request`."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def command_id_of(request: Request) -> str:
    """Return the command id of `request`: the same for the same Idempotency-Key of the same caller."""
    key = request.headers.get("idempotency-key")
    name = request.state.caller.name
    return f"/couponry/http/{name} {key if key and request.method in KEYED_METHODS else uuid4()}"


def rejection(rejected: Rejected) -> Problem:
    """Return the problem for a command that got no verdict."""
    if rejected.error_class == "CommandIdReused":
        return Problem(422, "idempotency_key_reused", rejected.text)
    if rejected.is_bug:
        return Problem(500, "internal_error", BUG)
    return invalid_value(rejected.text)


def invalid_value(why: str) -> Problem:
    """Return the problem for a value that the ledger can't store."""
    return Problem(422, "invalid_request", f"The ledger can't store a value of the request: {why}")


def refusal(verdict: Verdict | Sequence[RefusedCoupon]) -> Problem:
    """Return the problem for a refused verdict: its first reason, with all refused coupons as details."""
    refused = verdict.refused if isinstance(verdict, Verdict) else verdict
    first = min(refused, key=lambda one: list(Reason).index(one.reason)) if refused else None
    if first is None:
        return Problem(REFUSED, "conflict", "The request names nothing that could be changed.")
    return Problem(
        STATUSES.get(first.reason, REFUSED),
        first.reason.value,
        first.message,
        details={"reason": first.reason.value, "refused": [refused_coupon(one) for one in refused]},
    )


def refused_coupon(refused: RefusedCoupon) -> dict[str, object]:
    """Return a refusal as a JSON object."""
    return {
        "code": refused.code,
        "coupon_id": refused.coupon_id,
        "campaign_id": refused.campaign_id,
        "reason": refused.reason.value,
        "message": refused.message,
        "details": refused.details,
    }
