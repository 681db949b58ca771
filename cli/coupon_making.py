"""Read codes from files, and create many coupons from them or from a campaign's pattern."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import typer

from cli.connect import ledger
from cli.errors import CommandFailedError, UsageProblemError
from cli.executing import SOURCE, hint_to_repeat
from cli.files import InputFile
from cli.output import count
from shared.domain.coupons import code_patterns as patterns
from shared.domain.model.commands import MAX_CREATED, CreateCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger import queries
from shared.ledger.code_files import CodeFileError, CodeReader
from shared.ledger.database import Pool
from shared.ledger.definitions import to_domain
from shared.ledger.engine import Engine, Rejected
from shared.ledger.pools import import_codes
from shared.runtime.printable import printable


def read_codes(file: InputFile, column: str | None = None) -> list[str]:
    """Return the codes in `file`: one per line, or a column of a CSV file; by default, the column `code`.

    Raises CommandFailedError with the line.
    """
    name = file.name.lower().removesuffix(".gz")
    reader = CodeReader("csv" if name.endswith((".csv", ".tsv")) else "plain", column, option="--column ")
    try:
        codes = [found.code for piece in file.pieces() for found in reader.feed(piece)]
        codes += [found.code for found in reader.close()]
    except CodeFileError as error:
        raise CommandFailedError(f"{file.name}, line {error.line}: {error}") from None
    if not codes:
        header = ", only a header" if reader.has_header else ""
        raise CommandFailedError(f"{file.name} has no codes{header}; write one per line.")
    return codes


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """Open `path` to overwrite it, or standard output for None. Raises UsageProblemError."""
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageProblemError(f"{path} can't be written: {error.strerror or error}.") from None
    try:
        yield file
    finally:
        with suppress(OSError):  # all codes were flushed, and a failed write has been reported
            file.close()


def _write(output: IO[str], codes: Iterable[str], short_id: str) -> None:
    try:
        output.writelines(f"{printable(code) if output.isatty() else code}\n" for code in codes)
        output.flush()
    except OSError as error:
        raise CommandFailedError(
            f"The codes can't be written ({error.strerror or error}). Nothing is lost: the same command with "
            f"--id {short_id} prints them again."
        ) from None


async def create_coupons(campaign_id: str, number: int, short_id: str, output: IO[str]) -> None:
    """Create `number` coupons and write their codes to `output` as they are committed. Raises CommandFailedError."""
    async with ledger() as pool:
        await _check_pattern(pool, campaign_id, number)
        engine, made = Engine(pool), 0
        for part, start in enumerate(range(0, number, MAX_CREATED)):
            size = min(MAX_CREATED, number - start)
            command = CreateCoupons(f"{SOURCE} {short_id}/{part}", campaign_id, size)
            with hint_to_repeat(short_id):
                verdict = await _executed(engine, command, f"Created before: {count(made, 'coupon')}.")
            _write(output, [coupon.code for coupon in verdict.accepted], short_id)
            made += len(verdict.accepted)
            typer.echo(f"{made:,} of {count(number, 'coupon')} created.", err=True)


async def _check_pattern(pool: Pool, campaign_id: str, number: int) -> None:
    """Refuse a number of coupons that would make codes easy to guess. The engine checks everything else."""
    async with pool.acquire() as connection:
        found = await queries.campaign(connection, campaign_id)
    if found is None:
        raise CommandFailedError(f"There is no campaign {campaign_id!r}; load it first.")
    campaign = to_domain(found.definition, 0)
    if campaign.source.kind == "generated" and campaign.code.shared_code is None:
        try:
            patterns.check(campaign.code.pattern, campaign.code.charset, number)
        except patterns.CodePatternError as error:
            raise CommandFailedError(str(error)) from error


async def import_coupons(campaign_id: str, codes: Sequence[str], short_id: str) -> tuple[int, list[str]]:
    """Add `codes` to the pool of a campaign that has one, else as coupons that can be used at once.

    Returns the number of added codes, and the codes left out because they exist already. Raises CommandFailedError.
    """
    async with ledger() as pool:
        async with pool.acquire() as connection:
            campaign = await queries.campaign(connection, campaign_id)
        if campaign is None:
            raise CommandFailedError(f"There is no campaign {campaign_id!r}; load it first.")
        if campaign.definition.source.kind == "pool":
            return await import_codes(pool, campaign_id, codes)
        engine, added = Engine(pool), 0
        left_out: list[str] = []
        for part, start in enumerate(range(0, len(codes), MAX_CREATED)):
            chunk = tuple(codes[start : start + MAX_CREATED])
            command = CreateCoupons(f"{SOURCE} {short_id}/{part}", campaign_id, codes=chunk)
            verdict = await _executed(engine, command, f"Added before it: {count(added, 'code')} of the file.")
            added += len(verdict.accepted)
            left_out += [refused.code for refused in verdict.refused if refused.code is not None]
        return added, left_out


async def _executed(engine: Engine, command: CreateCoupons, before: str) -> Verdict:
    """Return the verdict. If all of it is refused, raises CommandFailedError with a message that ends with `before`."""
    [result] = await engine.execute([command])
    if isinstance(result, Rejected):
        raise CommandFailedError(f"{result.text} {before}")
    for refused in result.refused:
        if refused.reason != Reason.CODE_TAKEN:
            raise CommandFailedError(f"{refused.message} {before}")
    return result
