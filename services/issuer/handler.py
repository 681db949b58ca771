"""Turn rewards and sign-ups into commands that issue coupons or take them back. The engine decides."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from schemas.campaigns import MAX_COUPONS_AT_ONCE
from schemas.rewards import RewardEarned, RewardRevoked
from schemas.signups import CustomerSignedUp
from services.issuer.sources.external import ExternalCodes, SourcesTooSlowError
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Cause, Command, IssueCoupons, RecordCustomer, RevokeReward
from shared.domain.model.customer import Customer
from shared.domain.model.ids import referral_occasion, reward_occasion
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import CampaignCache
from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE, Pool
from shared.ledger.engine import CONFLICTS, Engine, LedgerUnavailableError, Rejected
from shared.ledger.matching import MatchIndex, TooMuchWorkError, Wanted
from shared.ledger.order_conversion import to_customer
from shared.messaging.consumer import Poison
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from shared.runtime.errors import TransientError

SERVICE: Final = "issuer"

MAX_COUPONS: Final = 2_000
"""The most coupons one transaction issues or voids. One reward may issue dozens, so the number of events is not a
limit."""

IssuerCommand = IssueCoupons | RecordCustomer | RevokeReward

_TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (
    *UNAVAILABLE,
    *CONFLICTS,
    *NOT_MIGRATED,
    LedgerUnavailableError,
    SourcesTooSlowError,
)


def to_commands(event: ReceivedEvent, index: MatchIndex) -> list[IssuerCommand]:
    """Return the commands for `event`: coupons for its customer, for the referrer, or both, as one command each.

    A reward that matches no campaign still becomes a command, so that a refusal (`not_found`) is published. A sign-up
    that matches no campaign issues nothing, because no coupon was promised; its customer's address, phone number and
    segments are recorded.
    A revocation takes back what its reward issued.
    """
    data = event.data
    if isinstance(data, RewardEarned):
        return [_reward(event, data, index)]
    if isinstance(data, RewardRevoked):
        return [RevokeReward(event.command_id, data.reward_id, at=data.revoked_at, reason=data.reason)]
    if isinstance(data, CustomerSignedUp):
        return list(_sign_up(event, data, index))
    raise AssertionError(f"the issuer doesn't read {event.type}")


def _reward(event: ReceivedEvent, data: RewardEarned, index: MatchIndex) -> IssueCoupons:
    """Return the command for a reward: the campaign it names, if a rule of it matches, otherwise all that match."""
    if data.campaign_id is None:
        matched = index.matching(event.type, data)
    else:
        matched = index.named(data.campaign_id, event.type, data)
    customer, occasion = to_customer(data.customer), reward_occasion(data.reward_id)
    return _issue(event.command_id, event, customer, matched.customer, at=data.earned_at, natural_key=occasion)


def _sign_up(event: ReceivedEvent, data: CustomerSignedUp, index: MatchIndex) -> Iterator[IssuerCommand]:
    matched = index.matching(event.type, data)
    customer = to_customer(data.customer)
    if matched.customer:
        yield _issue(event.command_id, event, customer, matched.customer, at=data.signed_up_at)
    elif customer.segments is not None or customer.email is not None or customer.mobile is not None:
        # A later order may name only one identifier; conditions and limits then know the others. A separate id: if the
        # event is read again once a campaign matches, its own id is still unused.
        yield RecordCustomer(_further_id(event.command_id, "segments"), customer, data.signed_up_at, SERVICE)
    if matched.referrer and data.referred_by is not None:
        # A customer is referred once, even if their sign-up arrives under several event ids.
        occasion = referral_occasion(data.customer.customer_id)
        command_id, referrer = _further_id(event.command_id, "referrer"), Customer(data.referred_by)
        command = _issue(command_id, event, referrer, matched.referrer, at=data.signed_up_at, natural_key=occasion)
        yield replace(command, referred=customer)


def _further_id(command_id: str, purpose: str) -> str:
    """Return the id of a second command of one event. It can't equal an event's id, because those contain no tab."""
    return f"{command_id}\t{purpose}"


def _issue(
    command_id: str,
    event: ReceivedEvent,
    customer: Customer,
    wanted: Wanted,
    *,
    at: datetime,
    natural_key: str | None = None,
) -> IssueCoupons:
    return IssueCoupons(
        command_id=command_id,
        cause=Cause(event.type, event.source, event.id),
        customer=customer,
        campaign_ids=tuple([campaign_id for campaign_id, _ in wanted]),
        at=at,
        natural_key=natural_key,
        several=tuple([one for one in wanted if one[1] > 1]),
    )


def chunks(commands: Sequence[IssuerCommand], max_coupons: int) -> Iterator[Sequence[IssuerCommand]]:
    """Split `commands`, in order, into parts of at most `max_coupons` coupons. A larger one is a part of its own."""
    start = coupons = 0
    for position, command in enumerate(commands):
        wanted = _coupons_of(command)
        if position > start and coupons + wanted > max_coupons:
            yield commands[start:position]
            start, coupons = position, 0
        coupons += wanted
    if start < len(commands):
        yield commands[start:]


def _coupons_of(command: IssuerCommand) -> int:
    """Return the coupons that a command issues, or may void: of a revoked reward, as many as one rule issues."""
    match command:
        case IssueCoupons():
            return command.coupons
        case RevokeReward():
            return MAX_COUPONS_AT_ONCE
        case RecordCustomer():
            return 0


class IssueHandler:
    """Executes a batch of rewards and sign-ups, in transactions of at most `max_coupons` coupons each.

    TransientError is raised if the database is unavailable or external sources take too long. The retried batch
    continues where it stopped: executed commands are in the journal, and responses of sources are recorded.
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
        """Execute `events` in order and return those that can never be executed, with the reason.

        Raises TransientError; the same batch can then be handled again safely.
        """
        try:
            return await self._handle(events)
        except _TRY_AGAIN as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error

    async def _handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        await self._refresh()
        planned: list[tuple[ReceivedEvent, IssuerCommand]] = []
        too_much: list[Poison] = []
        for event in events:
            try:
                planned += [(event, command) for command in to_commands(event, self._index)]
            except TooMuchWorkError as error:
                too_much.append(Poison(event, "too_much_work", str(error)))
        verdicts: list[Verdict | Rejected] = []
        for part in chunks([command for _, command in planned], self._max_coupons):
            verdicts += await self._engine.execute(await self._supplied(part))
        _count_refusals(verdicts)
        return too_much + _poisons([event for event, _ in planned], verdicts)

    async def _supplied(self, commands: Sequence[IssuerCommand]) -> list[Command]:
        """Return `commands` with the codes that external sources gave for them."""
        issues = [command for command in commands if isinstance(command, IssueCoupons)]
        supplied = iter(await self._external.supply(issues, self._campaigns))
        return [next(supplied) if isinstance(command, IssueCoupons) else command for command in commands]

    async def _refresh(self) -> None:
        """Refresh the campaigns: one look-up per batch. The index is rebuilt only after a change."""
        async with self._pool.acquire() as connection:
            campaigns = await self._cache.refresh(connection)
        if campaigns is not self._campaigns:
            self._campaigns, self._index = campaigns, MatchIndex(campaigns)


def _poisons(events: Sequence[ReceivedEvent], verdicts: Sequence[Verdict | Rejected]) -> list[Poison]:
    """Return the events with a rejected command, each once, with the reason of the first rejection."""
    found: dict[int, Poison] = {}
    for event, verdict in zip(events, verdicts, strict=True):
        if isinstance(verdict, Rejected):
            found.setdefault(id(event), Poison(event, verdict.error_class, verdict.text, is_bug=verdict.is_bug))
    return list(found.values())


def _count_refusals(verdicts: Sequence[Verdict | Rejected]) -> None:
    reasons = Counter(
        refused.reason for verdict in verdicts if isinstance(verdict, Verdict) for refused in verdict.refused[:1]
    )
    for reason, count in reasons.items():
        telemetry.REFUSED.labels(SERVICE, reason.value).inc(count)
