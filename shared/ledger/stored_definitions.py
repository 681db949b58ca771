"""Store campaign definitions: the values of `source.headers` are encrypted, everything else is plain JSON.

Values stay encrypted in caches and lists; the issuer decrypts them when it calls the source. Encrypting a value twice
gives different texts, so saving keeps the stored text of an unchanged header, and the campaign stays unchanged.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from schemas.campaigns import CampaignDefinition
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import Connection, Pool
from shared.ledger.rotation import Piece
from shared.ledger.sql import sql
from shared.runtime.encryption import DamagedSecretError, EncryptionError, Keyring, is_encrypted, keyring

PAGE: Final = 500


def about(campaign_id: str, header: str) -> str:
    """Return the name of the header's place, which its encryption authenticates."""
    return f"campaign {campaign_id!r}, source header {header!r}"


def decrypted_headers(campaign_id: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return a source's headers decrypted. Raises EncryptionError."""
    keys = keyring()
    return {name: keys.decrypt(value, about(campaign_id, name)) for name, value in headers.items()}


def readable(definition: CampaignDefinition) -> CampaignDefinition:
    """Return `definition` with decrypted headers; if a key is missing, they stay encrypted."""
    if not any(map(is_encrypted, definition.source.headers.values())):
        return definition
    try:
        return _with_headers(definition, decrypted_headers(definition.campaign_id, definition.source.headers))
    except EncryptionError:
        return definition


async def stored_texts(
    connection: Connection, definitions: Sequence[CampaignDefinition], *, only_compared: bool = False
) -> list[str]:
    """Return the JSON to store for each of `definitions`; unchanged headers keep their stored text.

    `only_compared`: nothing will be stored, so new headers stay plain. Raises EncryptionError.
    """
    secret = [definition for definition in definitions if definition.source.headers]
    if not secret:
        return [definition.model_dump_json() for definition in definitions]
    records = await connection.fetch(sql("campaigns_headers"), [definition.campaign_id for definition in secret])
    stored = {record["campaign_id"]: orjson.loads(record["headers"]) for record in records}
    keys = keyring()
    return [
        _with_headers(
            definition,
            {
                name: _stored(
                    keys,
                    about(definition.campaign_id, name),
                    value,
                    stored.get(definition.campaign_id, {}).get(name),
                    only_compared=only_compared,
                )
                for name, value in definition.source.headers.items()
            },
        ).model_dump_json()
        for definition in definitions
    ]


def _stored(keys: Keyring, place: str, value: str, stored: str | None, *, only_compared: bool) -> str:
    if stored is not None and _is_same(keys, place, value, stored):
        return stored
    if is_encrypted(value):
        raise EncryptionError(f"{place}: the value was encrypted for another place. Give the header's plain value.")
    return value if only_compared else keys.encrypt(value, place)


def _is_same(keys: Keyring, place: str, value: str, stored: str) -> bool:
    """Return whether `value` equals the stored one: as plain text, or as the stored text if the key was missing."""
    if value == stored:
        return True
    try:
        return is_encrypted(stored) and keys.decrypt(stored, place) == value
    except EncryptionError:
        return False


def _with_headers(definition: CampaignDefinition, headers: dict[str, str]) -> CampaignDefinition:
    return definition.model_copy(update={"source": definition.source.model_copy(update={"headers": headers})})


async def check_readable(pool: Pool) -> None:
    """Raise EncryptionError if a key is missing for any source's headers. Ignore damaged headers."""
    after = ""
    while records := await pool.fetch(sql("campaigns_headers_page"), after, PAGE):
        for record in records:
            with contextlib.suppress(DamagedSecretError):
                decrypted_headers(record["campaign_id"], orjson.loads(record["headers"]))
        after = records[-1]["campaign_id"]


async def rotate_piece(pool: Pool, after: str | None, size: int) -> Piece[str]:
    """Encrypt the headers of at most `size` campaigns, those after `after`, under the first key.

    Raises EncryptionError if a key is missing; earlier pieces remain.
    """
    keys = keyring()
    changed: list[tuple[str, str, str]] = []
    damaged: list[str] = []
    async with pool.acquire() as connection, connection.transaction():
        # Saving a campaign keeps the stored text of its headers, so no save may run at the same time.
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        records = await connection.fetch(sql("campaigns_headers_page"), after or "", size)
        for campaign_id, text in records:
            before = orjson.loads(text)
            try:
                now = {name: keys.renewed(value, about(campaign_id, name)) for name, value in before.items()}
            except DamagedSecretError as error:
                damaged.append(str(error))
                continue
            if now != before:
                changed.append((campaign_id, text, orjson.dumps(now).decode()))
        if changed:
            columns = [list(column) for column in zip(*changed, strict=True)]
            await connection.execute(sql("campaigns_headers_replace"), *columns)
    last = records[-1]["campaign_id"] if records else None
    return Piece(last, len(records), len(changed), 0, tuple(damaged))
