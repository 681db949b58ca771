"""Rewards and sign-ups become commands to issue coupons; the engine decides, the outbox tells."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from schemas.common import IdentifiedCustomer
from schemas.rewards import RewardEarned
from schemas.signups import CustomerSignedUp
from services.issuer.matching import MatchIndex
from services.issuer.sources.external import ExternalCodes, SourcesTooSlowError
from shared.domain.campaign import Campaign
from shared.domain.commands import Cause, IssueCoupons
from shared.domain.customer import Customer
from shared.domain.verdicts import Verdict
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import UNAVAILABLE, Pool
from shared.ledger.engine import CONFLICTS, Engine, LedgerUnavailableError, Rejected
from shared.messaging.consumer import Poison
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from shared.runtime.errors import TransientError

SERVICE: Final = "issuer"

MAX_COUPONS: Final = 2_000
"""Most coupons that one transaction issues: one reward may issue dozens, so a batch is bounded by what it makes."""

_TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    *CONFLICTS,
    LedgerUnavailableError,
    SourcesTooSlowError,
)


def to_command(event: ReceivedEvent, index: MatchIndex) -> IssueCoupons | None:
    """What `event` asks for: a coupon of each matching campaign.

    A reward that matches nothing still becomes a command, so that somebody is told (`not_found`). A sign-up that
    matches nothing asks for nothing: nobody promised that customer a coupon.
    """
    data = event.data
    cause = Cause(event.type, event.source, event.id)
    if isinstance(data, RewardEarned):
        return IssueCoupons(
            command_id=event.command_id,
            cause=cause,
            customer=_customer(data.customer),
            campaign_ids=_reward_campaigns(event.type, data, index),
            at=data.earned_at,
            natural_key=f"reward {data.reward_id}",
        )
    if isinstance(data, CustomerSignedUp):
        campaign_ids = index.matching(event.type, data)
        if not campaign_ids:
            return None
        return IssueCoupons(event.command_id, cause, _customer(data.customer), campaign_ids, data.signed_up_at)
    raise AssertionError(f"the issuer reads no {event.type}")


def _reward_campaigns(event_type: str, data: RewardEarned, index: MatchIndex) -> tuple[str, ...]:
    """The campaign that a reward names is the only one, if a rule of it matches; without a name, all that match."""
    if data.campaign_id is None:
        return index.matching(event_type, data)
    return index.named(data.campaign_id, event_type, data)


def _customer(customer: IdentifiedCustomer) -> Customer:
    return Customer(customer.customer_id, customer.email, customer.mobile, customer.segments)


def chunks(commands: Sequence[IssueCoupons], max_coupons: int) -> Iterator[Sequence[IssueCoupons]]:
    """`commands` in their order, in parts of at most `max_coupons` coupons; a command that alone is more stays so."""
    start = coupons = 0
    for position, command in enumerate(commands):
        wanted = len(command.campaign_ids)
        if position > start and coupons + wanted > max_coupons:
            yield commands[start:position]
            start, coupons = position, 0
        coupons += wanted
    if start < len(commands):
        yield commands[start:]


class IssueHandler:
    """Executes a batch of rewards and sign-ups, in transactions of at most `max_coupons` coupons each.

    A database that is away and external sources that take too long are a TransientError: the batch comes again and goes
    on where it stopped, because what was executed is in the journal and what was answered is noted.
    """

    def __init__(self, pool: Pool, engine: Engine, external: ExternalCodes, *, max_coupons: int = MAX_COUPONS) -> None:
        self._pool = pool
        self._engine = engine
        self._external = external
        self._max_coupons = max_coupons
        self._cache = CampaignCache()
        self._campaigns: Mapping[str, Campaign] = {}
        self._index = MatchIndex({})

    async def handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        """Execute what `events` ask for, in their order. Returns those that nobody can execute, with the reason.

        Raises TransientError; the same batch later does no harm.
        """
        try:
            return await self._handle(events)
        except _TRY_AGAIN as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error

    async def _handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        await self._refresh()
        asked = [(event, command) for event in events if (command := to_command(event, self._index)) is not None]
        verdicts: list[Verdict | Rejected] = []
        for part in chunks([command for _, command in asked], self._max_coupons):
            verdicts += await self._engine.execute(await self._external.supply(part, self._campaigns))
        _count_refusals(verdicts)
        return [
            Poison(event, verdict.error_class, verdict.text)
            for (event, _), verdict in zip(asked, verdicts, strict=True)
            if isinstance(verdict, Rejected)
        ]

    async def _refresh(self) -> None:
        """Take up what changed in the campaigns: one look-up a batch, and the tables anew only after a change."""
        async with self._pool.acquire() as connection:
            campaigns = await self._cache.refresh(connection)
        if campaigns is not self._campaigns:
            self._campaigns, self._index = campaigns, MatchIndex(campaigns)


def _count_refusals(verdicts: Sequence[Verdict | Rejected]) -> None:
    reasons = Counter(
        refused.reason for verdict in verdicts if isinstance(verdict, Verdict) for refused in verdict.refused[:1]
    )
    for reason, count in reasons.items():
        telemetry.REFUSED.labels(SERVICE, reason.value).inc(count)
