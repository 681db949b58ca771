"""A rehearsal in memory reproduces the published examples of the five reference systems."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.rehearsal.memory import MemoryLedger
from cli.rehearsal.script import Script
from cli.rehearsal.stage import settings_of
from services.issuer.handler import to_commands
from services.redeemer.handler import to_command
from shared.domain.model.commands import Cause, Command, CreateCoupons, IssueCoupons
from shared.domain.model.customer import Customer
from shared.ledger.matching import MatchIndex
from tests.received_events import received
from tests.worked_examples import Example, of_issue, of_order, read_examples

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
EXAMPLES = read_examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_published_example_has_the_published_result(example: Example) -> None:
    ledger = MemoryLedger(Script((example.campaign,), ()))
    _make(ledger, example)
    for number, step in enumerate(example.steps, start=1):
        expected: dict[str, Any] = step["expect"]
        if "order" in step:
            event = received("order.placed", step["order"], event_id=str(number))
            command = to_command(event, settings_of("placed"))
            assert command is not None
            result = of_order(ledger.execute([command], NOW), lines="lines" in expected)
        else:
            event = received("reward.earned", step["issue"], event_id=str(number))
            commands = to_commands(event, MatchIndex(ledger.state.campaigns))
            events = ledger.execute([_with_response(command, step, example) for command in commands], NOW)
            result = of_issue(events, expected.get("code_like"))
        assert result == expected, f"step {number}"


def _make(ledger: MemoryLedger, example: Example) -> None:
    """Create the coupons that exist before the first step: in bulk without a holder, from a pool with one."""
    for coupon in example.coupons:
        campaign_id, code, holder = example.campaign.campaign_id, coupon["code"], coupon.get("holder")
        command: Command = CreateCoupons(f"/test {code}", campaign_id, codes=(code,), at=BEFORE)
        if holder is not None:
            ledger.load(example.with_pool())
            ledger.import_codes(campaign_id, [code])
            cause = Cause("reward.earned", "/test", code)
            command = IssueCoupons(f"/test {code}", cause, Customer(**holder), (campaign_id,), at=BEFORE)
        kind, data = ledger.execute([command], NOW)[0]
        assert (kind, data["code"]) == ("coupon.issued", code)
    ledger.load(example.campaign)


def _with_response(command: Command, step: dict[str, Any], example: Example) -> Command:
    """Return the command with the response of the external API, as the issuer receives it."""
    source = example.campaign.source
    if not isinstance(command, IssueCoupons) or source.kind != "external":
        return command
    code = "" if source.without_code else step["api_answers"].get("coupon_code", "")
    answers = ((example.campaign.campaign_id, code),) if code or source.without_code else ()
    return replace(command, external_codes=answers)


def test_every_reference_system_has_an_example() -> None:
    systems = Counter(example.system for example in EXAMPLES)
    assert systems.keys() == {"capillary", "gameball", "paddle", "voucherify", "sitevibes"}
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)
