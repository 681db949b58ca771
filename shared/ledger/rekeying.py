"""Make the keys of stored coupons again, after a version of Couponry or of Unicode that makes other keys.

Runs as part of `couponry migrate`. Only keys with a blank or a character outside ASCII can differ, and an index has
those. Pages are committed one by one, so an interrupted run is continued by the next one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from shared.domain.model.coupon import code_key
from shared.ledger.sql import sql

PAGE: Final = 1_000
MAX_TRIES: Final = 8
"""Tries of one page: services may lock or insert the same codes at the same time."""

MAX_REPORTED: Final = 20
_BEGINNING: Final = "00000000-0000-0000-0000-000000000000"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Row:
    """A coupon as `rekey_lock` reads it. `campaign_status` is None if the campaign doesn't exist."""

    coupon_id: str
    code: str
    code_key: str
    status: str
    issued_at: datetime | None
    campaign_status: str | None

    def rank(self) -> tuple[bool, bool, bool, datetime, str]:
        """Return a sort key: of coupons with one key, the first keeps it. Usable ones come first, then older ones."""
        return (
            self.status == "voided",
            self.campaign_status in (None, "archived"),
            self.status == "pooled",
            self.issued_at or _NEVER,
            self.coupon_id,
        )


def rekey(connection: psycopg.Connection[Any], report: Callable[[str], None]) -> None:
    """Make keys again where they differ. `report` gets a sentence for each coupon that lost its code to another.

    The connection must be in autocommit mode, with raw cursors and the ledger's schema in its search path.
    """
    changed, after = 0, _BEGINNING
    while rows := connection.execute(sql("rekey_find"), (after, PAGE)).fetchall():
        after = rows[-1][0]
        differing = [(coupon_id, key) for coupon_id, code, old in rows if (key := code_key(code or old)) != old]
        if differing:
            changed += _rekey_page(connection, differing)
    if changed:
        report(f"The keys of {changed:,} {'code' if changed == 1 else 'codes'} were made again.")
    lost = connection.execute(sql("rekey_lost"), (MAX_REPORTED + 1,)).fetchall()
    for record in lost[:MAX_REPORTED]:
        report(_sentence(*record))
    if len(lost) > MAX_REPORTED:
        report("There are more such codes; give these others first, then run `couponry migrate` again.")


def _sentence(code: str, campaign_id: str, owner: str, owner_campaign: str, invisible: bool) -> str:
    if invisible:
        return (
            f"The code {code!r} of campaign {campaign_id!r} can't be used any more: none of its characters can be "
            f"seen. Give its customers another code, then archive the campaign or void the coupon."
        )
    return (
        f"The code {code!r} of campaign {campaign_id!r} can't be used any more: it is the same code as {owner!r} of "
        f"campaign {owner_campaign!r}, which is older and keeps it. Give the customers of {campaign_id!r} another code "
        "(`couponry coupons create`, or another shared_code); what was redeemed stays redeemed. This is repeated until "
        "that campaign is archived."
    )


def _rekey_page(connection: psycopg.Connection[Any], differing: Sequence[tuple[str, str]]) -> int:
    for remaining in reversed(range(MAX_TRIES)):
        try:
            with connection.transaction():
                return _write(connection, dict(differing))
        except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation, psycopg.errors.LockNotAvailable):
            if not remaining:
                raise
    return 0


def _write(connection: psycopg.Connection[Any], new_keys: dict[str, str]) -> int:
    """Give each coupon its new key; of several with one key, the first by `_Row.rank`."""
    records = connection.execute(sql("rekey_lock"), (list(new_keys), sorted(set(new_keys.values())))).fetchall()
    rows = [row for record in records if (row := _Row(*record)).code_key is not None]
    by_key: dict[str, list[_Row]] = {}
    for row in sorted(rows, key=_Row.rank):
        by_key.setdefault(new_keys.get(row.coupon_id, row.code_key), []).append(row)
    changes = list(_changes(by_key))
    if changes:
        connection.execute(sql("rekey_vacate"), ([change[0] for change in changes],))
        connection.execute(sql("rekey_write"), [list(column) for column in zip(*changes, strict=True)])
    return len(changes)


def _changes(by_key: dict[str, list[_Row]]) -> Iterable[tuple[str, str | None, str | None, str | None]]:
    """Yield (coupon id, code key, freed key, the coupon that has the key instead) for each coupon that changes."""
    for key, (first, *others) in by_key.items():
        if not key:
            yield from ((row.coupon_id, None, None, row.coupon_id) for row in (first, *others))
            continue
        if first.code_key != key:
            yield first.coupon_id, key, None, None
        yield from ((row.coupon_id, None, key, first.coupon_id) for row in others)
