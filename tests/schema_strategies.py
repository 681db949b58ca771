"""Hypothesis strategies for random events, built from the models, so that new fields are included automatically.

    event_data("order.placed")       data that its model accepts and `problem()` finds valid
    event_json("order.placed")       the same as UTF-8 JSON
    invalid_event_json("order.placed") bytes that its model refuses: a valid event with one change
    data_of(model)                   data of any pydantic model of `schemas`, for example a campaign's parts
    METADATA, IDENTIFIERS, MOMENTS   the single kinds of value

Extremes come often: strings of the greatest length in characters of one to four bytes, upper case that is longer, JSON
escapes, edges of 64 bits, the first and the last moment, offsets of nearly a day, documents at the limit of size and
depth. Texts that are too long for Hypothesis repeat one piece. For the fuzz harness and the engine's tests:

    @given(event_data("order.placed"))
    def test_it(data): ...

`example_of(strategy, seed)` draws one value outside of a test, the same for the same seed.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, Final, Literal, Union, get_args, get_origin

import orjson
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from schemas import common, limits
from schemas.catalogue import BY_TYPE
from schemas.common import Event
from schemas.parsing import InvalidDocumentError, parse

PIECES: Final = ("x", "é", "字", "😀", "ΐ", "ß", '"', "\\", "%", "\u200d", "\u2028", "\ufeff", "\u202e", "=", "'", " x")
"""Pieces of long strings: one to four bytes, longer in upper case, escaped in JSON, invisible, or right-to-left."""

CONTROLS: Final = ("\n", "\t", "\x1b[2J", "\x7f", "\x85")
"""Control characters, which incoming identifiers must not contain."""


def _fits(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def strings(shortest: int, longest: int, pieces: tuple[str, ...] = PIECES) -> st.SearchStrategy[str]:
    """Return strings of `shortest` to `longest` characters, often the longest."""
    drawn = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=shortest, max_size=min(longest, 12))
    length = st.sampled_from([longest, longest, max(shortest, 1), min(longest, 9)])
    repeated = st.builds(lambda piece, size: (piece * size)[:size], st.sampled_from(pieces), length)
    return drawn | repeated


IDENTIFIERS: Final = strings(1, limits.MAX_ID_LENGTH).filter(
    lambda text: bool(re.search(common.IDENTIFIER_PATTERN, text))
)

_OFFSETS: Final = st.sampled_from([UTC, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=12))])
_EXTREME_OFFSETS: Final = st.sampled_from([timezone(timedelta(minutes=1_439)), timezone(-timedelta(minutes=1_439))])


def moments(latest: datetime = limits.LATEST) -> st.SearchStrategy[str]:
    """Return RFC 3339 times in many zones."""
    usual = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda one: one.replace(tzinfo=UTC))  # noqa: DTZ001
    ends = st.sampled_from(
        [limits.EARLIEST, latest, latest - timedelta(microseconds=1), datetime(2000, 2, 29, tzinfo=UTC)]
    )
    return st.builds(_written, usual | ends, _OFFSETS | _EXTREME_OFFSETS)


def _written(moment: datetime, zone: timezone) -> str:
    try:
        return moment.astimezone(zone).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return moment.isoformat().replace("+00:00", "Z")


MOMENTS: Final = moments()

CURRENCIES: Final = st.sampled_from(["USD", "USD", "USD", "EUR", "JPY", "KWD", "CLF", "XXX"])
AMOUNTS: Final = st.sampled_from(
    ["0", "0.00", "5.00", "125.00", "125", "1.5", "999999999999999999", "0.000001", "9999999999999999.99", "000.10"]
)

_INTEGERS: Final = st.sampled_from([0, -1, 2**31, 2**53 + 1, limits.MAX_INTEGER, limits.MIN_INTEGER])
_SINGLES: Final = (
    st.none() | st.booleans() | _INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | strings(0, 300)
)  # fmt: skip
_NAMES: Final = strings(0, limits.MAX_ID_LENGTH).filter(_fits)


def _deep(leaf: Any, depth: int) -> Any:
    for number in range(depth):
        leaf = {"deeper": leaf} if number % 2 else [leaf]
    return leaf


def documents(max_bytes: int, check: Callable[[Any], None]) -> st.SearchStrategy[dict[str, Any]]:
    """Return valid JSON objects: flat, nested, of the greatest depth, of the greatest size."""
    nested = st.recursive(
        _SINGLES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3)
    )
    largest = st.sampled_from(["x", "字", "😀"]).map(
        lambda piece: {"large": piece * ((max_bytes - len('{"large":""}')) // len(piece.encode()))}
    )
    deepest = _SINGLES.map(lambda leaf: {"deep": _deep(leaf, limits.MAX_DEPTH - 1)})
    drawn = (
        st.dictionaries(_NAMES, _SINGLES, max_size=4) | st.dictionaries(_NAMES, nested, max_size=3) | deepest | largest
    )
    return drawn.filter(lambda document: _passes(check, document))


def _passes(check: Callable[[Any], None], document: Any) -> bool:
    try:
        check(document)
    except ValueError:
        return False
    return True


METADATA: Final = documents(limits.MAX_METADATA_BYTES, limits.check_metadata)
PAYLOADS: Final = documents(limits.MAX_PAYLOAD_BYTES, limits.check_payload)

_BY_PATTERN: Final[Mapping[str, st.SearchStrategy[str]]] = {
    common.AMOUNT_PATTERN: AMOUNTS,
    common.CURRENCY_PATTERN: CURRENCIES,
}


def _string(constraints: Mapping[str, Any]) -> st.SearchStrategy[str]:
    pattern = constraints.get("pattern")
    if pattern in _BY_PATTERN:
        return _BY_PATTERN[pattern]
    longest = constraints.get("max_length", limits.MAX_TEXT_LENGTH)
    shortest = constraints.get("min_length", 0)
    if pattern == common.IDENTIFIER_PATTERN:
        return IDENTIFIERS
    if pattern == common.SHOP_PATTERN:
        return IDENTIFIERS | st.just("")
    if pattern == common.WRITTEN_IDENTIFIER_PATTERN:
        return strings(shortest, longest, (*PIECES, *CONTROLS)).filter(lambda text: bool(text.strip()))
    if pattern is not None:
        return st.from_regex(re.compile(pattern), fullmatch=True).filter(_fits)
    return strings(shortest, longest)


def _integer(constraints: Mapping[str, Any]) -> st.SearchStrategy[int]:
    least, most = constraints.get("ge", limits.MIN_INTEGER), constraints.get("le", limits.MAX_INTEGER)
    return st.sampled_from([least, most]) | st.integers(max(least, -2), min(most, max(least, 3)))


def _constraints(metadata: Any) -> dict[str, Any]:
    """Return the bounds set by `Field`, and the mark of a time."""
    found: dict[str, Any] = {}
    for one in metadata:
        for name in ("ge", "le", "min_length", "max_length", "pattern"):
            value = getattr(one, name, None)
            if value is not None:
                found[name] = value
        found |= _constraints(getattr(one, "metadata", ()))
        if isinstance(one, common.Rfc3339):
            found["latest"] = one.latest
    return found


def _of(annotation: Any, constraints: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    """Return values for a field of this type and name."""
    if hasattr(annotation, "__metadata__"):
        return _of(annotation.__origin__, dict(constraints) | _constraints(annotation.__metadata__), name)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return st.one_of([_of(argument, constraints, name) for argument in arguments])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return data_of(annotation)
    kinds: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        Literal: lambda: st.sampled_from(arguments),
        tuple: lambda: _list(arguments[0], constraints, name),
        dict: lambda: _map(arguments[1], name),
        datetime: lambda: moments(constraints.get("latest", limits.LATEST)),
        str: lambda: _string(constraints),
        int: lambda: _integer(constraints),
        bool: st.booleans,
        type(None): st.none,
    }
    return kinds[origin or annotation]()


def _map(values: Any, name: str) -> st.SearchStrategy[Any]:
    if values is JsonValue:
        return PAYLOADS if name == "payload" else METADATA
    return st.dictionaries(strings(0, 20), strings(0, limits.MAX_TEXT_LENGTH), max_size=3)


def _list(inner: Any, constraints: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    """Return short lists, and sometimes the longest: one entry repeated, with distinct line ids."""
    longest = constraints.get("max_length", limits.MAX_CODES)
    entry = _of(inner, {}, name)
    long = st.builds(_repeated, entry, st.sampled_from([min(longest, 100)] * 4 + [longest]))
    return st.integers(0, 19).flatmap(lambda dice: long if dice == 19 else st.lists(entry, max_size=min(longest, 3)))


def _repeated(entry: Any, times: int) -> list[Any]:
    if isinstance(entry, dict) and isinstance(entry.get("line_id"), str):
        small = {key: value for key, value in entry.items() if key != "metadata"}
        return [small | {"line_id": f"{number} {entry['line_id']}"[: limits.MAX_ID_LENGTH]} for number in range(times)]
    if isinstance(entry, str):
        return [f"{number}{entry}"[: limits.MAX_ID_LENGTH] for number in range(times)]
    return [entry] * min(times, 20)


@cache
def data_of(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Return JSON data of `model`. Rules between fields are ignored; `event_data` respects them."""
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, field in model.model_fields.items():
        values = _of(field.annotation, _constraints(field.metadata), name)
        (needed if field.is_required() else optional)[name] = values
    return st.fixed_dictionaries(needed, optional=optional)


