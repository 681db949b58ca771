"""Seeded rewards that are earned and revoked, in both orders and repeatedly, and what must be left of them."""

import random
from collections import Counter
from dataclasses import dataclass, field

import orjson

from schemas.campaigns import CampaignDefinition
from schemas.topics import COUPONS_ISSUED, COUPONS_LIFECYCLE, REWARDS
from shared.ledger.database import Pool
from shared.runtime.settings import KafkaSettings
from tests.faults.shop import noon
from tests.integration.kafka_tools import read_all, write_all
from tests.ledger import definition

STORIES = (("earned",), ("earned", "revoked"), ("revoked", "earned"))
ISSUED, REFUSED, VOIDED = "coupon.issued", "coupon.issue_refused", "coupon.voided"


def campaign() -> CampaignDefinition:
    return definition("gold", issues_on=[{"event": "reward.earned"}])


@dataclass
class Rewards:
    """The events of `count` rewards, each of a separate customer, and the number of coupons and events they lead to."""

    count: int
    seed: int
    events: list[tuple[bytes, bytes]] = field(default_factory=list)
    """(key, event); the two events of one reward have the same key, so that they arrive in this order"""
    statuses: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        stories = [self._story(number, chance) for number in range(self.count)]
        for turn in range(max(map(len, stories))):
            self.events += [story[turn] for story in stories if turn < len(story)]

    def _story(self, number: int, chance: random.Random) -> list[tuple[bytes, bytes]]:
        kinds = chance.choice(STORIES)
        events = []
        for kind in kinds:
            one = self._event(number, kind, "")
            events += [one] * chance.choice((1, 1, 2))
            if chance.random() < 0.3:
                events.append(self._event(number, kind, " again"))
                self._count_repeat(kinds, kind)
        self._count_first(kinds)
        return events

    def _count_first(self, kinds: tuple[str, ...]) -> None:
        if kinds[0] == "revoked":
            self.types[REFUSED] += 1
            return
        self.types[ISSUED] += 1
        self.statuses["voided" if "revoked" in kinds else "active"] += 1
        self.types[VOIDED] += "revoked" in kinds

    def _count_repeat(self, kinds: tuple[str, ...], kind: str) -> None:
        """Count what a reward that is earned once more leads to: nothing new, or one more refusal if it was revoked."""
        self.types[REFUSED] += kind == "earned" and kinds[0] == "revoked"

    @staticmethod
    def _event(number: int, kind: str, variant: str) -> tuple[bytes, bytes]:
        data = {"reward_id": f"RW{number}", f"{kind}_at": noon(1 if kind == "earned" else 2)}
        if kind == "earned":
            data |= {"customer": {"customer_id": f"rewarded {number}"}}
        attributes = {"specversion": "1.0", "id": f"{number} {kind}{variant}", "source": "/loyalty"}
        return f"RW{number}".encode(), orjson.dumps({**attributes, "type": f"reward.{kind}", "data": data})

    async def send(self, settings: KafkaSettings, part: slice) -> None:
        topic = settings.topic(REWARDS.name)
        await write_all(settings, [(topic, key, value, None) for key, value in self.events[part]])

    async def check(self, settings: KafkaSettings, pool: Pool) -> None:
        """Compare coupons, ledger entries and published events with the computed numbers."""
        rows = await pool.fetch("SELECT status, count(*) FROM coupons WHERE campaign_id = 'gold' GROUP BY status")
        assert {row[0]: row[1] for row in rows} == +self.statuses
        kinds = await pool.fetch("SELECT kind, count(*) FROM ledger_entries WHERE campaign_id = 'gold' GROUP BY kind")
        assert {row[0]: row[1] for row in kinds} == {"issued": self.types[ISSUED], "voided": self.types[VOIDED]}
        published: Counter[str] = Counter()
        for topic in (COUPONS_ISSUED.name, COUPONS_LIFECYCLE.name):
            records = await read_all(settings, settings.topic(topic))
            headers = [dict(one.headers) for one in records if orjson.loads(one.value).get("campaign_id") == "gold"]
            assert len({one["ce_id"] for one in headers}) == len(headers)
            published += Counter(one["ce_type"].decode() for one in headers)
        assert {kind: published[kind] for kind in (ISSUED, REFUSED, VOIDED)} == dict(self.types)
