"""Fingerprints of commands must not change: a retry after an upgrade is compared with the recorded one."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from shared.domain.model.commands import (
    Cause,
    ChangeCoupon,
    Command,
    CreateCoupons,
    ExpireLock,
    IssueCoupons,
    LockCoupons,
    RecordCustomer,
    ReleaseLock,
    RevokeReward,
    VoidCoupon,
)
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.ledger.journal import fingerprint
from tests.builders import order

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GROUPS = frozenset({"a"})
JOHN = Customer("j")

COMMANDS: dict[str, Command] = {
    "03343b106efcc7fc9105a18192bab03f9a": RedeemCoupons(
        "c", order(), ("A",), JOHN, "l", True, validation_code="1", at=AT, groups=GROUPS
    ),
    "03aca3e7071480083121facdb832caea6b": IssueCoupons("c", Cause("t", "s", "i"), JOHN, ("a",), AT),
    "03feb6e47cbbe0ce9bd732dba7e920baa2": PayOrder("c", "o", AT),
    "03cf3e6ed1cf0d66cfe386971f49ba3163": FailPayment("c", "o", AT),
    "03631c33585c1cc3da9bb7177347c82af5": CancelOrder("c", "o", AT, "x", GROUPS),
    "03086c1f9da52c807b208f2a15a6dd4f25": ReturnOrder("c", "o", False, AT, "x", (("l", 1),), None, GROUPS),
    "0368ab50152d51aa9fc5e88a294a5ef76d": LockCoupons("c", "l", ("A",), 5, JOHN, None, "o", groups=GROUPS),
    "03761d825f91dd354ac51e1d79498771eb": ReleaseLock("c", "l", "x", GROUPS),
    "037bd5b522e40d2991d25032e4c5fb036f": ExpireLock("c", "l"),
    "03f3cc4746e3b556d45e985a16f26f7891": RecordCustomer("c", Customer("j", segments=("a",)), AT),
    "03990e407568038a25ef5d9e15c90325b9": VoidCoupon("c", "A", "x", GROUPS),
    "03aedb23593604147fcebcb9f5e2d082a1": ChangeCoupon("c", "A", "active", True, AT, "r", "x", GROUPS),
    "03f3a508517a71609be888d04f29bb69ee": RevokeReward("c", "r", AT, "why"),
    "03375d12fcffa2fc437f16092feab1d3c1": CreateCoupons("c", "a", 3, (), AT, "x", GROUPS),
}


@pytest.mark.parametrize("recorded", COMMANDS)
def test_the_fingerprint_of_a_command_stays_the_same(recorded: str) -> None:
    assert fingerprint(COMMANDS[recorded]).hex() == recorded


def test_every_command_is_listed_here() -> None:
    assert {type(command) for command in COMMANDS.values()} == set(get_args(Command))


@pytest.mark.parametrize("command", [one for one in COMMANDS.values() if getattr(one, "groups", None)])
def test_the_callers_groups_are_not_in_the_fingerprint(command: Any) -> None:
    assert fingerprint(replace(command, groups=None)) == fingerprint(command)
