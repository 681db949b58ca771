"""Codes from external coupon APIs, fetched before the ledger decides and outside its transaction.

Each question is a row of `external_requests`: written and committed before the API is called, completed and committed
after. A batch that is delivered again finds the answers it already has and asks only what is still open, under the same
Idempotency-Key. Why this neither loses nor doubles: docs/decisions/0010-external-codes.md.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import httpx

from services.issuer.sources.coupon_api import Answer, ApiLimits, ask
from shared.domain.model.campaign import Campaign, Source
from shared.domain.model.commands import IssueCoupons
from shared.domain.model.ids import derived_id
from shared.ledger.database import Pool
from shared.ledger.sql import sql
from shared.ledger.stored_definitions import decrypted_headers
from shared.runtime.encryption import DamagedSecretError
from shared.runtime.logging import bound, get_logger

log = get_logger("issuer")

PACKAGE: Final = "services.issuer"

_Pair = tuple[str, str]
"""(command id, campaign id)"""


class SourcesTooSlowError(Exception):
    """Not everything could be asked in one batch's time. What was answered is kept; the rest is asked the next time."""


@dataclass(frozen=True, slots=True)
class _Question:
    command_id: str
    campaign_id: str
    idempotency_key: str
    source: Source
    email: str
    event_id: str
    problem: str | None
    """why it isn't asked; None where it is"""


class ExternalCodes:
    """Asks external sources for the codes that a batch of commands needs.

    At most `concurrency` calls run at a time. After `batch_seconds` no further call is begun, so a batch takes no
    longer than that and one call's `limits.total_seconds` together.
    """

    def __init__(
        self, pool: Pool, client: httpx.AsyncClient, limits: ApiLimits, *, concurrency: int, batch_seconds: float
    ) -> None:
        self._pool = pool
        self._client = client
        self._limits = limits
        self._concurrency = concurrency
        self._batch_seconds = batch_seconds

    async def supply(
        self, commands: Sequence[IssueCoupons], campaigns: Mapping[str, Campaign]
    ) -> Sequence[IssueCoupons]:
        """The same commands, with `external_codes` filled in. A campaign missing there got no code from its source.

        Raises SourcesTooSlowError where time ran out; asking again goes on where this left off.
        """
        wanted = _wanted(commands, campaigns)
        if not wanted:
            return commands
        codes = await self._codes(await self._still_wanted(wanted, campaigns))
        if not codes:
            return commands
        return [_with_codes(command, codes) for command in commands]

    async def _still_wanted(
        self, wanted: Mapping[_Pair, IssueCoupons], campaigns: Mapping[str, Campaign]
    ) -> list[_Question]:
        rows = await self._pool.fetch(
            sql("external_codes_wanted", PACKAGE),
            [command_id for command_id, _ in wanted],
            [campaign_id for _, campaign_id in wanted],
            [command.natural_key for command in wanted.values()],
        )
        now = {(row["command_id"], row["campaign_id"]): row["decided_at"] for row in rows}
        questions: dict[str, _Question] = {}
        for pair, command in wanted.items():
            campaign = campaigns[pair[1]]
            if pair not in now or not _in_window(campaign, command.at, now[pair]):
                continue
            key = idempotency_key(command, campaign.campaign_id)
            # The same occasion twice in a batch is one question, of the first: that is the one the ledger issues for.
            email = (command.customer.email or "").strip()
            source, problem = _readable(campaign)
            questions.setdefault(key, _Question(*pair, key, source, email, command.cause.id, problem))
        return list(questions.values())

    async def _codes(self, questions: Sequence[_Question]) -> dict[_Pair, str]:
        if not questions:
            return {}
        rows = await self._pool.fetch(
            sql("external_requests_open", PACKAGE),
            [question.command_id for question in questions],
            [question.campaign_id for question in questions],
            [question.idempotency_key for question in questions],
        )
        by_pair = {(question.command_id, question.campaign_id): question for question in questions}
        codes: dict[_Pair, str] = {}
        unanswered: list[_Question] = []
        for row in rows:
            pair = (row["command_id"], row["campaign_id"])
            if row["status"] == "asked":
                unanswered.append(replace(by_pair[pair], idempotency_key=str(row["idempotency_key"])))
            elif row["code"] is not None:
                codes[pair] = row["code"]
        codes.update(await self._ask_all(unanswered))
        return codes

    async def _ask_all(self, questions: Sequence[_Question]) -> dict[_Pair, str]:
        loop = asyncio.get_running_loop()
        last_start = loop.time() + self._batch_seconds
        codes: dict[_Pair, str] = {}
        # In waves, so that answers are noted by one statement each wave and none waits long to be safe.
        for start in range(0, len(questions), self._concurrency):
            if loop.time() > last_start:
                raise SourcesTooSlowError(
                    f"External sources answered {start} of {len(questions)} questions in {self._batch_seconds:g} s."
                )
            wave = questions[start : start + self._concurrency]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(question)) for question in wave]
            codes.update(await self._note(wave, [task.result() for task in tasks]))
        return codes

    async def _ask(self, question: _Question) -> Answer:
        with bound(event_id=question.event_id, campaign_id=question.campaign_id):
            answer = Answer(None, question.problem)
            if question.problem is None:
                answer = await ask(
                    self._client, question.source, question.email, question.idempotency_key, self._limits
                )
            if answer.code is None:
                log.warning("an external source gave no code", problem=answer.error)
        return answer

    async def _note(self, questions: Sequence[_Question], answers: Sequence[Answer]) -> dict[_Pair, str]:
        rows = await self._pool.fetch(
            sql("external_requests_answer", PACKAGE),
            [question.command_id for question in questions],
            [question.campaign_id for question in questions],
            ["refused" if answer.code is None else "answered" for answer in answers],
            [answer.code for answer in answers],
            [answer.error for answer in answers],
        )
        return {(row["command_id"], row["campaign_id"]): row["code"] for row in rows if row["code"] is not None}


