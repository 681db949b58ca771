"""Check which names a condition uses and what it may cost, on the syntax tree, before evaluation.

The library ends an evaluation after 10,000 rounds of all macros together. This module limits the cost of one round.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Final, NoReturn
from zoneinfo import available_timezones

from shared.ledger.cel_tree import Node

MAX_EXPRESSION_LENGTH: Final = 1_000
"""Characters. The limits below are relative to this one, and a longer condition is hard to review."""

MAX_NESTING: Final = 2
"""Nested or chained macros, as in `order.lines.exists(line, line.collection_ids.exists(id, …))`. Enough for lists in
lines; a third level can build values that double with every level."""

MAX_JOINS: Final = 16
"""`+` between strings or lists: each can lengthen a value by the size of the whole order."""

MAX_PATTERN_SIZE: Final = 1_000
"""Characters of the patterns for `matches()`, times the repeats of their `{n}`. RE2 matches in linear time, but each
evaluation compiles the pattern: 1,000 take some milliseconds, `(a{0,1000})` seventy times takes 0.4 seconds."""

MAX_PASSES: Final = 16
"""Comparisons that may read all values once: `order.metadata.a == order.metadata.b`, or one line's metadata with
another's in a macro over the lines. For 10,000 lines all of them take 0.3 seconds, for 100 lines 3 ms."""

MAX_ROUNDS: Final = 9_999
"""Rounds of all macros in one evaluation; the library's own limit, which can't be set. Enough for one pass over the
lines of any order except the largest (10,000 lines)."""

FIELDS: Final[dict[str, dict[str, str]]] = {
    "order": {
        "order_id": "string",
        "shop_id": "dyn",
        "currency": "string",
        "amount_minor": "int",
        "amount": "dyn",  # a double; but as such the checker would refuse `order.amount > 100`
        "shipping_minor": "dyn",
        "quantity": "int",
        "channel": "dyn",
        "metadata": "map",
        "lines": "lines",
    },
    "customer": {"customer_id": "dyn", "email": "dyn", "mobile": "dyn", "segments": "texts"},
    "coupon": {"code": "dyn"},
    "campaign": {"campaign_id": "string", "metadata": "map"},
}
"""Fields by variable, with the types that the checker uses; dyn for fields that may be None."""

PLAIN: Final[dict[str, str]] = {"at": "timestamp", "event": "map"}
"""Variables without a fixed set of fields, and their types."""

LINE_FIELDS: Final[dict[str, str]] = {
    "line_id": "dyn",
    "product_id": "dyn",
    "variant_id": "dyn",
    "collection_ids": "texts",
    "quantity": "int",
    "unit_minor": "int",
    "metadata": "map",
}

_TYPE_NAMES: Final = frozenset(("bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"))
_LARGE: Final = frozenset(("map", "lines", "texts"))
_MACROS: Final = frozenset(("all", "exists", "exists_one", "map", "filter", "has"))
_DATES: Final = frozenset(("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"))
_TIMES: Final = frozenset(("getHours", "getMinutes", "getSeconds", "getMilliseconds"))
_CONVERSIONS: Final = frozenset(("int", "uint", "double", "timestamp", "duration"))
_NUMBERS: Final = _DATES | _TIMES | _CONVERSIONS | {"size", "_-_", "_*_", "_/_", "_%_", "-_"}
"""Functions that return numbers, timestamps or durations, or fail."""
_COMPARISONS: Final = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"))
_READS_FIRST: Final = _CONVERSIONS | {"contains", "size", "string", "bytes"}
_TRUTHS: Final = _COMPARISONS | {"_&&_", "_||_", "!_", "@in", "contains", "matches", "@not_strictly_false", "bool"}
_REPEAT: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_RESULT: Final = "@result"  # the library's name for the intermediate result of a macro
_ROUND_STEPS, _ENTRY_STEPS = (
    4,
    16,
)  # steps per round of a macro itself; cost of an entry in a list that is built in every round

Reads = tuple[tuple[str, int], ...]
"""The values that a comparison may read: name, and a power of the number of rounds. `("order.lines", -1)` is one item
of the lines: a loop over all items reads the lines once."""


class ConditionError(ValueError):
    """An invalid condition. The message has the place (`Column 7: …`) and says what to change."""


