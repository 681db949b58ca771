"""Request codes from external coupon APIs, before the ledger decides and outside its transaction.

Each request is a row of `external_requests`, committed before the API is called and completed in a second commit
afterwards. A retried batch reuses recorded results and sends only the open requests, with the same Idempotency-Key.
Why no code is lost or requested twice: docs/decisions/0010-external-codes.md.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import httpx

from services.issuer.sources.coupon_api import ApiLimits, CodeResult, request_code
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
    """A batch's time ended before all requests were sent. Recorded results are kept; the retry sends the others."""


@dataclass(frozen=True, slots=True)
class _CodeRequest:
    command_id: str
    campaign_id: str
    idempotency_key: str
    source: Source
    email: str
    event_id: str
    problem: str | None
    """why it isn't sent; None if it is"""


class ExternalCodes:
    """Requests the codes that a batch of commands needs from external sources.

    At most `concurrency` calls run at a time. No call is started after `batch_seconds`, so a batch takes at most
    `batch_seconds` plus one call's `limits.total_seconds`.
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
        """Return `commands` with `external_codes` filled in. A campaign missing there got no code from its source.

        Raises SourcesTooSlowError if the time is over; a second call continues where this one stopped.
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
    ) -> list[_CodeRequest]:
        rows = await self._pool.fetch(
            sql("external_codes_wanted", PACKAGE),
            [command_id for command_id, _ in wanted],
            [campaign_id for _, campaign_id in wanted],
            [command.natural_key for command in wanted.values()],
        )
        decided_at = {(row["command_id"], row["campaign_id"]): row["decided_at"] for row in rows}
        requests: dict[str, _CodeRequest] = {}
        for pair, command in wanted.items():
            campaign = campaigns[pair[1]]
            if pair not in decided_at or not _in_window(campaign, command.at, decided_at[pair]):
                continue
            key = idempotency_key(command, campaign.campaign_id)
            # One request per occasion: of duplicates in a batch, the ledger issues for the first.
            email = (command.customer.email or "").strip()
            source, problem = _decrypted_source(campaign)
            requests.setdefault(
                key,
                _CodeRequest(*pair, key, source, email=email, event_id=command.cause.id, problem=problem),
            )
        return list(requests.values())

    async def _codes(self, requests: Sequence[_CodeRequest]) -> dict[_Pair, str]:
        if not requests:
            return {}
        rows = await self._pool.fetch(
            sql("external_requests_open", PACKAGE),
            [request.command_id for request in requests],
            [request.campaign_id for request in requests],
            [request.idempotency_key for request in requests],
        )
        by_pair = {(request.command_id, request.campaign_id): request for request in requests}
        codes: dict[_Pair, str] = {}
        unanswered: list[_CodeRequest] = []
        for row in rows:
            pair = (row["command_id"], row["campaign_id"])
            if row["status"] == "asked":
                unanswered.append(replace(by_pair[pair], idempotency_key=str(row["idempotency_key"])))
            elif row["code"] is not None:
                codes[pair] = row["code"]
        codes.update(await self._send_all(unanswered))
        return codes

    async def _send_all(self, requests: Sequence[_CodeRequest]) -> dict[_Pair, str]:
        loop = asyncio.get_running_loop()
        last_start = loop.time() + self._batch_seconds
        codes: dict[_Pair, str] = {}
        # In waves: one statement records a wave's results, and no result waits long to be stored.
        for start in range(0, len(requests), self._concurrency):
            if loop.time() > last_start:
                raise SourcesTooSlowError(
                    f"External sources answered {start} of {len(requests)} requests in {self._batch_seconds:g} s."
                )
            wave = requests[start : start + self._concurrency]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._send(request)) for request in wave]
            codes.update(await self._record(wave, [task.result() for task in tasks]))
        return codes

    async def _send(self, request: _CodeRequest) -> CodeResult:
        with bound(event_id=request.event_id, campaign_id=request.campaign_id):
            result = CodeResult(None, request.problem)
            if request.problem is None:
                result = await request_code(
                    self._client, request.source, request.email, request.idempotency_key, self._limits
                )
            if result.code is None:
                log.warning("an external source gave no code", problem=result.error)
        return result

    async def _record(self, requests: Sequence[_CodeRequest], results: Sequence[CodeResult]) -> dict[_Pair, str]:
        rows = await self._pool.fetch(
            sql("external_requests_answer", PACKAGE),
            [request.command_id for request in requests],
            [request.campaign_id for request in requests],
            ["refused" if result.code is None else "answered" for result in results],
            [result.code for result in results],
            [result.error for result in results],
        )
        return {(row["command_id"], row["campaign_id"]): row["code"] for row in rows if row["code"] is not None}


def idempotency_key(command: IssueCoupons, campaign_id: str) -> str:
    """Return the Idempotency-Key (a UUID) of a request: the same for one occasion, even under several event ids."""
    return derived_id("external", command.natural_key or command.command_id, campaign_id)


def _wanted(commands: Iterable[IssueCoupons], campaigns: Mapping[str, Campaign]) -> dict[_Pair, IssueCoupons]:
    """Return the pairs that need a code, as far as is known without the ledger, with their commands."""
    return {
        (command.command_id, campaign_id): command
        for command in commands
        if command.customer.email and command.customer.email.strip()
        for campaign_id in command.campaign_ids
        if (campaign := campaigns.get(campaign_id)) is not None
        and campaign.source.kind == "external"
        and campaign.status == "active"
    }


def _decrypted_source(campaign: Campaign) -> tuple[Source, str | None]:
    """Return the campaign's source with its headers decrypted, or the source and why they are damaged.

    Raises EncryptionError if a key is missing, before anything is recorded or sent.
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
