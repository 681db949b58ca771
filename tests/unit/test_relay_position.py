"""The relay's starting position: used if broker and ledger agree, refused if they don't."""

import pytest

from services.relay.position import starting_position
from shared.runtime.errors import OperatorError


@pytest.mark.parametrize(
    ("kafka", "recorded", "last_drawn", "expected"),
    [
        pytest.param(None, 0, 0, 0, id="a new installation"),
        pytest.param(None, 0, 50, 0, id="events written before the first relay ran"),
        pytest.param(10, 10, 50, 10, id="both agree"),
        pytest.param(20, 10, 50, 20, id="the note lags behind, as after a kill"),
        pytest.param(0, 0, 0, 0, id="started once, nothing published"),
    ],
)
def test_it_continues_at_the_brokers_position(kafka: int | None, recorded: int, last_drawn: int, expected: int) -> None:
    for start_at in (None, 7):  # an order that isn't needed is ignored
        found = starting_position(kafka=kafka, recorded=recorded, last_drawn=last_drawn, start_at=start_at)
        assert found == (expected, False)


@pytest.mark.parametrize(
    ("kafka", "recorded", "last_drawn", "said"),
    [
        pytest.param(None, 10, 50, "no committed position", id="the broker forgot"),
        pytest.param(5, 10, 50, "last published position", id="the broker lost its last transactions"),
        pytest.param(60, 10, 50, "only assigned positions up to 50", id="the ledger was restored from an old copy"),
    ],
)
def test_it_refuses_to_guess_and_follows_the_setting(
    kafka: int | None, recorded: int, last_drawn: int, said: str
) -> None:
    with pytest.raises(OperatorError, match=said) as caught:
        starting_position(kafka=kafka, recorded=recorded, last_drawn=last_drawn, start_at=None)
    assert "COUPONRY_RELAY_START_AT" in str(caught.value)
    assert starting_position(kafka=kafka, recorded=recorded, last_drawn=last_drawn, start_at=7) == (6, True)
