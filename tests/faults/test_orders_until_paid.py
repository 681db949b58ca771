"""Orders that hold their coupons until they are paid, with real processes, in every order of events."""

from collections import Counter
from pathlib import Path

import pytest

from schemas.topics import COUPONS_LIFECYCLE
from shared.ledger.engine import Engine
from shared.messaging.topics_admin import create_topics
from tests.faults.fleet import Fleet
from tests.faults.shop import (
    Sent,
    cancelled,
    dead_letters,
    paid,
    placed,
    redemptions,
    send,
    until_published,
    until_read,
)
from tests.integration.kafka_tools import read_all
from tests.integration.service_process import kafka_settings
from tests.ledger import definition, issue, ledger

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.postgres]

REDEEMED, REFUSED, RESTORED = "coupon.redeemed", "coupon.redemption_refused", "coupon.redemption_restored"


async def test_each_order_ends_as_its_events_require_in_any_order(
    environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    settings = kafka_settings(environment)
    await create_topics(settings)
    async with ledger(database_url, definition()) as pool, Fleet(environment, tmp_path) as fleet:
        names = (
            "held",
            "paid",
            "cancelled",
            "cancelled first",
            "paid first",
            "cancelled twice",
            "after paid",
            "placed again",
        )
        codes = dict(zip(names, await issue(Engine(pool), "save10", len(names)), strict=True))
        stories: dict[str, tuple[list[Sent], list[str], tuple[int, int]]] = {
            "held": ([placed("held", codes["held"])], [], (1, 0)),
            "paid": ([placed("paid", codes["paid"]), paid("paid")], [REDEEMED], (0, 1)),
            "cancelled": ([placed("cancelled", codes["cancelled"]), cancelled("cancelled")], [], (0, 0)),
            "cancelled first": (
                [cancelled("cancelled first"), placed("cancelled first", codes["cancelled first"])],
                [REFUSED],
                (0, 0),
            ),
            "paid first": ([paid("paid first"), placed("paid first", codes["paid first"])], [REDEEMED], (0, 1)),
            "cancelled twice": (
                [
                    placed("cancelled twice", codes["cancelled twice"]),
                    cancelled("cancelled twice"),
                    cancelled("cancelled twice"),
                    cancelled("cancelled twice", event_id="another"),
                ],
                [],
                (0, 0),
            ),
            "after paid": (
                [placed("after paid", codes["after paid"]), paid("after paid"), cancelled("after paid")],
                [REDEEMED, RESTORED],
                (0, 0),
            ),
            "placed again": (
                [
                    placed("placed again", codes["placed again"]),
                    cancelled("placed again"),
                    placed("placed again", codes["placed again"], event_id="second placing", day=4),
                ],
                [],
                (1, 0),
            ),
        }
        events = [sent for story, _, _ in stories.values() for sent in story]
        await fleet.add("redeemer", 2, burn_on="paid", batch_max_records=3)
        await fleet.add("relay")
        await fleet.ready()
        await send(settings, events)
        await until_read(settings, len(events))
        await until_published(pool)

        published = await redemptions(settings)
        assert {name: published.get(name, []) for name in stories} == {
            name: types for name, (_, types, _) in stories.items()
        }
        rows = await pool.fetch("SELECT code, held_uses, used_uses FROM coupons")
        uses = {code: (held, used) for code, held, used in rows}
        assert {name: uses[codes[name]] for name in stories} == {name: left for name, (_, _, left) in stories.items()}
        lifecycle = await read_all(settings, settings.topic(COUPONS_LIFECYCLE.name))
        types = Counter(dict(record.headers)["ce_type"].decode() for record in lifecycle)
        assert types == {"coupon.locked": 7, "coupon.released": 3}
        assert await dead_letters(settings) == 0
        assert fleet.unforeseen == []
