"""Compile and evaluate conditions of campaigns, in CEL (Common Expression Language, cel.dev).

A condition such as `order.metadata.tier == "gold"` is compiled when a campaign is saved or loaded, which reports every
error, and evaluated for every order or event. docs/decisions/0030-conditions-in-cel.md explains the choice of the
library and the limits.

Variables:

- `order`: order_id, shop_id, currency, amount_minor (the goods, in the currency's minor units), amount (the same in
  major units as a double, for conditions such as `order.amount >= 49.95`; a double is not exact, so use amount_minor if
  a cent matters), shipping_minor, quantity, channel, metadata, and lines: a list of line_id, product_id, variant_id,
  collection_ids, quantity, unit_minor, metadata.
- `customer`: customer_id, email, mobile, segments (strings): as the request names them, else as the ledger knows them.
- `coupon`: code. `campaign`: campaign_id, metadata.
- `at`: the time of the decision, a datetime with its zone.
- `event`: the JSON data of an event that may issue coupons.

A field that is None is absent to `has(order.channel)`; metadata, lines and segments that are None are empty. The JSON
numbers 2 and 2.0 both equal `2`; the string "2" doesn't. Integers beyond 64 bits are compared as doubles.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, Final

from shared.domain.offers.conditions import Values
from shared.ledger.cel_tree import read_tree
from shared.ledger.condition_messages import explain
from shared.ledger.condition_parts import FROM_LINES, NAMES, PARTS, in_parts, parts_of
from shared.ledger.condition_rules import (
    FIELDS,
    MAX_EXPRESSION_LENGTH,
    MAX_ROUNDS,
    PLAIN,
    ConditionError,
    Rules,
    fail,
)

__all__ = ["EVENT_VARIABLES", "MAX_WORK", "REDEMPTION_VARIABLES", "ConditionError", "compile_condition"]

REDEMPTION_VARIABLES: Final = frozenset(("order", "customer", "coupon", "campaign", "at"))
"""Variables of a condition for using a coupon."""

EVENT_VARIABLES: Final = frozenset(("event",))
"""Variables of a condition for issuing a coupon."""

MAX_WORK: Final = 500_000
"""Limit of the nodes evaluated in all rounds of macros, plus the values read by their comparisons, in one evaluation:
about 0.1 seconds. A thousand lines looked up in a list of 400 come close; conditions that can't come close aren't
counted."""

MAX_COPIED: Final = 1_100_000
"""Limit of the entries that an evaluation copies while macros build lists. Copies grow with the square of the list:
1,000 entries take about 50 ms and 20 MB, and nothing else in the process runs, because the library holds the GIL. Lists
of an order's lines are built in parts, which need fewer copies."""

TOO_MUCH: Final = 10**9
"""The work of an evaluation that would copy more than MAX_COPIED: above every limit."""

_EVALUATION: Final = 60  # minimum work of an evaluation, in tenths of a microsecond
_CACHED: Final = 1_000  # compiled conditions kept; campaigns are loaded far more often than they change
_TEXT_UNIT: Final = 64  # characters that take as long to compare as one other value
_EMPTY: Final[dict[str, Any]] = {"map": {}, "lines": [], "texts": []}
_INT64: Final = range(-(2**63), 2**63)

_NOT_PLAIN = ("out of range for", "Non-CEL value type", "Unexpected value type")


