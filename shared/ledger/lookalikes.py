"""Warn of shared codes that look alike, such as SAVE10 with a Latin and a Cyrillic A, and of codes that mix scripts.

The data is Unicode's (UTS #39), from the package confusable-homoglyphs. It is loaded when it is first needed: only
loading and planning campaigns need it.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from schemas.campaigns import CampaignDefinition
from shared.domain.model.coupon import code_key
from shared.ledger.database import Connection
from shared.ledger.sql import sql

MAX_COMPARED: Final = 10_000
"""Shared codes of the ledger that are compared, those changed last first: a tenth of a second."""

MAX_WARNINGS: Final = 20
"""Warnings for one campaign."""

_USED_TOGETHER: Final = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"},
    {"LATIN", "HAN", "BOPOMOFO"},
    {"LATIN", "HAN", "HANGUL"},
)
"""Scripts that one language writes together (UTS #39, highly restrictive)."""

_ANY_SCRIPT: Final = {"COMMON", "INHERITED", "Unknown"}

Owned = tuple[str, str]
"""(campaign id, shared code)"""


async def warnings(
    connection: Connection, definitions: Sequence[CampaignDefinition], groups: Sequence[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return warnings by campaign id about shared codes, compared with each other and with those of the ledger.

    `groups`: only campaigns of these groups are compared and named.
    """
    new = shared_codes(definitions)
    if not new:
        return {}
    ids = [definition.campaign_id for definition in definitions]
    records = await connection.fetch(sql("shared_codes_listed"), ids, MAX_COMPARED, groups)
    return await asyncio.to_thread(compare, new, [(record[0], record[1]) for record in records])


def shared_codes(definitions: Sequence[CampaignDefinition]) -> list[Owned]:
    """Return the shared codes of campaigns that aren't archived."""
    return [
        (definition.campaign_id, definition.code.shared_code)
        for definition in definitions
        if definition.code.shared_code is not None and definition.status != "archived"
    ]


def compare(new: Sequence[Owned], existing: Sequence[Owned] = ()) -> dict[str, tuple[str, ...]]:
    """Return warnings by campaign id for `new` codes that look like an earlier or existing one, or mix scripts."""
    seen: dict[str, Owned] = {}
    for owned in existing:
        for skeleton in _skeletons(owned[1]):
            seen.setdefault(skeleton, owned)
    found: dict[str, tuple[str, ...]] = {}
    for owned in new:
        if sentences := [*_about(owned, seen)][:MAX_WARNINGS]:
            found[owned[0]] = tuple(sentences)
    return found


def _about(owned: Owned, seen: dict[str, Owned]) -> Iterator[str]:
    _, code = owned
    named: set[str] = set()
    for skeleton in _skeletons(code):
        other_campaign, other = seen.setdefault(skeleton, owned)
        if (
            code_key(other) != code_key(code)
            and other_campaign not in named
            and not _is_only_lower(skeleton, code, other)
        ):
            named.add(other_campaign)
            yield (
                f"code.shared_code: {code!r} looks like {other!r} of campaign {other_campaign!r}, and customers may "
                "type one for the other; choose a code that looks different."
            )
    if scripts := mixed_scripts(code):
        yield (
            f"code.shared_code: {code!r} mixes the scripts {' and '.join(scripts)}, so customers may not be able to "
            "type it; type it again with one keyboard layout."
        )


def _is_only_lower(skeleton: str, code: str, other: str) -> bool:
    """Return whether two plain codes are similar in lower case only, as every L and 1 are."""
    return skeleton.startswith("lower ") and code.isascii() and other.isascii()


def mixed_scripts(code: str) -> list[str]:
    """Return the names of a code's scripts if no language writes them together, else nothing."""
    from confusable_homoglyphs import categories  # noqa: PLC0415 - loads a table

    scripts = categories.unique_aliases(code_key(code)) - _ANY_SCRIPT
    if len(scripts) < 2 or any(scripts <= together for together in _USED_TOGETHER):
        return []
    return sorted(script.title() for script in scripts)


def _skeletons(code: str) -> tuple[str, str]:
    """Return the forms that codes which look alike share: in upper case and in lower case."""
    key = code_key(code)
    return f"upper {_skeleton(key)}", f"lower {_skeleton(key.lower())}"


def _skeleton(text: str) -> str:
    return "".join(map(_looks_like, text))


@lru_cache(maxsize=4_096)
def _looks_like(character: str) -> str:
    """Return the first of all characters that look like this one, directly or through another."""
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415 - loads a table of a megabyte

    alike, waiting = {character}, [character]
    while waiting:
        for entry in confusables_data.get(waiting.pop(), ()):
            other = entry["c"].strip("\u200e")
            if len(other) == 1 and other not in alike:
                alike.add(other)
                waiting.append(other)
    return min(alike)