def idempotency_key(command: IssueCoupons, campaign_id: str) -> str:
    """The key (a UUID) under which a source is asked: the same for one occasion, whatever event id it comes under."""
    return derived_id("external", command.natural_key or command.command_id, campaign_id)


def _wanted(commands: Iterable[IssueCoupons], campaigns: Mapping[str, Campaign]) -> dict[_Pair, IssueCoupons]:
    """What would have to be asked, as far as can be told without the ledger."""
    return {
        (command.command_id, campaign_id): command
        for command in commands
        if command.customer.email and command.customer.email.strip()
        for campaign_id in command.campaign_ids
        if (campaign := campaigns.get(campaign_id)) is not None
        and campaign.source.kind == "external"
        and campaign.status == "active"
    }


def _readable(campaign: Campaign) -> tuple[Source, str | None]:
    """The campaign's source with its headers decrypted, or why they are damaged.

    Raises EncryptionError where a key is missing, before anything is noted or asked.
    """
    try:
        headers = decrypted_headers(campaign.campaign_id, dict(campaign.source.headers))
    except DamagedSecretError as error:
        return campaign.source, str(error)
    return replace(campaign.source, headers=tuple(headers.items())), None


def _in_window(campaign: Campaign, at: datetime | None, now: datetime) -> bool:
    moment = now if at is None else min(at, now)
    starts_at, ends_at = campaign.window.starts_at, campaign.window.ends_at
    return (starts_at is None or starts_at <= moment) and (ends_at is None or moment < ends_at)


def _with_codes(command: IssueCoupons, codes: Mapping[_Pair, str]) -> IssueCoupons:
    found = tuple(
        (campaign_id, codes[pair])
        for campaign_id in command.campaign_ids
        if (pair := (command.command_id, campaign_id)) in codes
    )
    return replace(command, external_codes=found) if found else command