@lru_cache(maxsize=_CACHED)
def compile_condition(expression: str, variables: frozenset[str]) -> "CompiledCondition":
    """Compile a condition to a function that takes the variables' values and returns a bool. Raises ConditionError.

    Refused are invalid CEL, unknown names, fields and functions, type errors that can be known before evaluation
    (types of metadata can't), results other than true or false, and expressions that could cost too much.

    The function never raises. It returns False if the expression can't be evaluated: a missing key, a string compared
    with a number by `<`, a result that isn't true or false, too much work. The coupon is then refused, which can be
    explained and fixed; an exception would stop all orders. `has(order.metadata.tier)` avoids a missing key.

    It reads only the values that the expression names, keeps nothing between calls, and is thread-safe. `variables` are
    REDEMPTION_VARIABLES or EVENT_VARIABLES.
    """
    if not expression.strip():
        raise ConditionError(
            'The condition is empty; write one such as order.metadata.tier == "gold", or leave it out.'
        )
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise ConditionError(
            f"The condition has {len(expression):,} characters; at most {MAX_EXPRESSION_LENGTH:,} are allowed, "
            "so split it into several or shorten it."
        )
    if any(not (character.isprintable() or character in "\n\r\t") for character in expression):
        raise ConditionError("The condition contains invisible characters; type it again.")
    try:
        rules = Rules(expression, variables)
        rules.judge(read_tree(_compiled(_parser(), expression, disable_check=True).serialize()))
    except RecursionError:
        raise ConditionError("The condition is nested too deeply; split it into several.") from None
    environment = _environment(rules)
    program = _compiled(environment, expression)
    kind = _result_type(program)
    if kind not in ("bool", "dyn"):
        raise ConditionError(
            f"The condition returns a value of type {kind}, not true or false; compare it with something."
        )
    for probe in rules.probes:
        if environment.compile(probe.expression).eval().type() == _library().Type.ERROR:
            fail(expression, probe.place, probe.sentence)
    with suppress(RuntimeError):  # too many rounds even without data
        program.eval(data={})  # the first evaluation initializes the program
    return CompiledCondition(expression, program, rules)


