"""The journal: what every command was, and what was answered, so that the same command gets the same answer for
good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson

from shared.domain.model.commands import (
    CancelOrder,
    Command,
    CreateCoupons,
    IssueCoupons,
    LockCoupons,
    PayOrder,
    RedeemCoupons,
    ReturnOrder,
)
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, Benefit, RefusedCoupon, Verdict
from shared.ledger.database import Connection
from shared.ledger.sql import sql

_FINGERPRINT_VERSION = b"\x02"
"""Goes before every fingerprint. A later version of Couponry that reckons fingerprints otherwise changes it and then
does not compare its own with these: an upgrade must not turn replays into errors."""

_JSON = orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command that was executed before."""

    fingerprint: bytes
    verdict: str


def fingerprint(command: Command) -> bytes:
    """What the command asked for, in 17 bytes. How this installation is set up (hold times, matching campaigns) is
    not in it, nor what its caller may see.
    """
    asked: tuple[Any, ...]
    match command:
        case RedeemCoupons():
            asked = (
                (
                    command.order,
                    command.codes,
                    command.customer,
                    command.lock_reference,
                    command.atomic,
                    command.validation_code,
                )
                + (() if command.priced else ("not priced",))
                + (() if command.metadata is None else (command.metadata,))
            )
        case IssueCoupons():
            asked = (command.customer, command.natural_key, command.at)
        case CreateCoupons():
            asked = (command.campaign_id, command.count, command.codes, command.at)
        case PayOrder() | CancelOrder():
            asked = (command.order_id, command.at)
        case ReturnOrder():
            asked = (command.order_id, command.whole, command.at, command.lines, command.amount)
        case LockCoupons():
            asked = (
                command.lock_reference,
                command.codes,
                command.customer,
                command.order,
                command.order_id,
                command.lock_seconds,
                command.validation_code,
            )
        case _:
            asked = ({one.name: getattr(command, one.name) for one in fields(command) if one.name != "groups"},)
    content = orjson.dumps((type(command).__name__, asked), option=_JSON)
    return _FINGERPRINT_VERSION + blake2b(content, digest_size=16).digest()


def same_request(recorded: bytes, asked: bytes) -> bool:
    """Whether two fingerprints are of the same request; ones of different versions can't be compared and pass."""
    return recorded[:1] != asked[:1] or recorded == asked


async def look_up(connection: Connection, command_ids: Sequence[str]) -> dict[str, Recorded]:
    """The commands among `command_ids` that were executed before."""
    records = await connection.fetch(sql("journal_look_up"), command_ids)
    return {record[0]: Recorded(record[1], record[2]) for record in records}


def encode_verdict(verdict: Verdict) -> str:
    """A verdict as it is recorded: what was told, without the ledger entries, which have a table of their own."""
    return orjson.dumps(
        {
            "outcome": verdict.outcome,
            "decided_at": verdict.decided_at,
            "accepted": verdict.accepted,
            "refused": verdict.refused,
            "requested_count": verdict.requested_count,
            "discount_minor": verdict.discount_minor,
            "currency": verdict.currency,
            "order_id": verdict.order_id,
            "redemption_id": verdict.redemption_id,
            "lock_reference": verdict.lock_reference,
            "expires_at": verdict.expires_at,
            "customer_key": verdict.customer_key,
            **({} if verdict.metadata is None else {"metadata": verdict.metadata}),
        },
        option=_JSON,
    ).decode()


def decode_verdict(command_id: str, recorded: str) -> Verdict:
    """The verdict that `encode_verdict` wrote."""
    told: Mapping[str, Any] = orjson.loads(recorded)
    return Verdict(
        command_id=command_id,
        outcome=told["outcome"],
        decided_at=datetime.fromisoformat(told["decided_at"]),
        accepted=tuple(_accepted(coupon) for coupon in told["accepted"]),
        refused=tuple(
            RefusedCoupon(
                reason=Reason(coupon["reason"]),
                message=coupon["message"],
                code=coupon["code"],
                coupon_id=coupon["coupon_id"],
                campaign_id=coupon["campaign_id"],
                details=coupon["details"],
            )
            for coupon in told["refused"]
        ),
        requested_count=told["requested_count"],
        discount_minor=told["discount_minor"],
        currency=told["currency"],
        order_id=told["order_id"],
        redemption_id=told["redemption_id"],
        lock_reference=told["lock_reference"],
        expires_at=_time(told["expires_at"]),
        customer_key=told["customer_key"],
        metadata=told.get("metadata"),
    )


def _accepted(coupon: Mapping[str, Any]) -> AcceptedCoupon:
    fields = dict(coupon)
    fields["lines"] = tuple((line_id, minor) for line_id, minor in coupon["lines"])
    fields["starts_at"] = _time(coupon["starts_at"])
    fields["ends_at"] = _time(coupon["ends_at"])
    if (benefit := fields.get("benefit")) is not None:
        fields["benefit"] = Benefit(**benefit)
    return AcceptedCoupon(**fields)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
