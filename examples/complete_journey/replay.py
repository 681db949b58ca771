"""The study's year as Kafka records, in phases: what `couponry demo` and the process-kill test send.

    wallet = Wallet()
    load(campaigns())
    for phase in phases(wallet):
        for record in phase.records():
            send(record.topic, record.key, record.value, record.headers)
        wait until all of it is handled (see below)
        if phase.fills_wallet:
            for data in everything on coupons.issued: wallet.add(data)

**What must be waited for.** Inside a phase the records may be handled in any order, by any number of processes, any
number of times: the result is the same. Between phases the order matters, so before the next phase starts all of this
one must be handled: the consumer groups have committed up to the end of `rewards`, `signups` and `orders`, and the
relay has published the outbox to its end. After the phase that fills the wallet its reader must have read
`coupons.issued` to that end too, because the next phase looks the codes up.

- `rewards`: every mailing, some of them sent again at once, broken records among them. The orders need the codes.
- `orders`: orders of the first round, orders without coupons, some sent again at once, broken records among them.
  They use up what the next round asks for again.
- `later orders`: orders naming a coupon that an order of the first round also names.
- `cancellation`: one order with many coupons cancelled, the same event again, the same said under a new event id.
- `noise`: the rest of what is sent again, the cancelled order under a new event id, event ids reused for other content,
  broken sign-ups.

It imports no part of the product: what it sends is what any shop could send. Names of topics are without prefix.
Everything is read from `data/` and chosen by `recipe.py`; nothing here looks at a clock.
"""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from examples.complete_journey import malformed, recipe

DATA = Path(__file__).parent / "data"

Json = dict[str, Any]
Headers = tuple[tuple[str, bytes], ...]

TOPICS = {"reward.earned": "rewards", "order.placed": "orders", "order.cancelled": "orders"}
REWARD_EVENTS = 61_294
"""Lines of rewards.ndjson.gz: progress bars and choices need it before the file is read."""


class SentRecord(NamedTuple):
    """One Kafka record to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Phase:
    """Records that may be handled in any order. `count` is how many `records()` yields; each call yields them anew."""

    name: str
    count: int
    records: Callable[[], Iterator[SentRecord]]
    fills_wallet: bool = False


class IssuedTwiceError(ValueError):
    """A household holds two coupons of a campaign that gives it one."""


class Wallet:
    """The codes that were issued, as a shopper's app would hold them: looked up by customer and campaign."""

    def __init__(self) -> None:
        self._coupons: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, issued: Mapping[str, Any]) -> None:
        """Takes the `data` of one coupon.issued event. The same coupon again changes nothing.

        Raises IssuedTwiceError when the customer already holds another coupon of that campaign.
        """
        key = (str(issued["customer"]["customer_id"]), str(issued["campaign_id"]))
        coupon = (str(issued["coupon_id"]), str(issued["code"]))
        if self._coupons.setdefault(key, coupon) != coupon:
            raise IssuedTwiceError(f"{key[0]} was given a second coupon of {key[1]}")

    def code(self, customer_id: str, campaign_id: str) -> str:
        """The code of that customer's coupon of that campaign. Raises KeyError where there is none."""
        return self._coupons[customer_id, campaign_id][1]

    def __len__(self) -> int:
        return len(self._coupons)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._coupons


def campaigns() -> Iterator[Json]:
    """The 1,197 campaign definitions, in the form `couponry campaigns load` takes (`campaigns_file` is the same)."""
    return map(json.loads, lines("campaigns"))


def campaigns_file() -> Path:
    return DATA / "campaigns.ndjson.gz"


def lines(name: str) -> Iterator[bytes]:
    """The lines of one file under `data/`, unpacked, without their line ends."""
    with gzip.open(DATA / f"{name}.ndjson.gz") as file:
        for line in file:
            yield line.rstrip(b"\n")


def phases(wallet: Wallet) -> Iterator[Phase]:
    """All phases in their order. Later ones look codes up in `wallet` when their records are asked for."""
    broken = malformed.records()
    wishes = [json.loads(line) for line in lines("orders")]
    again = recipe.repeats("orders", [wish["event"]["subject"] for wish in wishes])
    yield _rewards_phase(_sent(broken, "rewards"))
    plain = [_structured(json.loads(line), line) for line in lines("plain_orders")]
    first = [wish for wish in wishes if wish["round"] == 1]
    later = [wish for wish in wishes if wish["round"] > 1]
    yield _orders_phase("orders", wallet, first, again, [*plain, *_sent(broken, "orders")])
    yield _orders_phase("later orders", wallet, later, again, [])
    yield Phase("cancellation", 3, _cancellation)
    yield _noise_phase(wallet, wishes, again, _sent(broken, "signups"))


def _rewards_phase(broken: Sequence[SentRecord]) -> Phase:
    """The mailings, those sent again at once, and the broken records, mixed."""
    again = {repeat.subject: repeat for repeat in _reward_repeats() if repeat.at_once}

    def records() -> Iterator[SentRecord]:
        sent, extra = [], list(broken)
        for line in lines("rewards"):
            event = json.loads(line)
            sent.append(_structured(event, line))
            if repeat := again.get(event["id"]):
                extra.append(_repeated(event, repeat))
        yield from _mixed("rewards", sent, extra)

    return Phase("rewards", REWARD_EVENTS + len(again) + len(broken), records, fills_wallet=True)


@cache
def _reward_repeats() -> list[recipe.Repeat]:
    return recipe.repeats("rewards", [json.loads(line)["id"] for line in lines("rewards")])