class CompiledCondition:
    """A compiled condition. `of_request`: it names neither coupon nor campaign. `customer_fields`: the fields of the
    customer that it names. `has_rounds`: its cost depends on the values, and `work` estimates it.
    """

    __slots__ = (
        "_bindings", "_expression", "_in_parts", "_is_cheap", "_program", "_rules", "customer_fields", "has_rounds",
        "of_request",
    )  # fmt: skip

    def __init__(self, expression: str, program: Any, rules: Rules) -> None:
        self._expression, self._program = expression, program
        self._rules, self._is_cheap = rules, not rules.scans and rules.steps.total() * MAX_ROUNDS <= MAX_WORK
        self._bindings = [_Binding(name, keys, name in rules.tested) for name, keys in rules.uses.items()]
        self._in_parts = _program_in_parts(expression, rules)
        self.of_request = not any(name.startswith(("coupon.", "campaign.")) for name in rules.uses)
        self.customer_fields = frozenset(
            [name.partition(".")[2] for name in rules.uses if name.startswith("customer.")]
        )
        self.has_rounds = bool(rules.steps or rules.scans)

    def __repr__(self) -> str:
        return f"<condition {self._expression!r}>"

    def __call__(self, values: Mapping[str, Any]) -> bool:
        try:
            if not self._is_cheap and self._parts(values) > MAX_WORK:
                return False
            in_parts = self._is_in_parts(values)
            if in_parts and not isinstance(values, Values):
                values = Values(values)
            if self._rules.builds and not in_parts and self._copied(values) > MAX_COPIED:
                return False
            # Lists stay in memory as long as their activation, so conditions that build lists get their own.
            if isinstance(values, Values) and (in_parts or not self._rules.builds):
                return self._evaluated_together(values)
            data: dict[str, Any] = {}
            for binding in self._bindings:
                binding.take(values, data)
            result = self._program.eval(data=data)
            if _is_unfit(result):
                result = self._program.eval(data=_plain(data))
            return result.value() is True
        except Exception:  # see compile_condition
            return False

    def work(self, values: Mapping[str, Any]) -> int:
        """Return the maximum cost of evaluating `values`, in tenths of a microsecond (`shared.domain.offers.work`).

        The factors for nodes and copies were measured with cel-expr-python 0.1.3.
        """
        parts = min(self._parts(values), MAX_WORK)
        copied = self._copied(values)
        if self._is_in_parts(values):
            copied = copied * 2 // PARTS
        elif copied > MAX_COPIED:
            return TOO_MUCH
        return _EVALUATION + (int(parts) + copied // 2) // 2

    def _copied(self, values: Mapping[str, Any]) -> int:
        """Return the number of entries that are copied while macros build lists."""
        longest = min(self._longest(values), MAX_ROUNDS)
        return sum(min(longest ** (depth + 1), MAX_ROUNDS) * longest for depth in self._rules.builds)

    def _is_in_parts(self, values: Mapping[str, Any]) -> bool:
        return self._in_parts is not None and _lines_of(values) > FROM_LINES

    def _evaluated_together(self, values: Values) -> bool:
        """Return the result. The converted values are kept for the next condition on the same `values`."""
        program = self._program
        if self._is_in_parts(values):
            program = self._in_parts
        key = frozenset(self._rules.tested)
        result = program.eval(activation=_activation(values, key, fit=False))
        if _is_unfit(result):
            result = program.eval(activation=_activation(values, key, fit=True))
        return result.value() is True

    def _parts(self, values: Mapping[str, Any]) -> float:
        """Return the nodes evaluated in all rounds of macros, plus the values read by their comparisons."""
        longest, rules = self._longest(values), self._rules
        work = 0.0
        for depth, parts in rules.steps.items():
            work += min(longest**depth, MAX_ROUNDS) * parts
        for depth, name, power in rules.scans:
            weight = next(binding.weight(values)[0] for binding in self._bindings if binding.name == name)
            work += min(longest**depth, MAX_ROUNDS) * float(longest) ** power * weight
        return work

    def _longest(self, values: Mapping[str, Any]) -> int:
        return max([self._rules.longest_list, *[binding.weight(values)[1] for binding in self._bindings]])


class _Binding:
    """One name of an expression: where its value is, and which part of it is passed to the library."""

    __slots__ = ("_empty", "_field", "_keys", "_nullable", "_tested", "_variable", "name")

    def __init__(self, name: str, keys: set[str] | None, tested: bool) -> None:
        self.name, self._keys, self._tested = name, keys, tested
        self._variable, _, self._field = name.partition(".")
        kind = _kind(name)
        self._empty, self._nullable = _EMPTY.get(kind), kind == "dyn"

    def take(self, values: Mapping[str, Any], data: dict[str, Any]) -> None:
        value = self._found(values)
        if self._tested:
            holder = data.setdefault(self._variable, {})
            if value is not None:
                holder[self._field] = self._part(value)
        elif value is not None:
            data[self.name] = self._part(value)
        elif self._nullable or self._empty is not None:
            data[self.name] = self._empty

    def weight(self, values: Mapping[str, Any]) -> tuple[int, int]:
        """Return the number of values it passes, and the longest list in them; computed once for `Values`."""
        key = (self.name, None if self._keys is None else frozenset(self._keys))
        known = values.cache if isinstance(values, Values) else {}
        if key not in known:
            value = self._found(values)
            known[key] = (1, 1) if value is None else _weigh(self._part(value), 1)
        found: tuple[int, int] = known[key]
        return found

    def _found(self, values: Mapping[str, Any]) -> Any:
        value = values.get(self._variable)
        return value.get(self._field) if self._field and value is not None else value

    def _part(self, value: Any) -> Any:
        if self._keys is None or not isinstance(value, dict):
            return value
        return {key: value[key] for key in self._keys if key in value}


def _kind(name: str) -> str:
    variable, _, field = name.partition(".")
    return FIELDS[variable][field] if field else PLAIN.get(variable, "dyn")


def _lines_of(values: Mapping[str, Any]) -> int:
    return len((values.get("order") or {}).get("lines") or ())


def _program_in_parts(expression: str, rules: Rules) -> Any:
    """Return the program that builds its lists of lines in parts; None if it builds other lists, or none."""
    written, macros = in_parts(expression)
    if not macros or macros < len(rules.builds):
        return None
    try:
        return _environment(rules, NAMES).compile(written)
    except RuntimeError:  # too deep for the library with all the parts in it
        return None


def _activation(values: Values, tested: frozenset[str], *, fit: bool) -> Any:
    """Return all of `values` in the library's form, cached. `tested`: fields in has(). `fit`: convert unfit values."""
    key = (tested, fit)
    found = values.cache.get(key)
    if found is None:
        data: dict[str, Any] = {}
        for binding in _all_bindings(tested):
            binding.take(values, data)
        if fit:
            data = _plain(data)
        if _lines_of(values) > FROM_LINES:
            data |= parts_of(data["order"]["lines"] if "order.lines" in tested else data["order.lines"])
        found = values.cache[key] = _whole_environment(tested).Activation(data=data)
    return found


@cache
def _all_bindings(tested: frozenset[str]) -> "list[_Binding]":
    """Return a binding for every name that a condition may use; `tested` are those in has()."""
    names = [f"{variable}.{field}" for variable, fields in FIELDS.items() for field in fields]
    return [_Binding(name, None, name in tested) for name in (*names, *PLAIN)]


@cache
def _library() -> Any:
    # Imported late because it is 15 MB of C++, which most CLI commands and all tests of the domain don't need.
    from cel_expr_python import cel  # noqa: PLC0415

    return cel


@cache
def _parser() -> Any:
    return _library().NewEnv()


def _environment(rules: Rules, parts: Sequence[str] = ()) -> Any:
    return _new_environment(rules.uses, rules.tested, parts)


@cache
def _whole_environment(tested: frozenset[str]) -> Any:
    """Return an environment with all names, to create activations."""
    environment = _new_environment([binding.name for binding in _all_bindings(tested)], tested, NAMES)
    environment.compile("at")  # it accepts datetimes only after a first compilation
    return environment


def _new_environment(names: Iterable[str], tested: Set[str], parts: Sequence[str]) -> Any:
    types = _library().Type
    kinds = {
        "string": types.STRING,
        "int": types.INT,
        "dyn": types.DYN,
        "timestamp": types.TIMESTAMP,
        "map": types.Map(types.STRING, types.DYN),
        "lines": types.List(types.Map(types.STRING, types.DYN)),
        "texts": types.List(types.STRING),
    }
    # A field is a variable of its own, so that it has a type and is passed alone. But has() needs a key of a map.
    fields = {name: kinds[_kind(name)] for name in names if name not in tested}
    maps = {name.partition(".")[0]: kinds["map"] for name in tested}
    return _library().NewEnv(variables=fields | maps | dict.fromkeys(parts, kinds["lines"]))


def _compiled(environment: Any, expression: str, **options: bool) -> Any:
    try:
        return environment.compile(expression, **options)
    except RuntimeError as error:
        explain(expression, str(error))


def _result_type(program: Any) -> str:
    try:
        return str(program.return_type().name()).lower()
    except RuntimeError:  # some types have no name in the library, such as a map with lists as keys
        return "map"


def _weigh(value: Any, longest: int) -> tuple[int, int]:
    """Return the number of values in `value` (long texts count as several), and its longest list or `longest`."""
    weight = 1
    if isinstance(value, str):
        weight += len(value) // _TEXT_UNIT
    elif isinstance(value, dict | list | tuple):
        longest = max(longest, len(value))
        for item in value.values() if isinstance(value, dict) else value:
            inner, longest = _weigh(item, longest)
            weight += inner
    return weight, longest


def _is_unfit(result: Any) -> bool:
    """Return whether the evaluation failed because the library doesn't accept a value's type."""
    return result.type() == _library().Type.ERROR and any(hint in str(result.value()) for hint in _NOT_PLAIN)


def _plain(value: Any) -> Any:
    """Return `value` in types that the library accepts: integers up to 64 bits, and lists for other collections."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        return float(value)
    return value
