"""Values that have broken something before."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

INTEGERS: Final[tuple[int, ...]] = (
    0, -1, 1, 2**31 - 1, 2**31, 2**32, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**15,
    10**18, 10**30, 10**300, 2**70, 18446744073709551616,
)  # fmt: skip

TIMES: Final[tuple[str, ...]] = (
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
    "2026-02-29T00:00:00Z", "2026-03-29T02:30:00+01:00", "2016-12-31T23:59:60Z", "2026-03-01T12:00:00", "2026-03-01",
    "20261122", "tomorrow", "infinity", "-infinity", "2026-03-01T12:00:00.123456789Z", "+010000-01-01T00:00:00Z",
    "2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z",
)  # fmt: skip

AMOUNTS: Final[tuple[Any, ...]] = (
    "0", "0.00", "-1.00", "1e400", "NaN", "Infinity", "9" * 18 + ".999999", "9" * 40, "0.0000001", "1,000.00", "1.",
    ".5", "١٢٣", "125.001", "00000125.00", "92233720368547758.07", "92233720368547758.08", " 1.00", "1.00 ", "+1.00",
)  # fmt: skip

TEXTS: Final[tuple[str, ...]] = (
    "", " ", "\t\r\n", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\u202eabc", "\ufeff", "\ud800", "e\u0301", "Å",
    "\uff1d1+1", "=1+1", "x;=1+1", "\n=1+1", "-1", "@a", "|a", "💥" * 10, "漢" * 255, "漢" * 256, "a" * 255, "a" * 256,
    "ß" * 200, "İ" * 100, "null", "undefined", "true", "[]", "{}", "__proto__", "constructor", "' OR 1=1 --", "%00",
    "%2e%2e%2f", "../../etc/passwd", "a/b", "a?b", "a#b", "a%b", "a b", "<script>alert(1)</script>", "{{7*7}}",
    "${jndi:ldap://x}", "a\tb", "a\rb", "a\nb", "\x7f", "\x85", "\u2028", "\uffff", "\U0010ffff", "order:ORD1",
)  # fmt: skip

LONG: Final[tuple[int, ...]] = (300, 2_001, 2_800, 5_000, 70_000)


def nested(depth: int, kind: str) -> Any:
    """Return a document `depth` levels deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


Maker = Callable[[random.Random], Any]

MAKERS: Final[tuple[Maker, ...]] = (
    *[lambda chance: chance.choice(TEXTS)] * 3,
    *[lambda chance: chance.choice(INTEGERS)] * 2,
    lambda chance: chance.choice(TIMES),
    lambda chance: chance.choice(AMOUNTS),
    lambda chance: chance.choice((None, True, False, [], {}, "", 0, 0.1, -0.0, 1e308, 1e-320)),
    lambda chance: chance.choice("a漢é\U0001f4a5") * chance.choice(LONG),
    lambda chance: nested(chance.choice((2, 20, 60, 150)), chance.choice(("list", "dict"))),
    lambda chance: [chance.choice(TEXTS) for _ in range(chance.choice((1, 100, 101, 1_001)))],
    lambda chance: {f"k{number}": chance.choice(INTEGERS) for number in range(chance.choice((1, 50, 1_001)))},
    lambda chance: {chance.choice(TEXTS): chance.choice(TEXTS) for _ in range(5)},
    lambda chance: {"a": {"b": [chance.choice(INTEGERS), chance.choice(TEXTS), {"c": chance.choice(TIMES)}]}},
)


def hostile(chance: random.Random) -> Any:
    """Return any JSON value that may break something."""
    return chance.choice(MAKERS)(chance)


def written(document: Any) -> bytes:
    """Return JSON of a careless producer, with lone surrogates. Values that can't be encoded are escaped."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
