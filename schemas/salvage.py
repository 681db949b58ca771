"""Read an order although one of its fields is invalid, if its coupons can still be judged.

One bad code, one bad line or one bad optional field doesn't make the whole order a dead letter. The invalid field is
set aside, and the order says which (`unread_of`): the coupons that depend on it are refused, all others judged.
An order is only read this way after it failed to validate. Which field has which effect: schemas/README.md.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, cast

from schemas.common import Event, EventPart, metadata_problem
from schemas.limits import CONTROL_CHARACTERS, MAX_ID_LENGTH, NO_CONTROL_CHARACTERS
from schemas.orders import OrderChanged, OrderContent, OrderPlaced
from schemas.parsing import InvalidDocumentError, Problem, parse

Part = Literal["code", "lock", "lines", "metadata", "channel", "subscription", "shipping"]

PARTS: Final[Mapping[str, tuple[Part, tuple[str, ...]]]] = {
    "coupon_codes": ("code", ()),
    "lock_reference": ("lock", ("lock_reference",)),
    "lines": ("lines", ("lines",)),
    "metadata": ("metadata", ("metadata",)),
    "channel": ("channel", ("channel",)),
    "subscription_id": ("subscription", ("subscription_id", "cycle")),
    "cycle": ("subscription", ("subscription_id", "cycle")),
    "shipping_amount": ("shipping", ("shipping_amount",)),
    "validation_code": ("code", ("validation_code",)),
}
"""For each field that may be invalid: the part of the order it belongs to, and the fields that are set aside with it.

A field that is missing here makes the order a dead letter: its id, time, customer, currency, amount and `atomic` decide
about every coupon.
"""


_ROUNDS: Final = 3


class Unread(EventPart):
    """A field that was set aside. `problem` has no subject and no full stop; `given` is a code, as it is shown."""

    part: Part
    field: str
    problem: str
    given: str = ""


class PlacedInPart(OrderPlaced):
    """An order without the fields that could not be read, which are in `unread`: at most one of each part but codes.

    Never read from a document: `salvaged` makes it.
    """

    unread: tuple[Unread, ...] = ()


class ChangedInPart(OrderChanged):
    """The same of an order that is different now."""

    unread: tuple[Unread, ...] = ()


OrderInPart = PlacedInPart | ChangedInPart
WholeOrder = OrderPlaced | OrderChanged

_IN_PART: Final[Mapping[type[OrderContent], type[OrderInPart]]] = {
    OrderPlaced: PlacedInPart,
    OrderChanged: ChangedInPart,
}


def unread_of(order: OrderContent) -> tuple[Unread, ...]:
    """Return the fields of the order that could not be read."""
    return order.unread if isinstance(order, OrderInPart) else ()


def salvaged(
    model: type[EventPart], document: bytes, error: InvalidDocumentError, inside: tuple[str, ...] = ()
) -> OrderInPart | None:
    """Return the order in `document` without its invalid fields; None if it can't be judged, or is no order.

    `error` is what `parse` raised. `inside`: the names that lead to the order in the document.
    """
    if model not in _IN_PART:
        return None
    unread: list[Unread] = []
    try:
        tree = json.loads(document, parse_float=_exact)
        for name in inside:
            tree = tree[name]
        if not isinstance(tree, dict):
            return None
        problems = [_inside(problem, len(inside)) for problem in error.problems()]
        for _ in range(_ROUNDS):
            found = _set_aside(tree, problems)
            if found is None:
                return None
            unread += found
            try:
                return _in_part(cast("WholeOrder", parse(model, json.dumps(tree).encode())), unread)
            except InvalidDocumentError as further:  # NUL, or an error that hid another one
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


def without(order: WholeOrder, field: str, problem: str) -> OrderInPart | None:
    """Return the order without the field whose amount is not valid in its currency; None if it decides everything."""
    name = field.partition("[")[0].partition(".")[0]
    if name not in ("lines", "shipping_amount") or getattr(order, name) is None:
        return None
    unread = Unread(part=PARTS[name][0], field=field, problem=f"is not valid: {problem[:1].lower()}{problem[1:]}")
    return _in_part(order.model_copy(update={name: None}), [unread])


def _in_part(order: WholeOrder, unread: Sequence[Unread]) -> OrderInPart:
    found: dict[object, Unread] = {}
    for one in (*unread_of(order), *unread):  # the first of each part is enough
        found.setdefault(one.field if one.part == "code" else one.part, one)
    model = OrderChanged if isinstance(order, OrderChanged) else OrderPlaced
    fields = {name: getattr(order, name) for name in model.model_fields}
    return _IN_PART[model].model_construct(**fields, unread=tuple(found.values()))


def _metadata(field: str, problem: str) -> Unread:
    return Unread(part="metadata", field=field, problem=problem.removeprefix(": ").rstrip("."))


def _inside(problem: Problem, depth: int) -> Problem:
    return Problem(problem.loc[depth:], problem.kind, problem.expected)


def _set_aside(tree: dict[str, Any], problems: Sequence[Problem]) -> list[Unread] | None:
    """Take the invalid fields out of the order, and return them; None if one of them decides about every coupon."""
    unread: list[Unread] = []
    for problem in problems:
        location = problem.loc
        if not location:
            return _codes_with_nul(tree, problem)
        name = str(location[0])
        if name not in PARTS:
            return None
        part, removed = PARTS[name]
        if name == "coupon_codes":
            if len(location) < 2 or not isinstance(number := location[1], int):
                return None  # the list itself is invalid
            unread.append(_unread(part, problem, _shown(tree[name][number])))
            tree[name][number] = None  # left out when the order is parsed
        elif name == "lines" and tree[name] is None:
            continue  # set aside for another line
        elif name == "lines" and len(location) > 2 and location[2] == "metadata":
            tree[name][location[1]]["metadata"] = None
            unread.append(_unread("metadata", problem))
        else:
            tree.update(dict.fromkeys(removed))
            if name != "validation_code":  # a coupon that requires one is refused without it
                unread.append(_unread(part, problem))
    return unread


def _codes_with_nul(tree: dict[str, Any], problem: Problem) -> list[Unread] | None:
    """Set aside codes with the character NUL, for which the whole document is refused; None if there are none."""
    unread: list[Unread] = []
    for number, code in enumerate(tree.get("coupon_codes") or ()):
        if isinstance(code, str) and "\0" in code:
            place = Problem(("coupon_codes", number), problem.kind, NO_CONTROL_CHARACTERS)
            unread.append(_unread("code", place, _shown(code)))
            tree["coupon_codes"][number] = None
    return unread or None


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
    text = CONTROL_CHARACTERS.sub("\ufffd", text)
    return text if len(text) <= MAX_ID_LENGTH else f"{text[: MAX_ID_LENGTH - 1]}…"
