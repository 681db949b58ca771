"""Every decided event is valid for its model and schema, and is unchanged by JSON and Avro.

The worlds and commands are those of `decide_strategies`, with names of full length instead of short ones, amounts of up
to 18 digits, and documents at their limits.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.limits import MAX_CODES, MAX_ID_LENGTH, MAX_PAYLOAD_BYTES, MAX_WRITTEN_BYTES
from shared.domain.decide import decide, evolve
from shared.domain.model.campaign import Campaign, DiscountOffer
from shared.domain.model.commands import Cause, Command, CreateCoupons, IssueCoupons, VoidCoupon
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer
from shared.domain.model.ids import SHOP_SEPARATOR, derived_id, order_key, readable
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.state import State, Supply
from shared.domain.model.verdicts import Verdict
from shared.ledger.events import events_of
from shared.ledger.outbox import OutboxRow
from tests.builders import JOHN, NOW, Source, World, campaign, gift, key_of, percent
from tests.schema_strategies import METADATA, PAYLOADS, PIECES
from tests.unit.decide_strategies import CODES, Step, steps, worlds
from tests.unit.test_decide_properties import numbered, over, start
from tests.unit.test_written_events import check_written

SHORT = ("x", "y", "z", *CODES, "O1", "O2", "l1", "l2", "p1", "p2", "p9", "john", "mary", "sub-1", "nope", "vip", "web")
LINES = ("1", "2", "3")
PLAIN_FIELDS = frozenset({"value", "amount", "command_id"})
LONGER = (*PIECES, "\U000e0001", "\u00a0x")
"""Messages show a tag character as \\U000e0001: ten characters for one."""


def long_name(piece: str, short: str) -> str:
    """Return a name of full length that is unique to the short name."""
    return (short + piece * MAX_ID_LENGTH)[:MAX_ID_LENGTH]


def renamed(value: Any, names: Mapping[str, str], factor: int) -> Any:
    """Return `value` with long names instead of short ones, and amounts multiplied by `factor`."""
    if isinstance(value, str):
        return names.get(value, value)
    if is_dataclass(value) and not isinstance(value, type):
        changed: dict[str, Any] = {}
        for one in fields(value):
            member = getattr(value, one.name)
            if one.name.endswith("_minor") and isinstance(member, int):
                changed[one.name] = member * factor
            elif one.init and one.name not in PLAIN_FIELDS:
                changed[one.name] = renamed(member, names, factor)
        return replace(value, **changed)
    if isinstance(value, tuple | list | frozenset):
        return type(value)(renamed(member, names, factor) for member in value)
    return value


def prepared(state: State, command: Command) -> None:
    """Add what the ledger loads for a command: its customer key, and codes to issue, as UUIDs."""
    state.customers = {command.command_id: key_of(getattr(command, "customer", None))}
    state.supplies = {}
    if isinstance(command, IssueCoupons | CreateCoupons):
        ids = command.campaign_ids if isinstance(command, IssueCoupons) else (command.campaign_id,)
        for campaign_id in ids:
            for number in range(max(command.coupons, 1)):
                made = state.campaigns.get(campaign_id)
                shared = None if made is None else made.code.shared_code
                name = shared or f"{command.command_id}-{campaign_id}-{number}"[-MAX_ID_LENGTH:]
                coupon_id = state.coupon_ids.get(code_key(name)) or derived_id("coupon", name)
                state.supplies[command.command_id, campaign_id, number] = Supply(coupon_id, name)


def check(rows: list[OutboxRow]) -> None:
    for row in rows:
        assert len(row.data.encode()) <= MAX_WRITTEN_BYTES
        assert "\\u001f" not in row.data  # no event has the key of an order
        assert SHOP_SEPARATOR not in f"{row.key}{row.subject}"
        check_written(row.type, row.data.encode(), row.subject)


unhurried = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
pieces = st.sampled_from(LONGER)
creates = st.builds(
    CreateCoupons,
    st.just(""),
    st.sampled_from(["x", "y", "z", "nope"]),
    st.integers(0, 3),
    st.lists(st.sampled_from(["A", "fresh", "other"]), max_size=2).map(tuple),
    channel=st.sampled_from(["cli", "http"]),
)
emails = st.builds(
    IssueCoupons,
    st.just(""),
    st.just(Cause("reward.earned", "/loyalty", "i" * MAX_ID_LENGTH)),
    st.sampled_from([Customer(None, "ann@example.com"), Customer("c", "", "")]),
    st.lists(st.sampled_from(["x", "y", "z", "nope"]), max_size=3).map(tuple),
)
more_steps = st.lists(st.tuples(st.just(timedelta(0)), creates | emails), max_size=3)


@unhurried
@given(
    made=worlds,
    given=steps,
    more=more_steps,
    piece=pieces,
    factor=st.sampled_from([1, 1, 10**14]),
    metadata=st.none() | METADATA,
    payload=st.none() | PAYLOADS,
    has_shops=st.booleans(),
)
def test_every_event_of_every_verdict_is_valid(
    *,
    made: tuple[Campaign, ...],
    given: list[Step],
    more: list[Step],
    piece: str,
    factor: int,
    metadata: dict[str, Any] | None,
    payload: dict[str, Any] | None,
    has_shops: bool,
) -> None:
    names = {short: long_name(piece, short) for short in (*SHORT, *LINES)}
    if has_shops:
        names |= {short: order_key(long_name(piece, "shop"), names[short]) for short in ("O1", "O2")}
    names["order:O1"] = readable(f"order:{names['O1']}")
    if payload is not None:
        made = (replace(made[0], discount=DiscountOffer("custom", "0", payload=payload)), *made[1:])
    state = start(made).state()
    state.coupons = {}
    for short, coupon_id in zip(CODES, map(derived_id, CODES), strict=True):
        before = start(made).coupons[f"id-{short}"]
        code = names[short]
        state.coupons[coupon_id] = replace(
            before, coupon_id=coupon_id, code=code, campaign_id=names[before.campaign_id]
        )
    state.coupon_ids = {code_key(one.code): one.coupon_id for one in state.coupons.values()}
    state.campaigns = {names[one.campaign_id]: renamed(one, names, factor) for one in made}
    for now, command in numbered([*given, *more]):
        wanted = renamed(command, names, factor)
        if isinstance(wanted, RedeemCoupons):
            wanted = replace(wanted, metadata=metadata)
        for each in [*over(state, now), replace(wanted, command_id=command.command_id)]:
            check(decided(state, each, now))


def decided(state: State, command: Command, now: datetime) -> list[OutboxRow]:
    prepared(state, command)
    verdict: Verdict = decide(command, state, now)
    evolve(state, verdict)
    return list(events_of(command, verdict, state))


def largest_world(count: int, discount: DiscountOffer) -> tuple[State, tuple[str, ...]]:
    """Build `count` combinable coupons, with every name of full length in characters of four bytes."""
    world = World((campaign(long_name("😀", "c"), discount=discount, stacking="combinable"),))
    codes = tuple(long_name("😀", f"{number}-") for number in range(count))
    for code in codes:
        coupon_id = derived_id("coupon", code)
        world.state.coupons[coupon_id] = Coupon(coupon_id, code, long_name("😀", "c"), uses_limit=1)
        world.state.coupon_ids[code_key(code)] = coupon_id
    return world.state, codes


def test_the_largest_event_of_one_order_keeps_payloads_and_details() -> None:
    payload = {"p": "x" * (MAX_PAYLOAD_BYTES - len('{"p":""}'))}
    state, codes = largest_world(MAX_CODES, DiscountOffer("custom", "0", payload=payload))
    order = Order(long_name("😀", "o"), "USD", 5_000, (Line(long_name("😀", "l"), "p", 1, 5_000),), placed_at=NOW)
    customer = Customer(long_name("😀", "who"), "😀" * 255, "😀" * 255)
    metadata = {"m": "x" * (16_384 - len('{"m":""}'))}
    command = RedeemCoupons("c", order, codes, customer, at=NOW, metadata=metadata)
    [row] = decided(state, command, NOW)
    event_data = orjson.loads(row.data)
    assert row.type == "coupon.redeemed"
    assert len(event_data["coupons"]) == MAX_CODES
    assert all(coupon["discount"]["payload"] == payload for coupon in event_data["coupons"])
    check([row])


def test_an_event_with_hundreds_of_coupons_omits_fields_that_the_campaign_has() -> None:
    payload = {"p": "x" * (MAX_PAYLOAD_BYTES - len('{"p":""}'))}
    state, codes = largest_world(3 * MAX_CODES, DiscountOffer("custom", "0", payload=payload))
    order = Order("o", "USD", 5_000, placed_at=NOW)
    [row] = decided(state, RedeemCoupons("c", order, codes, JOHN, at=NOW), NOW)
    assert len(orjson.loads(row.data)["coupons"]) == 3 * MAX_CODES
    check([row])


def test_a_request_with_the_longest_idempotency_key_has_a_cause_within_the_limit_of_an_id() -> None:
    world = World((campaign("x"),))
    command_id = f"/couponry/http/{'n' * 100} {'k' * 255}"
    [row] = decided(world.state, CreateCoupons(command_id, "x", 1, channel="http"), NOW)
    assert orjson.loads(row.data)["caused_by"]["id"] == "k" * 255
    check([row])


def test_a_coupon_for_a_customer_without_an_id_has_no_subject() -> None:
    world = World((campaign("x"),))
    cause = Cause("coupons.issue", "/couponry/http/n", "k")
    rows = decided(world.state, IssueCoupons("c", cause, Customer(None, "a@example.com"), ("x",)), NOW)
    assert [row.subject for row in rows] == [""]
    check(rows)


def test_an_order_of_the_longest_id_can_be_held_paid_and_cancelled() -> None:
    world = World((campaign("x", discount=percent("10")),))
    world.coupon("A", "x")
    coupon = world.state.coupons.pop("id-A")
    coupon.coupon_id = derived_id("coupon", "A")
    world.state.coupons[coupon.coupon_id] = coupon
    world.state.coupon_ids["A"] = coupon.coupon_id
    order = Order("字" * 255, "JPY", 10**18 - 1, placed_at=NOW)
    commands: list[Command] = [
        RedeemCoupons("1", order, ("A",), JOHN, hold=True, hold_seconds=60, at=NOW),
        PayOrder("2", order.order_id, NOW),
        ReturnOrder("3", order.order_id, False, NOW, amount="999"),
        CancelOrder("4", order.order_id, NOW),
    ]
    rows = [row for command in commands for row in decided(world.state, command, NOW)]
    check(rows)
    assert [row.type.removeprefix("coupon.") for row in rows] == [
        "locked", "redeemed", "redemption_restored", "redemption_restored"
    ]  # fmt: skip


def test_a_gift_with_the_longest_product_id_is_valid() -> None:
    world = World((campaign("x", discount=gift(1_000, "😀" * 255)),))
    world.coupon("A", "x")
    order = Order("o", "USD", 1, placed_at=NOW)
    [row] = decided(world.state, RedeemCoupons("c", order, ("A",), JOHN, at=NOW), NOW)
    assert row.type == "coupon.redeemed"
    check([row])


def test_a_coupon_without_a_code_has_none_in_its_events() -> None:
    source = Source("external", "https://codes.example", (), True)
    world = World((campaign("x", source=source),))
    command = IssueCoupons("c", Cause("reward.earned", "/loyalty", "1"), replace(JOHN, email="a@example.com"), ("x",))
    prepared(world.state, command)
    coupon_id = derived_id("coupon", "nameless")
    world.state.supplies = {("c", "x", 0): Supply(coupon_id, None)}
    verdict = decide(command, world.state, NOW)
    evolve(world.state, verdict)
    [row] = events_of(command, verdict, world.state)
    assert (row.type, orjson.loads(row.data)["code"]) == ("coupon.issued", None)
    check([row])
    coupon = Coupon(coupon_id, "", "x", uses_limit=1)
    world.state.coupons[coupon_id], world.state.coupon_ids[""] = coupon, coupon_id
    rows = [
        *decided(world.state, RedeemCoupons("r", Order("o", "USD", 100, placed_at=NOW), ("",), JOHN, at=NOW), NOW),
        *decided(world.state, CancelOrder("n", "o", NOW), NOW),
        *decided(world.state, VoidCoupon("v", ""), NOW),
    ]
    check(rows)
    assert len(rows) == 3
