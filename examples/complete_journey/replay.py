"""The study's year as Kafka records, in phases, as sent by `couponry demo` and the process-kill test.

    wallet = Wallet()
    load(campaigns())
    for phase in phases(wallet):
        for record in phase.records():
            send(record.topic, record.key, record.value, record.headers)
        wait until all of them are processed (see below)
        if phase.fills_wallet:
            for data in everything on coupons.issued: wallet.add(data)

**Wait between phases.** Within a phase the records can be processed in any order, by any number of processes, any
number of times, with the same result. Between phases the order matters. Before the next phase starts, the consumer
groups must have committed up to the end of `rewards`, `signups` and `orders`, and the relay must have published the
whole outbox. After the phase that fills the wallet, `coupons.issued` must also have been read to its end, because the
next phase looks up the codes.

- `rewards`: all mailings, mixed with duplicates and broken records. The orders need their codes.
- `orders`: orders of the first round and orders without coupons, mixed with duplicates and broken records. They use
  coupons that the next round names again.
- `later orders`: orders that name a coupon that an order of the first round also names.
- `cancellation`: the cancellation of one order with many coupons, a duplicate of it, and one with a new event id.
- `noise`: the remaining duplicates, the cancelled order with a new event id, event ids reused for other content, broken
  sign-ups.

This module imports no code of Couponry and sends only what any shop could send. Names of topics have no prefix. All
content comes from `data/` and `recipe.py`; nothing depends on a clock.
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
"""Number of lines of rewards.ndjson.gz, which progress bars need before the file is read."""


class SentRecord(NamedTuple):
    """A Kafka record to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Phase:
    """Records that can be processed in any order. `records()` yields `count` of them, the same ones in every call."""

    name: str
    count: int
    records: Callable[[], Iterator[SentRecord]]
    fills_wallet: bool = False


class IssuedTwiceError(ValueError):
    """A household holds two coupons of a campaign that gives it one."""


class Wallet:
    """The issued codes by customer and campaign, as a shop's app would store them."""

    def __init__(self) -> None:
        self._coupons: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, issued: Mapping[str, Any]) -> None:
        """Add a coupon from the `data` of its coupon.issued event. Adding a coupon twice changes nothing.

        Raise IssuedTwiceError if the customer already holds another coupon of that campaign.
        """
        key = (str(issued["customer"]["customer_id"]), str(issued["campaign_id"]))
        coupon = (str(issued["coupon_id"]), str(issued["code"]))
        if self._coupons.setdefault(key, coupon) != coupon:
            raise IssuedTwiceError(f"{key[0]} got a second coupon of campaign {key[1]}.")

    def code(self, customer_id: str, campaign_id: str) -> str:
        """Return the code of the customer's coupon of the campaign. Raise KeyError if there is none."""
        return self._coupons[customer_id, campaign_id][1]

    def __len__(self) -> int:
        return len(self._coupons)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._coupons


def campaigns() -> Iterator[Json]:
    """Yield the 1,197 campaign definitions of `campaigns_file`, in the form that `couponry campaigns load` takes."""
    return map(json.loads, lines("campaigns"))


def campaigns_file() -> Path:
    return DATA / "campaigns.ndjson.gz"


def lines(name: str) -> Iterator[bytes]:
    """Yield the lines of a file under `data/`, decompressed, without line ends."""
    with gzip.open(DATA / f"{name}.ndjson.gz") as file:
        for line in file:
            yield line.rstrip(b"\n")


def phases(wallet: Wallet) -> Iterator[Phase]:
    """Yield all phases in order. Later ones look up codes in `wallet` when their records are generated."""
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
    """Return the phase of the mailings, their immediate duplicates and the broken records, mixed."""
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
    """Return the phase of one round of orders, their immediate duplicates and `extra`, mixed."""
    subjects = {wish["event"]["subject"] for wish in wishes}
    at_once = [repeat for repeat in again if repeat.at_once and repeat.subject in subjects]

    def records() -> Iterator[SentRecord]:
        events = with_codes(wishes, wallet)
        repeated = [_repeated(events[repeat.subject], repeat) for repeat in at_once]
        yield from _mixed(name, [_structured(event) for event in events.values()], [*repeated, *extra])

    return Phase(name, len(wishes) + len(at_once) + len(extra), records)


def with_codes(wishes: Iterable[Json], wallet: Wallet) -> dict[str, Json]:
    """Return the order events by order id, with the codes of the household's own coupons.

    Raise KeyError if a coupon is not in the wallet: not every coupon was issued, or not every event was read.
    """
    events = {}
    for wish in wishes:
        data = wish["event"]["data"]
        customer = data["customer"]["customer_id"]
        codes = [wallet.code(customer, campaign_id) for campaign_id in wish["coupons"]]
        events[data["order_id"]] = {**wish["event"], "data": {**data, "coupon_codes": codes}}
    return events


def _cancellation() -> Iterator[SentRecord]:
    """Yield the cancellation of an order, its duplicate, and a cancellation with another event id."""
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
    """Return the phase of the remaining noise, mixed."""
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
    """Yield events with the id of an earlier event but different content, which become dead letters."""
    half = recipe.REUSED_IDS // 2
    rewards = (json.loads(line) for line in lines("rewards"))
    for _, event in zip(range(half), rewards, strict=False):
        yield _structured({**event, "data": {**event["data"], "customer": {"customer_id": "household-0"}}})
    for _, event in zip(range(half), orders.values(), strict=False):
        yield _structured({**event, "data": {**event["data"], "coupon_codes": ["NO-SUCH-CODE"], "amount": "0.01"}})


def _repeated(event: Json, repeat: recipe.Repeat) -> SentRecord:
    """Return the event again, in binary mode: the mode is not part of an event's content."""
    return _binary({**event, "id": event["id"] + "-again"} if repeat.new_id else event)


def _structured(event: Json, line: bytes | None = None) -> SentRecord:
    """Return the event as a structured CloudEvent. Pass its JSON as `line` if it is available."""
    value = line if line is not None else json.dumps(event, separators=(",", ":")).encode()
    return SentRecord(TOPICS[event["type"]], event["subject"].encode(), value, malformed.STRUCTURED)


def _binary(event: Json) -> SentRecord:
    """Return the event in binary mode: attributes as headers, `data` as the value."""
    attributes = ("specversion", "id", "source", "type", "subject", "time")
    headers = [(f"ce_{name}", str(event[name]).encode()) for name in attributes]
    value = json.dumps(event["data"], separators=(",", ":")).encode()
    key = event["subject"].encode()
    return SentRecord(TOPICS[event["type"]], key, value, (("content-type", b"application/json"), *headers))


def _sent(broken: Iterable[malformed.Malformed], topic: str) -> list[SentRecord]:
    """Return the broken records of a topic."""
    return [SentRecord(*record[:4]) for record in broken if record.topic == topic]


def _mixed(purpose: str, records: Sequence[SentRecord], extra: Sequence[SentRecord]) -> Iterator[SentRecord]:
    """Yield `records` in order, with `extra` inserted at random positions that are the same in every run."""
    random = recipe.randomness(f"mix {purpose}")
    places = [(float(place), record) for place, record in enumerate(records)]
    places.extend((random.uniform(0, len(records)), record) for record in extra)
    places.sort(key=lambda placed: placed[0])
    return (record for _, record in places)
