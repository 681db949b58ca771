"""Conditions that share converted values, or build lists in parts, give the same results as separate ones."""

from typing import Any

import pytest

from shared.domain.offers.conditions import Values
from shared.ledger import conditions
from shared.ledger.condition_parts import FROM_LINES, PARTS, in_parts, parts_of
from tests.unit.condition_values import changed, redemption
from tests.unit.test_conditions_refused import lines

EXPRESSIONS = [
    "order.lines.filter(line, line.quantity == 1).size() == order.lines.size()",
    "order.lines.filter(line, line.metadata.n < 17).size() == 17",
    "order.lines.filter(line, line.metadata.n > 900).map(line, line.product_id).size() > 3",
    "order.lines.map(line, line.metadata.n)[7] == 7 && order.lines.map(line, line.line_id)[0] == '0'",
    "'p299' in order . lines\n . map( line, line.product_id )",
    "order.lines.map(line, line.metadata.n).exists(n, n == 299)",
    "order.lines.filter(line, line.nowhere == 1).size() == 0",
    "order.lines.filter(line, line.metadata.nowhere == 1).size() == 0",
    "order.lines.filter(line, line.metadata.n / (line.metadata.n - 5) > 1).size() == 0 || true",
    "order.lines.filter(line, line.product_id == 'order.lines.filter(') == [] // order.lines.map(",
    'order.lines.filter(line, line.product_id == "x)\\")").size() == 0',
    "has(order.lines) && order.lines.map(line, line.quantity) == order.lines.map(line, 1)",
    "order.lines.filter(line, true) == order.lines",
    "[1, 2].all(x, order.lines.filter(line, line.quantity == x || true).size() > x)",
    "order.lines.all(a, order.lines.filter(b, b == a).size() == 1)",
    "has(order.channel) || has(order.metadata.big) || order.metadata.n == 1",
    "order.metadata.big > 5 && order.lines.map(line, line.quantity)[0] == 1",
    "order.shipping_minor == null && customer.segments.exists(s, s == 'gold')",
    "campaign.metadata.tier == 2 && coupon.code == 'SAVE-1' && at > timestamp('2026-01-01T00:00:00Z')",
]
NUMBERS = [0, 1, 40, FROM_LINES, FROM_LINES + 1, 640, 1_001]


def known(expression: str) -> Any:
    try:
        return redemption(expression)
    except conditions.ConditionError:
        return None


@pytest.mark.parametrize("metadata", [{"n": 1}, {"n": 1, "big": 2**70}, {}])
@pytest.mark.parametrize("number", NUMBERS)
def test_shared_evaluation_gives_the_same_results_as_separate_evaluation(number: int, metadata: dict[str, Any]) -> None:
    values = changed(lines=lines(number), metadata=metadata)
    together = Values(values)
    compiled = [one for one in map(known, EXPRESSIONS) if one is not None]
    assert len(compiled) >= len(EXPRESSIONS) - 1
    for condition in compiled:
        assert condition(together) is condition(values), (condition, number)


def test_the_conditions_have_different_results() -> None:
    values = Values(changed(lines=lines(640), metadata={"n": 1}))
    results = [condition(values) for condition in map(known, EXPRESSIONS) if condition is not None]
    assert {True, False} == set(results)


def test_the_lines_are_converted_once_for_all_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    make = conditions._whole_environment(frozenset()).Activation

    class Counting:
        def Activation(self, data: dict[str, Any]) -> Any:  # noqa: N802
            made.append(data)
            return make(data=data)

    monkeypatch.setattr(conditions, "_whole_environment", lambda _: Counting())
    values = Values(changed(lines=lines(400)))
    for n in range(20):
        assert redemption(f"order.lines.exists(line, line.quantity < {n + 2})")(values) is True
    assert len(made) == 1


def test_only_lists_of_lines_are_rewritten_in_parts() -> None:
    written, macros = in_parts("order.lines.filter(l, l.a == '.map(').map(l, l.b)[0] == order.lines.map(l, 1)[0]")
    assert macros == 3
    assert written.count(".filter(l, l.a == '.map(').map(l, l.b)") == PARTS
    for text in (
        "order.lines.exists(l, l.a == 1)", "my.order.lines.map(l, 1)", "'order.lines.map(l, 1)' == ''",
        'r"\\" + "order.lines.map(l, 1)" == ""', "order.metadata.lines.map(l, 1) == []",
        "1 == 1 // order.lines.map(l, 1)",
    ):  # fmt: skip
        assert in_parts(text) == (text, 0)


@pytest.mark.parametrize("number", [0, 1, 63, 64, 65, 301, 10_000])
def test_the_parts_contain_all_lines_in_order(number: int) -> None:
    parts = parts_of(list(range(number)))
    assert len(parts) == PARTS
    assert [one for part in parts.values() for one in part] == list(range(number))


def test_the_work_of_lists_grows_linearly_with_the_lines() -> None:
    condition = redemption("order.lines.filter(line, line.quantity > 0).size() > 0")
    small, large = (condition.work(Values(changed(lines=lines(number)))) for number in (600, 4_800))  # type: ignore[attr-defined]
    assert large < 30 * small
    event = redemption("order.lines.map(line, line.quantity).size() > [1].map(x, x).size()")
    assert event.work(Values(changed(lines=lines(4_800)))) > 5 * large  # type: ignore[attr-defined]
