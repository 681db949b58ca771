"""Writes docs/rules.md from what the code knows: every field with its example, every reason with its codes.

    python -m examples.rules.page            write the page
    python -m examples.rules.page --check    write nothing; exit 1 where the page isn't what would be written

The examples are the files beside this one, one a field. `couponry rehearse FILE` plays one; the tests play all of them,
in memory and on PostgreSQL.
"""

import re
import sys
import types
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.campaign_parts import Clock, MomentOrDay
from schemas.campaigns import CampaignDefinition
from schemas.common import Amount, Currency, Moment
from services.gateway.facades.vendor_codes import VENDOR_CODES, Vendor, VendorCodes
from shared.domain.model.reasons import SENTENCES, Reason

FOLDER: Final = Path(__file__).parent
VENDORS: Final[dict[Vendor, str]] = {
    "capillary": "Capillary",
    "gameball": "Gameball",
    "paddle": "Paddle",
    "voucherify": "Voucherify",
    "sitevibes": "SiteVibes",
}
MOST_LINKS: Final = 3
"""Examples named beside a reason: more say nothing more."""
_REFUSED: Final = re.compile(r"(?:is refused|gets nothing(?: of \S+)?): ([a-z_]+)")
PAGE: Final = FOLDER.parents[1] / "docs" / "rules.md"

HEAD: Final = """# Rules

Everything a campaign can say, each field with an example that runs, and every reason for a refusal. This page is
written by `python -m examples.rules.page`; the tests play every example on it, in memory and on a real PostgreSQL.

An example is a file of `examples/rules/`: campaigns, steps, and what comes of each step (`then`). Play one, or one of
your own; it needs no server, as the code that judges is the same:

    couponry rehearse examples/rules/discount.value.yaml

A step is one event: an `order`, or that it was `paid`, `cancelled` or `returned`; somebody `signed_up`, or earned a
`reward`. Other steps are a `campaign` as it is from then on, `codes` that are imported for one, and a code to `void`.
The fields of an event are those of `schemas/`. What is left out is filled in: customers are ann, orders in USD, steps
a minute apart from Monday 2026-06-01 12:00 UTC on; `placed_at` and its like move the clock, into the future as well.
`$1` is the first code that was issued, `$2` the second. `nothing` means that nobody is told of anything. With
`burn_on: paid` coupons are held until their order is paid, as by the setting of that name.

Why one code is or isn't good for one order on a real ledger: `couponry explain CODE --order FILE`. What becomes of
coupons when an order is paid, cancelled or returned: [the life of an order](../services/redeemer/README.md). How to
write, check and change campaigns: [campaign files](campaign-files.md).
"""


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a campaign, at any depth, in the order of the models: (`limits.caps.per`, what may be there)."""
    hints = get_type_hints(model, include_extras=True)
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        part = _model_in(info.annotation)
        if part is None:
            yield path, f"{_upper(shape(hints[name]))}; {_default(info)}."
        else:
            yield from fields(part, f"{path}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None


_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    datetime: "a moment",
    timedelta: "a duration (ISO 8601)",
    Amount: "an amount",
    Currency: "a currency (ISO 4217)",
    Moment: "a moment",
    MomentOrDay: "a moment or a day",
    Clock: "a time of day",
}


def shape(annotation: Any) -> str:
    """What may stand there, in words."""
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(shape(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return f"a list of {_several(shape(arguments[0]))}"
    return "a mapping" if origin is dict else "any JSON"


def _several(words: str) -> str:
    return words.removeprefix("a ") + "s" if words.startswith("a ") else words


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "needed"
    default = info.get_default(call_default_factory=True)
    if default in (None, "", (), {}):
        return "optional"
    if isinstance(default, tuple):
        default = ", ".join(default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}` where left out"


def page() -> str:
    """The whole page."""
    sections: dict[str, dict[str, str]] = {}
    for path, values in fields(CampaignDefinition):
        sections.setdefault(_section(path), {})[path] = values
    parts = [HEAD, "\n## Fields\n\n", "| section | fields |\n|---|---|\n"]
    for section, held in sections.items():
        links = ", ".join(_link(path, path.removeprefix(f"{section}.")) for path in held)
        parts.append(f"| [{section}](#{section.replace(' ', '-')}) | {links} |\n")
    for section, held in sections.items():
        parts.append(f"\n### {section}\n")
        for path, values in held.items():
            parts += _example(path, values)
    parts += ["\n## Reasons\n\n", *_reasons()]
    return "".join(parts)


def _example(path: str, values: str) -> Iterator[str]:
    """A field: what it means, what may stand there, the example."""
    text = (FOLDER / f"{path}.yaml").read_text("utf-8")
    body = "".join([line for line in text.splitlines(keepends=True) if not line.startswith(("field:", "says:"))])
    yield f"\n#### `{path}`\n\n{_value(text, 'says')} *{values}*\n\n```yaml\n{body.strip()}\n```\n"


def _section(path: str) -> str:
    return path.partition(".")[0] if "." in path else "the campaign itself"


def _link(path: str, name: str) -> str:
    return f"[`{name}`](#{path.replace('.', '')})"


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _value(text: str, name: str) -> str:
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip().strip('"')
    raise ValueError(f"an example says nothing: {text[:80]}")


REASONS: Final = """When several reasons apply, the first of this table is told, on every channel the same. At the right
stand the codes that clients of other APIs know for it; in brackets where that API documents none of its own for the
reason, and this is the nearest. A dash: that API has no call that could be refused so.

"""


def _reasons() -> Iterator[str]:
    """The table of reasons, in the order of precedence."""
    yield REASONS
    yield f"| | reason | what it means | shown by | {' | '.join(VENDORS.values())} |\n"
    yield f"|---|---|---|---|{'---|' * len(VENDORS)}\n"
    shown = _shown()
    for number, reason in enumerate(Reason, start=1):
        codes = " | ".join(_code(VENDOR_CODES[reason.value], vendor) for vendor in VENDORS)
        examples = ", ".join(_link(path, path) for path in shown.get(reason, [])[:MOST_LINKS])
        yield f"| {number} | `{reason.value}` | {SENTENCES[reason]} | {examples} | {codes} |\n"


def _shown() -> dict[Reason, list[str]]:
    """The examples in which something is refused for a reason."""
    found: dict[Reason, list[str]] = {}
    for path, _ in fields(CampaignDefinition):
        text = (FOLDER / f"{path}.yaml").read_text("utf-8")
        for told in dict.fromkeys(_REFUSED.findall(text)):
            found.setdefault(Reason(told), []).append(path)
    return found


def _code(codes: VendorCodes, vendor: Vendor) -> str:
    code = getattr(codes, vendor)
    if code is None:
        return "-"
    return f"{code}" if vendor in codes.documented else f"({code})"


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text("utf-8") == wanted
        sys.stdout.write("" if same else f"{PAGE} is not in step: run python -m examples.rules.page\n")
        return 0 if same else 1
    PAGE.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