def _repaired(data: dict[str, Any]) -> dict[str, Any]:
    """Repair combinations of fields that the schema can't express."""
    customer = data.get("customer")
    if isinstance(customer, dict) and not any(customer.get(name) for name in ("customer_id", "email", "mobile")):
        data["customer"] = {**customer, "customer_id": "customer_1"}
    if data.get("cycle") is not None and data.get("subscription_id") is None:
        data["subscription_id"] = "a subscription"
    return data


def is_valid(type_name: str, document: bytes) -> bool:
    """Return whether the model of the type accepts the document."""
    try:
        event = parse(BY_TYPE[type_name].model, document)
    except InvalidDocumentError:
        return False
    return isinstance(event, Event) and event.problem() is None


@cache
def event_data(type_name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return valid data of events of the type."""
    drawn = data_of(BY_TYPE[type_name].model).map(_repaired)
    return drawn.filter(lambda data: is_valid(type_name, orjson.dumps(data)))


@cache
def event_json(type_name: str) -> st.SearchStrategy[bytes]:
    """Return valid data of events of the type, as UTF-8 JSON."""
    return event_data(type_name).map(orjson.dumps)


NASTY: Final[tuple[Any, ...]] = (
    2**63, -(2**63) - 1, 10**30, -1, 1.5, float("nan"), float("inf"), True, None, "", " ", "\0", "a\nb", "\ud800",
    "x" * 1_100_000, "字" * 2_800, [], {}, [[[]]], "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.9999999Z",
    "0001-01-01T00:00:00Z", "2026-11-22T09:30:00", {"tracking": 2**64}, {"a": [[2**70]]}, {"a": float("nan")},
    {"large": "x" * 20_000}, {"n" * 256: 1}, "1e400", "-5.00", ["x"] * 20_000, {"a": "\ud800"}, {"a": "\0"},
)  # fmt: skip
"""Values to replace one value of a valid event with."""

_DEEP: Final = {"a": _deep(0, 900)}


@cache
def invalid_event_json(type_name: str) -> st.SearchStrategy[bytes]:
    """Return invalid events of the type: valid ones with one value replaced, removed or cut off."""

    def made_wrong(data: dict[str, Any], draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
        places = list(_places(data))
        node, key = draw(st.sampled_from(places))
        how = draw(st.integers(0, 9))
        if how == 0 and isinstance(node, dict):
            del node[key]
        else:
            node[key] = _DEEP if how == 1 else draw(st.sampled_from(NASTY))
        document = json.dumps(data).encode()
        return document[: len(document) // 2] if how == 2 else document

    @st.composite
    def drawn(draw: st.DrawFn) -> bytes:
        return made_wrong(json.loads(draw(event_json(type_name))), draw)

    return drawn().filter(lambda document: not is_valid(type_name, document))


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Return every place of a document as (object or list, key or index); only the first few of long lists."""
    if isinstance(node, dict):
        keys: list[Any] = list(node)
    elif isinstance(node, list):
        keys = list(range(min(len(node), 3)))
    else:
        return []
    return [(node, key) for key in keys] + [place for key in keys for place in _places(node[key])]


def example_of(strategy: st.SearchStrategy[Any], number: int) -> Any:
    """Return one value of `strategy`, the same for the same number. For use outside of Hypothesis tests."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=10, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found[-1]