def _orders_phase(
    name: str, wallet: Wallet, wishes: Sequence[Json], again: Sequence[recipe.Repeat], extra: Sequence[SentRecord]
) -> Phase:
    """Orders of one round, those of them that are sent again at once, and `extra`, mixed."""
    subjects = {wish["event"]["subject"] for wish in wishes}
    at_once = [repeat for repeat in again if repeat.at_once and repeat.subject in subjects]

    def records() -> Iterator[SentRecord]:
        events = with_codes(wishes, wallet)
        repeated = [_repeated(events[repeat.subject], repeat) for repeat in at_once]
        yield from _mixed(name, [_structured(event) for event in events.values()], [*repeated, *extra])

    return Phase(name, len(wishes) + len(at_once) + len(extra), records)


def with_codes(wishes: Iterable[Json], wallet: Wallet) -> dict[str, Json]:
    """The order events by order id, with the codes of the household's own coupons.

    Raises KeyError where a coupon is not in the wallet: not everything was issued, or not everything read.
    """
    events = {}
    for wish in wishes:
        data = wish["event"]["data"]
        customer = data["customer"]["customer_id"]
        codes = [wallet.code(customer, campaign_id) for campaign_id in wish["coupons"]]
        events[data["order_id"]] = {**wish["event"], "data": {**data, "coupon_codes": codes}}
    return events


def _cancellation() -> Iterator[SentRecord]:
    """One order cancelled, the same event again, and the same said by an event of its own."""
    event = cancellation("cancelled-1")
    yield _structured(event)
    yield _binary(event)
    yield _structured(cancellation("cancelled-2"))


def cancellation(event_id: str) -> Json:
    cancelled_at = "2018-01-02T12:00:00Z"
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/complete-journey/shop",
        "type": "order.cancelled",
        "subject": recipe.CANCELLED_ORDER_ID,
        "time": cancelled_at,
        "datacontenttype": "application/json",
        "data": {
            "order_id": recipe.CANCELLED_ORDER_ID,
            "cancelled_at": cancelled_at,
            "reason": "changed their mind",
        },
    }


def _noise_phase(
    wallet: Wallet, wishes: Sequence[Json], again: Sequence[recipe.Repeat], broken: Sequence[SentRecord]
) -> Phase:
    """What is left of the noise, mixed."""
    rewards = {repeat.subject: repeat for repeat in _reward_repeats() if not repeat.at_once}
    orders = [repeat for repeat in again if not repeat.at_once]
    orders.append(recipe.Repeat(recipe.CANCELLED_ORDER_ID, new_id=True, at_once=False))

    def records() -> Iterator[SentRecord]:
        events = with_codes(wishes, wallet)
        mailings = (event for event in map(json.loads, lines("rewards")) if event["id"] in rewards)
        sent = [_repeated(event, rewards[event["id"]]) for event in mailings]
        repeated = [_repeated(events[repeat.subject], repeat) for repeat in orders]
        yield from _mixed("noise", sent, [*repeated, *broken, *_reused_ids(events)])

    return Phase("noise", len(rewards) + len(orders) + len(broken) + recipe.REUSED_IDS, records)


def _reused_ids(orders: Mapping[str, Json]) -> Iterator[SentRecord]:
    """Events under the id of another that was handled before, saying something else: dead letters."""
    half = recipe.REUSED_IDS // 2
    rewards = (json.loads(line) for line in lines("rewards"))
    for _, event in zip(range(half), rewards, strict=False):
        yield _structured({**event, "data": {**event["data"], "customer": {"customer_id": "household-0"}}})
    for _, event in zip(range(half), orders.values(), strict=False):
        yield _structured({**event, "data": {**event["data"], "coupon_codes": ["NO-SUCH-CODE"], "amount": "0.01"}})


def _repeated(event: Json, repeat: recipe.Repeat) -> SentRecord:
    """The event again, in binary mode this time: the mode is not part of what an event says."""
    return _binary({**event, "id": event["id"] + "-again"} if repeat.new_id else event)


def _structured(event: Json, line: bytes | None = None) -> SentRecord:
    """The event as a structured CloudEvent; `line` is its JSON where that is at hand."""
    value = line if line is not None else json.dumps(event, separators=(",", ":")).encode()
    return SentRecord(TOPICS[event["type"]], event["subject"].encode(), value, malformed.STRUCTURED)


def _binary(event: Json) -> SentRecord:
    """The event in binary mode: attributes as headers, `data` alone as the value."""
    attributes = ("specversion", "id", "source", "type", "subject", "time")
    headers = [(f"ce_{name}", str(event[name]).encode()) for name in attributes]
    value = json.dumps(event["data"], separators=(",", ":")).encode()
    key = event["subject"].encode()
    return SentRecord(TOPICS[event["type"]], key, value, (("content-type", b"application/json"), *headers))


def _sent(broken: Iterable[malformed.Malformed], topic: str) -> list[SentRecord]:
    """The broken records of one topic."""
    return [SentRecord(*record[:4]) for record in broken if record.topic == topic]


def _mixed(purpose: str, records: Sequence[SentRecord], extra: Sequence[SentRecord]) -> Iterator[SentRecord]:
    """`records` in their order with `extra` scattered among them, the same way every time."""
    random = recipe.randomness(f"mix {purpose}")
    places = [(float(place), record) for place, record in enumerate(records)]
    places.extend((random.uniform(0, len(records)), record) for record in extra)
    places.sort(key=lambda placed: placed[0])
    return (record for _, record in places)