def fail(expression: str, place: int, sentence: str) -> NoReturn:
    """Raise ConditionError for the part that begins at character `place` of `expression`."""
    before = expression[:place]
    line, column = before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1
    raise ConditionError(
        f"Line {line}, column {column}: {sentence}" if "\n" in expression else f"Column {column}: {sentence}"
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """A literal that only the library can check: evaluate `expression`; if it fails, report `sentence`."""

    place: int
    expression: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _Item:
    reads: Reads
    is_line: bool


_Scope = dict[str, _Item]


_OFFSET: Final = re.compile(r"[+-]?[0-9]{1,2}:[0-9]{2}")


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


@dataclass(slots=True)
class Rules:
    """The check of one expression. `judge` raises ConditionError, and fills the fields otherwise."""

    expression: str
    variables: frozenset[str]
    uses: dict[str, set[str] | None] = field(default_factory=dict)
    """The names that are read (`order.amount_minor`, `at`), with the keys of a map, or None for the whole map."""
    tested: set[str] = field(default_factory=set)
    """The fields tested with `has()`."""
    scans: list[tuple[int, str, int]] = field(default_factory=list)
    """Comparisons that read a large value in every round: macro depth, name of the value, its power in `Reads`."""
    steps: Counter[int] = field(default_factory=Counter)
    """Number of nodes that are evaluated in every round, by macro depth."""
    builds: list[int] = field(default_factory=list)
    """Depths of the macros that build a list: the library copies such a list in every round."""
    probes: list[Probe] = field(default_factory=list)
    longest_list: int = 1
    """Entries of the longest list literal."""
    joins: int = 0
    passes: int = 0
    pattern_size: int = 0

    def judge(self, tree: Node) -> None:
        """Check `tree`, the syntax tree of the expression. Raises ConditionError."""
        self._visit(tree, {}, 0)

    def _fail(self, node: Node, sentence: str) -> NoReturn:
        fail(self.expression, node.place, sentence)

    def _visit(self, node: Node, scope: _Scope, depth: int) -> int:
        """Check a node and return the levels of macros inside it. `depth` counts the macros around it."""
        if node.kind == "loop":
            return self._loop(node, scope, depth)
        root, steps = _path(node)
        if depth:
            made = [part for part in node.parts if part.kind != "const"] if node.kind in ("list", "struct") else []
            self.steps[depth] += 1 + len(steps) + _ENTRY_STEPS * len(made)
        if root is not None:
            self._name(root, steps, scope, tests=node.tests)
            return 0
        if node.kind == "select" and self._is_line(node.parts[0], scope):
            self._known(node, "a line", node.name, LINE_FIELDS)
        if node.kind == "struct" and node.name:
            self._fail(node, f'`{node.name}` can\'t be built here; compare with plain values, or with timestamp("…").')
        if node.kind == "list":
            self.longest_list = max(self.longest_list, len(node.parts))
        if node.kind == "call":
            self._call(node, scope, depth)
        return max((self._visit(part, scope, depth) for part in node.parts), default=0)

    def _loop(self, node: Node, scope: _Scope, depth: int) -> int:
        span, _, step, _ = node.parts
        if node.name in self.variables or node.name in scope:
            self._fail(node, f"`{node.name}` is already a name; use another one for the items.")
        self.steps[depth + 1] += _ROUND_STEPS
        if _collected(node) is not None:
            self.builds.append(depth)
        levels = 1 + max(self._visit(span, scope, depth), self._visit(step, self._within(node, scope), depth + 1))
        if levels > MAX_NESTING:
            self._fail(node, f"at most {MAX_NESTING} macros may be nested or chained; remove one.")
        return levels

    def _within(self, loop: Node, scope: _Scope) -> _Scope:
        return {
            **scope,
            loop.name: _Item(self._item_reads(loop.parts[0], scope), self._are_lines(loop.parts[0], scope)),
        }

    def _name(self, root: Node, steps: list[Node], scope: _Scope, *, tests: bool) -> None:
        names = [_step_name(step) for step in steps]
        if root.name in scope:
            if scope[root.name].is_line and steps:
                self._known(steps[0], "a line", names[0], LINE_FIELDS)
        elif root.name in self.variables:
            fields = FIELDS.get(root.name)
            if fields is None:
                self._use(root.name, names)
            elif not steps:
                self._fail(root, f"`{root.name}` needs a field: {', '.join(sorted(fields))}.")
            else:
                self._known(steps[0], f"`{root.name}`", names[0], fields)
                if steps[0].kind == "call":
                    self._fail(root, f"write `{root.name}.{names[0]}` instead of `{root.name}[…]`.")
                self._use(f"{root.name}.{names[0]}", names[1:])
                if tests and len(steps) == 1:
                    self.tested.add(f"{root.name}.{names[0]}")
        elif root.name != _RESULT and (steps or root.name not in _TYPE_NAMES):
            near = get_close_matches(root.name, [*self.variables, *scope], n=1)
            known = f"did you mean `{near[0]}`?" if near else f"known names: {', '.join(sorted(self.variables))}."
            self._fail(root, f"unknown name `{root.name}`; {known}")

    def _known(self, node: Node, owner: str, name: str, fields: dict[str, str]) -> None:
        if name not in fields:
            near = get_close_matches(name, fields, n=1)
            known = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(sorted(fields))}."
            extra = " Your own fields are in `metadata`." if not near and "metadata" in fields else ""
            self._fail(node, f"{owner} has no field `{name}`; {known}{extra}")

    def _use(self, name: str, names: list[str]) -> None:
        keys = self.uses.setdefault(name, set())
        if not names:
            self.uses[name] = None
        elif keys is not None:
            keys.add(names[0])

    def _call(self, node: Node, scope: _Scope, depth: int) -> None:
        name, parts = node.name, node.parts
        if name in _MACROS:
            form = "has(order.metadata.key)" if name == "has" else f"order.lines.{name}(line, line.quantity > 1)"
            self._fail(node, f"`{name}` is written as in `{form}`.")
        texts = [part.value for part in parts if isinstance(part.value, str)]
        if name == "matches" and len(parts) == 2:
            self._pattern(node, depth)
        elif name in ("timestamp", "duration") and len(parts) == len(texts) == 1:
            form = '"2026-01-31T00:00:00Z"' if name == "timestamp" else '"36h"'
            self._probe(node, f"{name}({_quoted(texts[0])})", f"{texts[0]!r} is not a valid {name}; write {form}.")
        elif name in _DATES | _TIMES and len(parts) == 2:
            self._time_zone(node, parts[1].value)
        elif name == "_+_" and not self._is_number(node, scope) and parts[0].name != _RESULT:
            self.joins += 1
            if depth:
                wrong = "`+` in a macro may only add numbers; put int(…) or double(…) around one of the operands."
                self._fail(node, wrong)
            if self.joins > MAX_JOINS:
                self._fail(
                    node, f"at most {MAX_JOINS} strings or lists may be joined with `+`; compare them one by one."
                )
        self._scan(node, scope, depth)

    def _time_zone(self, node: Node, zone: object) -> None:
        """Allow only names of the IANA database: the library opens any file that a name leads to, even a pipe."""
        if not isinstance(zone, str):
            wrong = "the time zone must be a string in quotes; it can't come from an order or event."
            self._fail(node, f"`{node.name}`: {wrong}")
        if zone not in _time_zones() and not _OFFSET.fullmatch(zone):
            self._fail(node, f'{zone!r} is not a time zone; use a name such as "Europe/Amsterdam".')

    def _pattern(self, node: Node, depth: int) -> None:
        pattern = node.parts[1].value
        if depth:
            self._fail(node, "`matches` isn't allowed in a macro; use startsWith, endsWith or contains.")
        if not isinstance(pattern, str):
            self._fail(node, "the pattern of `matches` must be a string in quotes.")
        if re.search(r"\\[pP]", pattern):
            self._fail(node, r"`\p` in a pattern isn't supported; name the characters, as in [a-zà-ÿ].")
        size = max(1, len(pattern))
        for low, high in _REPEAT.findall(pattern):
            size *= max(1, int(high or low))
        self.pattern_size += size
        if self.pattern_size > MAX_PATTERN_SIZE:
            wrong = f"characters times repeats of all patterns are {self.pattern_size:,}"
            self._fail(node, f"{wrong}, more than {MAX_PATTERN_SIZE:,}; repeat less in {{}}, or use startsWith.")
        self._probe(node, f'"".matches({_quoted(pattern)})', f"{pattern!r} is not a valid RE2 pattern; correct it.")

    def _probe(self, node: Node, expression: str, sentence: str) -> None:
        self.probes.append(Probe(node.place, expression, sentence))

    def _scan(self, node: Node, scope: _Scope, depth: int) -> None:
        reads: Reads = ()
        if node.name in _COMPARISONS and len(node.parts) == 2:
            # A comparison ends with the shorter of the two values.
            sides = (self._reads(part, scope) for part in node.parts)
            reads = min(sides, key=lambda side: (max((power for _, power in side), default=-9), len(side)))
        elif node.name == "@in":
            reads = self._reads(node.parts[1], scope)
        elif node.name in _READS_FIRST and node.parts:
            reads = self._reads(node.parts[0], scope)
        self.scans += [(depth, name, power) for name, power in reads if depth + power > 0]
        self.passes += sum(depth + power <= 0 for _, power in reads)
        if self.passes > MAX_PASSES:
            wrong = f"at most {MAX_PASSES} comparisons may have values of metadata, events or lists on both sides"
            self._fail(node, f"{wrong}; compare with a literal value, or split the condition.")

    def _reads(self, node: Node, scope: _Scope) -> Reads:
        if node.kind == "const" or self._is_number(node, scope):
            return ()
        root, steps = _path(node)
        if root is not None:
            return self._path_reads(root.name, [_step_name(step) for step in steps], scope)
        if node.kind == "loop":
            body = _collected(node)
            return () if body is None else tuple((n, p + 1) for n, p in self._reads(body, self._within(node, scope)))
        if node.kind == "call" and node.name in _TRUTHS:
            return ()
        return tuple(read for part in node.parts for read in self._reads(part, scope))

    def _path_reads(self, root: str, names: list[str], scope: _Scope) -> Reads:
        if root in scope:
            item = scope[root]
            small = item.is_line and names and LINE_FIELDS.get(names[0]) not in _LARGE
            return () if small else item.reads
        kind, name = PLAIN.get(root), root
        if root in FIELDS and names:
            kind, name = FIELDS[root].get(names[0]), f"{root}.{names[0]}"
        return ((name, 0),) if kind in _LARGE else ()

    def _item_reads(self, span: Node, scope: _Scope) -> Reads:
        if _path(span)[0] is not None:
            return tuple((name, power - 1) for name, power in self._reads(span, scope))
        if span.kind == "loop":
            body = _collected(span)
            return () if body is None else self._reads(body, self._within(span, scope))
        return self._reads(span, scope)

    def _are_lines(self, span: Node, scope: _Scope) -> bool:
        if span.kind == "loop":  # a filter returns the items themselves
            body = _collected(span)
            is_filter = body is not None and body.kind == "ident" and body.name == span.name
            return is_filter and self._are_lines(span.parts[0], scope)
        root, steps = _path(span)
        return root is not None and root.name == "order" not in scope and [_step_name(s) for s in steps] == ["lines"]

    def _is_line(self, node: Node, scope: _Scope) -> bool:
        return node.kind == "call" and node.name == "_[_]" and self._are_lines(node.parts[0], scope)

    def _is_number(self, node: Node, scope: _Scope) -> bool:
        if node.kind == "const":
            return isinstance(node.value, int | float) and not isinstance(node.value, bool)
        if node.kind == "call" and node.name in ("_+_", "_?_:_"):
            sure = [self._is_number(part, scope) for part in node.parts[-2:]]
            return any(sure) if node.name == "_+_" else all(sure)
        if node.kind == "call" and node.name in _NUMBERS:
            return True
        root, steps = _path(node)
        names = [_step_name(step) for step in steps]
        if root is None or len(names) > 1:
            return False
        if root.name in scope:
            return bool(names) and scope[root.name].is_line and LINE_FIELDS.get(names[0]) == "int"
        kind = FIELDS.get(root.name, {}).get(names[0]) if names else PLAIN.get(root.name)
        return kind in ("int", "timestamp")


def _path(node: Node) -> tuple[Node | None, list[Node]]:
    """Return the root name and the steps of a path such as `order.metadata["key"]`; None for any other node."""
    steps: list[Node] = []
    while node.kind == "select" or (
        node.kind == "call" and node.name == "_[_]" and isinstance(node.parts[1].value, str)
    ):
        steps.append(node)
        node = node.parts[0]
    return (node, steps[::-1]) if node.kind == "ident" else (None, [])


def _step_name(step: Node) -> str:
    return step.name if step.kind == "select" else str(step.parts[1].value)


def _collected(loop: Node) -> Node | None:
    """Return the node that map() or filter() adds to its list in every round; None for macros that build no list."""
    waiting = [loop.parts[2]]
    while waiting:
        node = waiting.pop()
        if node.name == "_+_" and node.parts[0].name == _RESULT and node.parts[1].kind == "list":
            return node.parts[1].parts[0]
        if node.name == "_?_:_":
            waiting.extend(node.parts[1:])
    return None


def _quoted(text: str) -> str:
    """Return `text` as a CEL string literal."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'
