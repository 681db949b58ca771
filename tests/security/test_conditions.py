"""Conditions that cost too much, or open files: refused when they are saved, or when they are evaluated."""

import pytest

from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import Verdict
from shared.ledger.conditions import REDEMPTION_VARIABLES, ConditionError, compile_condition
from shared.ledger.engine import Engine
from tests.ledger import definition, ledger, redeem
from tests.received_events import reward
from tests.security.test_isolation import with_metadata

LONG = {"l": [1] * 7_000}
"""14 KB: metadata of this size is valid."""


@pytest.mark.parametrize(
    "zone",
    [
        "order.metadata.time_zone",
        "order.channel",
        '"/proc/self/fd/5"',
        '"../../etc/localtime"',
        '"/etc/localtime"',
        '""',
    ],
)
def test_a_time_zone_that_could_open_a_file_is_refused(zone: str) -> None:
    with pytest.raises(ConditionError, match="time zone"):
        compile_condition(f"at.getHours({zone}) < 24", REDEMPTION_VARIABLES)


@pytest.mark.parametrize("zone", ["Europe/Amsterdam", "UTC", "America/Argentina/Ushuaia", "+02:00", "-11:30"])
def test_a_valid_time_zone_is_accepted(zone: str) -> None:
    compile_condition(f'at.getHours("{zone}") < 24', REDEMPTION_VARIABLES)


async def test_an_order_whose_metadata_needs_too_many_copies_is_refused_and_others_are_redeemed(
    database_url: str,
) -> None:
    condition = {"name": "list", "expression": "order.metadata.l.filter(x, x > 0).map(x, x).size() > 1"}
    shared = {"code": {"shared_code": "LIST"}, "limits": {"uses_per_coupon": None}}
    async with ledger(database_url, definition("list", **shared, eligibility={"conditions": [condition]})) as pool:
        few, many, other = await Engine(pool).execute(
            [
                with_metadata(redeem("A", ["LIST"]), {"l": [1] * 500}),
                with_metadata(redeem("B", ["LIST"]), LONG),
                with_metadata(redeem("C", ["LIST"]), {"l": [1, 2]}),
            ]
        )
        assert isinstance(few, Verdict)
        assert isinstance(many, Verdict)
        assert isinstance(other, Verdict)
        assert (few.outcome, many.outcome, other.outcome) == ("redeemed", "refused", "redeemed")
        assert [refused.reason for refused in many.refused] == [Reason.REQUEST_TOO_LARGE]


async def test_a_reward_with_too_much_work_is_a_dead_letter_and_others_are_issued(
    database_url: str,
) -> None:
    rules = [
        {
            "event": "reward.earned",
            "match": {"rule_id": "7"},
            "condition": f"event.metadata.l.filter(x, x > -{number}).map(x, x).size() > 1",
        }
        for number in range(1, 60)
    ]
    async with ledger(database_url, definition("many", issues_on=rules)) as pool, open_client(ApiLimits(), 1) as client:
        handler = IssueHandler(
            pool, Engine(pool), ExternalCodes(pool, client, ApiLimits(1, 1, 1), concurrency=1, batch_seconds=1)
        )
        events = [
            reward("1", rule_id="7", metadata={"l": [1, 2]}),
            reward("2", rule_id="7", metadata=LONG),
            reward("3", rule_id="7", metadata={"l": [3, 4]}),
        ]
        poison = await handler.handle(events)
        assert [(one.event, one.error_class) for one in poison] == [(events[1], "too_much_work")]
        assert await pool.fetchval("SELECT count(*) FROM coupons WHERE campaign_id = 'many'") == 2
