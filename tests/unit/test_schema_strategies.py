"""The strategies themselves: what they call valid is valid, and all readers agree."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.catalogue import BY_TYPE
from tests.schema_strategies import event_json, example_of, invalid_event_json, is_valid

unhurried = settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.parametrize("type_name", sorted(BY_TYPE))
def test_valid_events_are_valid_and_nasty_ones_are_not(type_name: str) -> None:
    @unhurried
    @given(event_json(type_name), invalid_event_json(type_name))
    def check(valid: bytes, nasty: bytes) -> None:
        assert is_valid(type_name, valid)
        assert not is_valid(type_name, nasty)

    check()


def test_one_number_gives_one_example() -> None:
    strategy: st.SearchStrategy[bytes] = event_json("order.placed")
    assert example_of(strategy, 7) == example_of(strategy, 7)
    assert len({example_of(strategy, number) for number in range(5)}) > 1
