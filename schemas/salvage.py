"""Read an event although one of its fields is invalid, if what depends on the others can still be decided.

One bad code, one bad line or one bad optional field doesn't make the whole order a dead letter. The invalid field is
set aside, and the order says which (`unread_of`): the coupons that depend on it are refused, all others judged.
A field that decides nothing is set aside without a trace. An event is only read this way after it failed to validate.
Which field has which effect: schemas/README.md.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, cast

from schemas.common import Event, EventPart, metadata_problem
from schemas.limits import CONTROL_CHARACTERS, MAX_ID_LENGTH
from schemas.orders import (
    OrderCancelled,
    OrderChanged,
    OrderContent,
    OrderLine,
    OrderPaymentFailed,
    OrderPlaced,
    OrderReturned,
)
from schemas.parsing import InvalidDocumentError, Problem, parse
from schemas.rewards import RewardRevoked

Part = Literal["code", "lock", "lines", "metadata", "channel", "subscription", "shipping"]

Fields = Mapping[str, tuple[Part | None, tuple[str, ...]]]
"""For each field that may be invalid: the part of the order it belongs to, and the fields that are set aside with it.
No part: nothing is decided by the field.
"""

PARTS: Final[Fields] = {
    "coupon_codes": ("code", ()),
    "lock_reference": ("lock", ("lock_reference",)),
    "lines": ("lines", ("lines",)),
    "metadata": ("metadata", ("metadata",)),
    "channel": ("channel", ("channel",)),
    "subscription_id": ("subscription", ("subscription_id", "cycle")),
    "cycle": ("subscription", ("subscription_id", "cycle")),
    "shipping_amount": ("shipping", ("shipping_amount",)),
    "validation_code": (None, ("validation_code",)),  # a coupon that requires one is refused without it
    "reason": (None, ("reason",)),
}
"""The fields of a whole order. A field that is missing here makes it a dead letter: its id, time, customer, currency,
amount and `atomic` decide about every coupon.
"""

_REASON: Final[Fields] = {"reason": (None, ("reason",))}

FIELDS: Final[Mapping[type[EventPart], Fields]] = {
    OrderPlaced: PARTS,
    OrderChanged: PARTS,
    OrderPaymentFailed: _REASON,
    OrderCancelled: _REASON,
    OrderReturned: _REASON,
    RewardRevoked: _REASON,
}
"""The fields that may be invalid, by event. Those of other events decide: campaigns match rewards and sign-ups by any
field, metadata included."""

LINE_FIELDS: Final[Mapping[str, Part]] = {"metadata": "metadata", "variant_id": "lines", "collection_ids": "lines"}
"""The fields without which a line still says what was ordered and what it costs, with the part they belong to. Any
other invalid field sets the line aside."""

_ROUNDS: Final = 3


class Unread(EventPart):
    """A field that was set aside. `problem` has no subject and no full stop; `given` is a code, as it is shown."""

    part: Part
    field: str
    problem: str
    given: str = ""


class PlacedInPart(OrderPlaced):
    """An order without the fields that could not be read, which are in `unread`: at most one of each part but codes.

    `is_short`: some of its lines were set aside. Never read from a document: `salvaged` makes it.
    """

    unread: tuple[Unread, ...] = ()
    is_short: bool = False


class ChangedInPart(OrderChanged):
    """The same of an order that is different now."""

    unread: tuple[Unread, ...] = ()
    is_short: bool = False


OrderInPart = PlacedInPart | ChangedInPart
WholeOrder = OrderPlaced | OrderChanged

_IN_PART: Final[Mapping[type[EventPart], type[OrderInPart]]] = {
    OrderPlaced: PlacedInPart,
    OrderChanged: ChangedInPart,
}


def unread_of(order: OrderContent) -> tuple[Unread, ...]:
    """Return the fields of the order that could not be read."""
    return order.unread if isinstance(order, OrderInPart) else ()


def has_lost_lines(order: OrderContent) -> bool:
    """Return whether some lines of the order could not be read."""
    return isinstance(order, OrderInPart) and order.is_short


def salvaged(
    model: type[EventPart], document: bytes, error: InvalidDocumentError, inside: tuple[str, ...] = ()
) -> Event | None:
    """Return the event in `document` without its invalid fields; None if one of them decides.

    `error` is what `parse` raised. `inside`: the names that lead to the event in the document.
    """
    fields = FIELDS.get(model)
    if fields is None:
        return None
    try:
        tree = json.loads(document, parse_float=_exact)
        for name in inside:
            tree = tree[name]
        if not isinstance(tree, dict):
            return None
        damaged = _Damaged(tree, fields, frozenset(model.model_fields))
        problems = [_inside(problem, len(inside)) for problem in error.problems()]
        for _ in range(_ROUNDS):
            if not damaged.set_aside(problems):
                return None
            try:
                return damaged.rest(parse(model, json.dumps(tree).encode()))
            except InvalidDocumentError as further:  # text that can't be stored, or an error that hid another one
                problems = further.problems()
    except (ValueError, LookupError, TypeError, RecursionError):
        return None  # a document of another form
    return None


def without_conflicts(event: Event) -> OrderInPart | None:
    """Return the order without the metadata or cycle that `Event.problem` refuses; None if it refuses more."""
    if not isinstance(event, WholeOrder):
        return None
    changed: dict[str, Any] = {}
    unread: list[Unread] = []
    if event.cycle is not None and event.subscription_id is None:
        unread.append(Unread(part="subscription", field="cycle", problem="needs a subscription_id"))
        changed["cycle"] = None
    if (found := metadata_problem(event.metadata, "")) is not None:
        unread.append(_metadata("metadata", found))
        changed["metadata"] = None
    if event.lines:
        lines = list(event.lines)
        for number, line in enumerate(lines):
            if line.metadata and (found := metadata_problem(line.metadata, "")) is not None:
                unread.append(_metadata(f"lines[{number}].metadata", found))
                lines[number] = line.model_copy(update={"metadata": None})
        changed["lines"] = tuple(lines)
    order = event.model_copy(update=changed)
    return None if not unread or order.problem() is not None else _in_part(order, unread)


def without(
    order: WholeOrder, field: str, problem: str, lines: tuple[OrderLine, ...] | None = None
) -> OrderInPart | None:
    """Return the order without the field whose amount is not valid in its currency; None if it decides everything.

    `lines`: those that are valid, if `field` is in one of the others.
    """
    name = field.partition("[")[0].partition(".")[0]
    if name not in ("lines", "shipping_amount") or getattr(order, name) is None:
        return None
    part: Part = "lines" if name == "lines" else "shipping"
    unread = Unread(part=part, field=field, problem=f"is not valid: {problem[:1].lower()}{problem[1:]}")
    in_part = order.model_copy(update={name: (lines or None) if part == "lines" else None})
    return _in_part(in_part, [unread], is_short=part == "lines")


def _in_part(order: WholeOrder, unread: Sequence[Unread], *, is_short: bool = False) -> OrderInPart:
    found: dict[object, Unread] = {}
    for one in (*unread_of(order), *unread):  # the first of each part is enough
        found.setdefault(one.field if one.part == "code" else one.part, one)
    model = OrderChanged if isinstance(order, OrderChanged) else OrderPlaced
    fields = {name: getattr(order, name) for name in model.model_fields}
    return _IN_PART[model].model_construct(
        **fields, unread=tuple(found.values()), is_short=is_short or has_lost_lines(order)
    )


def _metadata(field: str, problem: str) -> Unread:
    return Unread(part="metadata", field=field, problem=problem.removeprefix(": ").rstrip("."))


def _inside(problem: Problem, depth: int) -> Problem:
    return Problem(problem.loc[depth:], problem.kind, problem.expected)


@dataclass(slots=True)
class _Damaged:
    """The document of an event with invalid fields: its tree, and what was set aside.

    `fields` may be invalid; `known` are all fields of the event. A line that is set aside keeps its place until the
    event is read, because a line without an id is named by its position.
    """

    tree: dict[str, Any]
    fields: Fields
    known: frozenset[str]
    unread: list[Unread] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)

    def set_aside(self, problems: Sequence[Problem]) -> bool:
        """Take the invalid fields out of the tree; return False if one of them decides."""
        if not problems[0].loc:  # the document as a whole is invalid, if only for a character
            problems = [Problem(place, problems[0].kind, _STORABLE) for place in _unstorable(self.tree)]
        return bool(problems) and all(self._is_set_aside(problem) for problem in problems)

    def rest(self, read: EventPart) -> Event:
        """Return the event that was read from the tree, without the lines that were set aside."""
        if not isinstance(read, WholeOrder):
            return cast("Event", read)
        if read.lines is not None and self.lines:
            numbers = [number for number, line in enumerate(self.tree["lines"]) if line is not None]
            lines = tuple([line for number, line in zip(numbers, read.lines, strict=True) if number not in self.lines])
            read = read.model_copy(update={"lines": lines or None})
        return _in_part(read, self.unread, is_short=bool(self.lines))

    def _is_set_aside(self, problem: Problem) -> bool:
        name, tree = str(problem.loc[0]), self.tree
        if name not in self.known:
            tree.pop(name, None)
            return True
        if name not in self.fields:
            return False
        part, removed = self.fields[name]
        if part == "code":
            return self._without_code(problem)
        if part == "lines" and len(problem.loc) > 1 and isinstance(number := problem.loc[1], int):
            self._without_line(problem, number)
            return True
        tree.update(dict.fromkeys(removed))
        if part is not None:
            self.unread.append(_unread(part, problem))
        return True

    def _without_code(self, problem: Problem) -> bool:
        if len(problem.loc) < 2 or not isinstance(number := problem.loc[1], int):
            return False  # the list itself is invalid
        codes = self.tree["coupon_codes"]
        self.unread.append(_unread("code", problem, _shown(codes[number])))
        codes[number] = None  # left out when the order is parsed
        return True

    def _without_line(self, problem: Problem, number: int) -> None:
        lines, name = self.tree["lines"], problem.loc[2] if len(problem.loc) > 2 else None
        if number in self.lines:
            return
        if name in LINE_FIELDS:
            lines[number][name] = None
            self.unread.append(_unread(LINE_FIELDS[str(name)], problem))
            return
        line_id = lines[number].get("line_id") if isinstance(lines[number], dict) else None
        is_readable = isinstance(line_id, str) and len(line_id) <= MAX_ID_LENGTH and line_id.isprintable()
        lines[number] = _PLACEHOLDER | ({"line_id": line_id} if is_readable else {})
        self.lines.add(number)
        self.unread.append(_unread("lines", problem))


_PLACEHOLDER: Final = {"line_id": "-", "product_id": "-", "quantity": 1, "unit_price": "0"}
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_STORABLE: Final = "must have no characters that can't be stored (U+0000, U+D800 to U+DFFF); remove them"


def _unstorable(value: Any, place: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Yield the places of texts with a character for which the whole document is refused."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            yield place
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _unstorable(entry, (*place, number))
    elif isinstance(value, dict):
        for name, entry in value.items():
            if _UNSTORABLE.search(name):
                yield (*place, name)
            else:
                yield from _unstorable(entry, (*place, name))


def _exact(number: str) -> float | str:
    """Return a JSON number as a float; as a string if a float doesn't keep its digits, which matters for amounts."""
    return float(number) if Decimal(number) == Decimal(repr(float(number))) else number


def _unread(part: Part, problem: Problem, given: str = "") -> Unread:
    return Unread(part=part, field="".join(_steps(problem.loc)), problem=problem.expected, given=given)


def _steps(location: tuple[int | str, ...]) -> Iterator[str]:
    for place, step in enumerate(location):
        yield f"[{step}]" if isinstance(step, int) else f".{step}" if place else step


def _shown(code: Any) -> str:
    """Return a code that can't exist as one that can be shown: without control characters, and shortened."""
    text = code if isinstance(code, str) else json.dumps(code, ensure_ascii=False)
    text = _UNSTORABLE.sub("\ufffd", CONTROL_CHARACTERS.sub("\ufffd", text))
    return text if len(text) <= MAX_ID_LENGTH else f"{text[: MAX_ID_LENGTH - 1]}…"
