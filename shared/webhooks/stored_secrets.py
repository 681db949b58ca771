"""Endpoints' secrets at rest: check that this process can read them, and encrypt them under another key."""

from typing import Any, Final
from uuid import UUID

from shared.ledger.database import Pool
from shared.ledger.rotation import Piece
from shared.ledger.sql import sql
from shared.runtime.encryption import DamagedSecretError, keyring
from shared.webhooks.endpoints import SQL_PACKAGE, about

FIRST: Final = UUID(int=0)
PAGE: Final = 500


async def check_readable(pool: Pool) -> None:
    """Raise EncryptionError if the key of any endpoint's secret is missing. Damaged ones are skipped."""
    keys, after = keyring(), FIRST
    while records := await pool.fetch(sql("secrets_page", SQL_PACKAGE), after, PAGE):
        for record in records:
            for stored in (record["secret"], record["previous_secret"]):
                try:
                    keys.decrypt(stored or "", about(record["endpoint_id"]))
                except DamagedSecretError:
                    continue
        after = records[-1]["endpoint_id"]


async def rotate_piece(pool: Pool, after: UUID | None, size: int) -> Piece[UUID]:
    """Encrypt the secrets of at most `size` endpoints, those after `after`, under the first key.

    Raises EncryptionError if a key is missing; earlier pieces stay done.
    """
    records = await pool.fetch(sql("secrets_page", SQL_PACKAGE), after or FIRST, size)
    changed: list[tuple[Any, ...]] = []
    damaged: list[str] = []
    keys = keyring()
    for record in records:
        place, before = about(record["endpoint_id"]), (record["secret"], record["previous_secret"])
        try:
            now = tuple(None if secret is None else keys.renewed(secret, place) for secret in before)
        except DamagedSecretError as error:
            damaged.append(str(error))
            continue
        if now != before:
            changed.append((record["endpoint_id"], *before, *now))
    status = "0"
    if changed:
        columns = [list(column) for column in zip(*changed, strict=True)]
        status = await pool.execute(sql("secrets_replace", SQL_PACKAGE), *columns)
    done = int(status.rpartition(" ")[2])
    last = records[-1]["endpoint_id"] if records else None
    return Piece(last, len(records), done, len(changed) - done, tuple(damaged))
