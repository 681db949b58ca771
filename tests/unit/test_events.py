"""The events of each kind of command, from a decision on a state in memory: no database and no broker."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import orjson
import pytest
from pydantic import BaseModel

from schemas.catalogue import BY_TYPE, CATALOGUE
from schemas.parsing import parse
from shared.domain.model.commands import ChangeCoupon, Command, CreateCoupons, RecordCustomer, RevokeReward
from shared.domain.model.customer import Customer
from shared.domain.model.ids import derived_id, order_key
from shared.domain.model.order_commands import FailPayment
from shared.domain.model.state import Supply
from shared.domain.model.verdicts import Verdict
from shared.ledger.event_data import EventData
from shared.ledger.events import events_of
from shared.ledger.outbox import OutboxRow
from tests.builders import DAY, JOHN, NOW, Limits, Source, World, campaign, order


@dataclass
class Ledger(World):
    """A world that keeps its last command, with the events of its verdict."""

    command: Command | None = None
    events: list[OutboxRow] = field(default_factory=list)

    def run(self, command: Command) -> Verdict:
        verdict = super().run(command)
        self.command, self.events = command, list(events_of(command, verdict, self.state))
        assert list(events_of(command, verdict, self.state)) == self.events, "a retry has the same events"
        return verdict

    def create(self, *codes: str) -> Verdict:
        command = CreateCoupons(self.command_id(), "save10", codes=codes)
        for number, code in enumerate(codes):
            self.state.supplies[command.command_id, "save10", number] = Supply(f"id-{code}", code)
        return self.run(command)


def ledger() -> Ledger:
    """Return a ledger with coupon SAVE10, which can be used once."""
    made = Ledger((campaign(),))
    made.coupon()
    return made


def redeem(made: Ledger) -> None:
    made.redeem("SAVE10")


def redeem_in_part(made: Ledger) -> None:
    made.redeem("SAVE10", "NOPE", metadata={"till": 4})


def redeem_the_last_use(made: Ledger) -> None:
    made.state.campaigns["save10"] = campaign(limits=Limits(2, uses_total=2))
    made.state.coupons["id-SAVE10"].uses_limit = 2
    made.redeem("SAVE10", to=order("ORD0"))
    made.redeem("SAVE10")


def redeem_held(made: Ledger) -> None:
    made.redeem("SAVE10", hold=True, hold_seconds=900)


def change_order(made: Ledger) -> None:
    redeem(made)
    cheaper = order("ORD1", amount_minor=4_000)
    made.redeem("SAVE10", "NOPE", to=cheaper, complete=True, changed=True, at=made.now)


def fail_payment(made: Ledger) -> None:
    redeem_held(made)
    made.run(FailPayment(made.command_id(), order_key(None, "ORD1")))


def pay(made: Ledger) -> None:
    redeem_held(made)
    made.pay()


def cancel(made: Ledger) -> None:
    redeem(made)
    made.cancel()


def cancel_held(made: Ledger) -> None:
    redeem_held(made)
    made.cancel()


def return_whole(made: Ledger) -> None:
    redeem(made)
    made.return_order()


def return_part(made: Ledger) -> None:
    redeem(made)
    made.part(amount="40.00")


def lock(made: Ledger) -> None:
    made.lock("SAVE10")


def lock_again(made: Ledger) -> None:
    lock(made)
    made.lock("SAVE10", order_id="ORD1", order=order())


def release(made: Ledger) -> None:
    lock(made)
    made.release()


def expire(made: Ledger) -> None:
    lock(made)
    made.now = made.state.locks["lock-1"].expires_at
    made.expire()


def void(made: Ledger) -> None:
    made.void()


def unvoid(made: Ledger) -> None:
    void(made)
    made.run(ChangeCoupon(made.command_id(), "SAVE10", status="active", reason="voided by mistake"))


def unvoid_and_extend(made: Ledger) -> None:
    void(made)
    made.run(ChangeCoupon(made.command_id(), "SAVE10", status="active", moves_end=True, ends_at=made.now + DAY))


def restore_after_its_end(made: Ledger) -> None:
    made.state.campaigns["save10"] = campaign(restore_days=7)
    made.state.coupons["id-SAVE10"].ends_at = made.now + DAY
    redeem(made)
    made.now += DAY
    made.cancel()


def revoke(made: Ledger) -> None:
    made.issue("save10", natural_key="reward r1")
    made.run(RevokeReward(made.command_id(), "r1"))


def restore_after_the_reward_was_revoked(made: Ledger) -> None:
    made.state.issued_for["reward r1"] = [COUPON]
    redeem(made)
    made.run(RevokeReward(made.command_id(), "r1"))
    made.cancel()


def issue(made: Ledger) -> None:
    made.issue("save10")


def issue_from_an_empty_pool(made: Ledger) -> None:
    made.state.campaigns["save10"] = campaign(source=Source("pool"))
    made.issue("save10", codes=None)


def create(made: Ledger) -> None:
    made.create("NEW1", "NEW2")


def create_for_an_unknown_campaign(made: Ledger) -> None:
    made.state.campaigns.clear()
    made.create("NEW1")


def record_a_customer(made: Ledger) -> None:
    made.run(RecordCustomer(made.command_id(), Customer("john", segments=("vip",))))


class Case(NamedTuple):
    """What is done, and the events of the last command, as (type, key), with their source."""

    act: Callable[[Ledger], None]
    events: tuple[tuple[str, str], ...]
    source: str = "/couponry/redeemer"


COUPON = "id-SAVE10"
CASES = (
    Case(redeem, (("coupon.redeemed", "ORD1"),)),
    Case(redeem_in_part, (("coupon.redeemed", "ORD1"), ("coupon.redemption_refused", "ORD1"))),
    Case(
        redeem_the_last_use,
        (("coupon.redeemed", "ORD1"), ("coupon.exhausted", COUPON), ("campaign.exhausted", "save10")),
    ),
    Case(redeem_held, (("coupon.locked", COUPON),)),
    Case(change_order, (("coupon.redemption_refused", "ORD1"), ("coupon.redemption_adjusted", "ORD1"))),
    Case(fail_payment, (("coupon.released", COUPON),)),
    Case(pay, (("coupon.redeemed", "ORD1"),)),
    Case(cancel, (("coupon.redemption_restored", "ORD1"),)),
    Case(cancel_held, (("coupon.released", COUPON),)),
    Case(return_whole, (("coupon.redemption_restored", "ORD1"),)),
    Case(return_part, (("coupon.redemption_restored", "ORD1"),)),
    Case(lock, (("coupon.locked", COUPON),), "/couponry/cli"),
    Case(lock_again, (("coupon.released", COUPON), ("coupon.locked", COUPON)), "/couponry/cli"),
    Case(release, (("coupon.released", COUPON),), "/couponry/cli"),
    Case(expire, (("coupon.lock_expired", COUPON),), "/couponry/ledger"),
    Case(void, (("coupon.voided", COUPON),), "/couponry/cli"),
    Case(unvoid, (("coupon.unvoided", COUPON),), "/couponry/cli"),
    Case(unvoid_and_extend, (("coupon.unvoided", COUPON), ("coupon.extended", COUPON)), "/couponry/cli"),
    Case(restore_after_its_end, (("coupon.redemption_restored", "ORD1"), ("coupon.extended", COUPON))),
    Case(revoke, (("coupon.voided", "id-command-1-save10-0"),), "/couponry/issuer"),
    Case(restore_after_the_reward_was_revoked, (("coupon.redemption_restored", "ORD1"), ("coupon.voided", COUPON))),
    Case(issue, (("coupon.issued", "john"),), "/couponry/issuer"),
    Case(issue_from_an_empty_pool, (("coupon.issue_refused", "john"),), "/couponry/issuer"),
    Case(create, (("coupon.issued", "id-NEW1"), ("coupon.issued", "id-NEW2")), "/couponry/cli"),
    Case(create_for_an_unknown_campaign, (("coupon.issue_refused", "save10"),), "/couponry/cli"),
    Case(record_a_customer, (), "/couponry/issuer"),
)


def last_of(case: Case) -> Ledger:
    made = ledger()
    case.act(made)
    return made


def named(case: Case) -> str:
    return case.act.__name__


each_case = pytest.mark.parametrize("case", CASES, ids=named)


@each_case
def test_a_command_has_these_events(case: Case) -> None:
    events = last_of(case).events
    assert tuple((event.type, event.key) for event in events) == case.events
    for event in events:
        assert event.topic == BY_TYPE[event.type].topic.name
        assert event.subject == event.key
        assert event.source == case.source
        assert event.traceparent is None


@each_case
def test_ids_are_derived_from_the_command(case: Case) -> None:
    made = last_of(case)
    assert made.command is not None
    ids = [event.event_id for event in made.events]
    assert ids == [
        derived_id("event", made.command.command_id, event.type, str(number))
        for number, event in enumerate(made.events)
    ]
    assert len(set(ids)) == len(ids)


def unknown_fields(model: type[BaseModel], data: dict[str, Any], parsed: BaseModel) -> set[str]:
    """Return the fields of `data`, with those of its parts, that the models would ignore."""
    unknown = data.keys() - model.model_fields.keys()
    for name, value in data.items():
        part = getattr(parsed, name, None)
        pairs = zip(value, part, strict=True) if isinstance(part, tuple) else [(value, part)]
        for inner, inner_parsed in pairs:
            if isinstance(inner_parsed, BaseModel):
                unknown |= unknown_fields(type(inner_parsed), inner, inner_parsed)
    return unknown


@each_case
def test_data_is_valid_for_the_schema(case: Case) -> None:
    made = last_of(case)
    for event in made.events:
        model, data = BY_TYPE[event.type].model, orjson.loads(event.data)
        parsed = parse(model, event.data.encode())
        assert parsed.problem() is None
        assert not unknown_fields(model, data, parsed)
        assert event.time == made.now


def test_the_cases_have_every_command_and_every_event() -> None:
    commands = {type(last_of(case).command) for case in CASES}
    assert commands == set(get_args(Command))
    models = {f"{entry.model.__name__}Data": entry.name for entry in CATALOGUE}
    assert {kind for case in CASES for kind, _ in case.events} == {models[one.__name__] for one in get_args(EventData)}


def test_a_redeemed_coupon_has_its_share_of_each_line() -> None:
    made = last_of(CASES[1])
    redeemed, refused = (orjson.loads(event.data) for event in made.events)
    assert redeemed["customer"] == {"customer_id": "john", "email": JOHN.email, "mobile": None}
    assert (redeemed["requested_count"], redeemed["order_amount"], redeemed["discount_amount"]) == (
        2,
        "100.00",
        "10.00",
    )
    assert redeemed["metadata"] == refused["metadata"] == {"till": 4}
    assert redeemed["redeemed_at"] == refused["refused_at"] == NOW.isoformat().replace("+00:00", "Z")
    [coupon] = redeemed["coupons"]
    assert coupon == {
        "coupon_id": COUPON,
        "code": "SAVE10",
        "campaign_id": "save10",
        "discount": {"kind": "percentage", "value": "10"},
        "discount_amount": "10.00",
        "lines": [{"line_id": "1", "discount_amount": "10.00"}],
    }
    assert [(one["code"], one["reason"]) for one in refused["coupons"]] == [("NOPE", "not_found")]


def test_a_return_in_part_restores_no_use() -> None:
    [event] = last_of(Case(return_part, ())).events
    restored = orjson.loads(event.data)
    assert restored["cause"] == "order.returned"
    assert [(one["uses"], one["discount_amount"]) for one in restored["coupons"]] == [(0, "4.00")]


def test_an_issued_coupon_names_what_caused_it() -> None:
    [event] = last_of(Case(issue, ())).events
    data = orjson.loads(event.data)
    assert data["caused_by"] == {"type": "customer.signed_up", "source": "/signup", "id": "command-1"}
    assert data["discount"] == {"kind": "percentage", "value": "10", "currency": None, "max_discount": None}
    assert data["uses"] == 1
