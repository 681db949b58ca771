"""Import of existing codes as a stream: CSV, NDJSON, or one code per line.

Lines are read and written in chunks of 1,000; a chunk is added whole or not at all. Codes that were imported before
count as existing, so the same stream can be sent again from any line.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import Query, Request, Response

from schemas.common import MAX_ID_LENGTH
from services.gateway import tenants
from services.gateway.gateway import CHANNEL, Gateway, refusal
from services.gateway.guard import STREAMED, CanIssue, CurrentGateway
from services.gateway.native import new_router
from services.gateway.native.bodies import Body
from services.gateway.native.openapi import responses_of
from services.gateway.native.parameters import Name
from services.gateway.native.responses import ProblemAnswer, json_response
from services.gateway.problems import Problem
from shared.domain.model.commands import MAX_CREATED, CreateCoupons
from shared.domain.model.reasons import Reason
from shared.ledger.code_files import CodeFileError, CodeLine, CodeReader, checked_code
from shared.ledger.pools import import_codes

router = new_router("coupons")

MAX_LINE_BYTES: Final = 64 * 1024
EXAMPLES: Final = {
    "text/csv": "code\nA-1\nA-2\n",
    "application/x-ndjson": '{"code": "A-1"}\n{"code": "A-2"}\n',
    "text/plain": "A-1\nA-2\n",
}
"""Media type → an example body. The bodies are bytes for OpenAPI and have no schema."""


class ImportAnswer(Body):
    """The number of added codes and of codes that existed. `next_line`: the line at which the stream would continue."""

    added: int
    existing: int
    next_line: int


class ImportProblemAnswer(ProblemAnswer):
    """A problem, possibly of one `line`. `added` and `existing` count earlier lines; continue at `next_line`."""

    line: int | None = None
    added: int | None = None
    existing: int | None = None
    next_line: int | None = None


@dataclass
class Progress:
    """The progress of an import. `line`: the current line of the whole stream, from 1."""

    pooled: bool
    added: int = 0
    existing: int = 0
    line: int = 0
    chunk_line: int = 1
    chunk: list[str] = field(default_factory=list)

    def problem(self, detail: str) -> Problem:
        """Return the problem of the current line. Nothing of its chunk was added."""
        details = {"line": self.line, "added": self.added, "existing": self.existing, "next_line": self.chunk_line}
        return Problem(
            422, "invalid_request", f"line {self.line}: {detail} Correct it and send the stream again with "
            f"?from_line={self.chunk_line}, or from its beginning.",
            details=details,
        )  # fmt: skip


@router.post(
    "/campaigns/{campaign_id}/codes/import",
    summary="Import existing codes",
    openapi_extra={
        STREAMED: True,
        "requestBody": {
            "required": True,
            "content": {kind: {"example": example} for kind, example in EXAMPLES.items()},
        },
    },
    responses=responses_of(ImportAnswer, refused=ImportProblemAnswer),
)
async def import_stream(
    request: Request,
    campaign_id: Name,
    gateway: CurrentGateway,
    _: CanIssue,
    from_line: Annotated[int, Query(ge=1, le=2**31 - 1, description="skip the lines before this one")] = 1,
    column: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=MAX_ID_LENGTH,
            description="the column that holds the codes: its name in the first line, or its number; by default `code`",
        ),
    ] = None,
) -> Response:
    """Add codes to the campaign's pool, or, without a pool, as coupons that can be used at once.

    CSV may be separated by commas, semicolons or tabs. A first line that looks like a header without a column `code` is
    an error that asks for `column`.
    """
    kind = request.headers.get("content-type", "text/csv").partition(";")[0].strip().lower()
    if kind not in EXAMPLES:
        raise Problem(415, "unsupported_media_type", f"The body is {kind}; send {', '.join(EXAMPLES)}.")
    found = await tenants.campaign(gateway, campaign_id)
    if found is None:
        raise Problem(404, "not_found", f"Campaign {campaign_id!r} doesn't exist.")
    progress = Progress(pooled=found.definition.source.kind == "pool")
    if kind == "application/x-ndjson":
        await _import_json(request, gateway, campaign_id, progress, from_line)
    else:
        reader = CodeReader("csv" if kind == "text/csv" else "plain", column, from_line)
        await _import_text(request, gateway, campaign_id, progress, reader)
    await _write(gateway, campaign_id, progress)
    return json_response({"added": progress.added, "existing": progress.existing, "next_line": progress.line + 1})


async def _import_text(
    request: Request, gateway: Gateway, campaign_id: str, progress: Progress, reader: CodeReader
) -> None:
    """Add the codes of CSV, or of a list. Raises a Problem."""
    try:
        async for piece in request.stream():
            for found in reader.feed(piece):
                await _add(gateway, campaign_id, progress, found)
        for found in reader.close():
            await _add(gateway, campaign_id, progress, found)
    except CodeFileError as error:
        progress.line = error.line
        raise progress.problem(str(error)) from None
    if not reader.codes:
        what = "The body has a header and no codes" if reader.has_header else "The body is empty"
        raise Problem(422, "invalid_request", f"{what}; send one code per line.")
    progress.line = reader.line
    if not progress.chunk:
        progress.chunk_line = reader.line + 1


async def _add(gateway: Gateway, campaign_id: str, progress: Progress, found: CodeLine) -> None:
    if not progress.chunk:
        progress.chunk_line = found.line
    progress.line = found.next_line - 1
    progress.chunk.append(found.code)
    if len(progress.chunk) == MAX_CREATED:
        await _write(gateway, campaign_id, progress)


async def _import_json(
    request: Request, gateway: Gateway, campaign_id: str, progress: Progress, from_line: int
) -> None:
    """Add the codes of JSON lines. Raises a Problem."""
    async for raw in _lines(request, progress):
        text = _text(raw, progress)
        if progress.line < from_line or not text.strip():
            if not progress.chunk:
                progress.chunk_line = progress.line + 1
            continue
        progress.chunk.append(_code(text, progress))
        if len(progress.chunk) == MAX_CREATED:
            await _write(gateway, campaign_id, progress)
    if not progress.line:
        raise Problem(422, "invalid_request", "The body is empty; send one code per line.")


async def _lines(request: Request, progress: Progress) -> AsyncIterator[bytes]:
    """Yield and count the lines of the stream. Only one line and the chunk that it arrived in are in memory."""
    remainder = b""
    async for arrived in request.stream():
        *whole, remainder = (remainder + arrived).split(b"\n")
        for line in whole:
            progress.line += 1
            yield line
        if len(remainder) > MAX_LINE_BYTES:
            progress.line += 1
            raise progress.problem(f"is longer than {MAX_LINE_BYTES:,} bytes.")
    if remainder:
        progress.line += 1
        yield remainder


def _text(raw: bytes, progress: Progress) -> str:
    try:
        text = raw.decode("utf-8-sig" if progress.line == 1 else "utf-8")
    except UnicodeDecodeError:
        raise progress.problem("is not valid UTF-8.") from None
    if len(raw) > MAX_LINE_BYTES:
        raise progress.problem(f"is longer than {MAX_LINE_BYTES:,} bytes.")
    return text


def _code(text: str, progress: Progress) -> str:
    """Return the code of a line of JSON. Raises a Problem with the line number."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise progress.problem("is not valid JSON.") from None
    code = document.get("code") if isinstance(document, dict) else document
    if not isinstance(code, str):
        raise progress.problem('has no code; write {"code": "A-1"}, or "A-1".')
    if len(code.splitlines()) > 1:
        raise progress.problem("has a line break inside its code; write one code per line.")
    try:
        code.encode()
        return checked_code(code)
    except UnicodeEncodeError:
        raise progress.problem("has an incomplete character (a single surrogate).") from None
    except ValueError as error:
        raise progress.problem(str(error)) from None


async def _write(gateway: Gateway, campaign_id: str, progress: Progress) -> None:
    """Add the current chunk. Raises a Problem if the campaign refuses it."""
    codes = tuple(progress.chunk)
    if not codes:
        return
    if progress.pooled:
        added, left_out = await import_codes(gateway.pool, campaign_id, codes)
        progress.added += added
        progress.existing += len(left_out)
    else:
        # A new command id each time, so that a chunk that was added before is reported as existing.
        command = CreateCoupons(f"/couponry/import {uuid4()}", campaign_id, codes=codes, channel=CHANNEL)
        verdict = await gateway.execute(command)
        if not verdict.accepted and any(one.reason is not Reason.CODE_TAKEN for one in verdict.refused):
            raise refusal(verdict)
        progress.added += len(verdict.accepted)
        progress.existing += len(codes) - len(verdict.accepted)
    progress.chunk.clear()
    progress.chunk_line = progress.line + 1
