"""The journal records every command and its verdict, so that a repeated command always gets the same verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import orjson

from shared.domain.model.commands import Command, CreateCoupons, IssueCoupons, LockCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, Benefit, KeptCoupon, RefusedCoupon, Verdict
from shared.ledger.database import Connection
from shared.ledger.sql import sql

_FINGERPRINT_VERSION = b"\x03"
"""The first byte of every fingerprint. A version of Couponry that computes fingerprints differently changes it.
Fingerprints of different versions are not compared, so that an upgrade doesn't turn retries into errors."""

_JSON = orjson.OPT_UTC_Z
_REFUSED_FIELDS: Final = tuple(item.name for item in fields(RefusedCoupon))


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command that was executed before."""

    fingerprint: bytes
    verdict: str


def fingerprint(command: Command) -> bytes:
    """Return a fingerprint of the request, 17 bytes. It excludes the installation's settings (hold times, matching
    campaigns) and the groups of the caller. A command without a case includes all other fields.
    """
    content: tuple[Any, ...]
    match command:
        case RedeemCoupons():
            content = (
                (
                    command.order,
                    command.codes,
                    command.customer,
                    command.lock_reference,
                    command.atomic,
                    command.validation_code,
                )
                + (() if command.priced else ("not priced",))
                + ((command.at, "changed") if command.changed else ())
                + (() if command.metadata is None else (command.metadata,))
                + (command.unread and (command.unread,))
            )
        case IssueCoupons():
            content = (command.customer, command.natural_key, command.at)
        case CreateCoupons():
            content = (command.campaign_id, command.count, command.codes, command.at)
        case PayOrder() | FailPayment() | CancelOrder():
            content = (command.order_id, command.at)
        case ReturnOrder():
            content = (command.order_id, command.whole, command.at, command.lines, command.amount)
            if command.return_id is not None or command.refunded_amount is not None:
                content += (command.return_id, command.refunded_amount)
        case LockCoupons():
            content = (
                command.lock_reference,
                command.codes,
                command.customer,
                command.order,
                command.order_id,
                command.lock_seconds,
                command.validation_code,
            )
        case _:
            content = ({item.name: getattr(command, item.name) for item in fields(command) if item.name != "groups"},)
    encoded = orjson.dumps((type(command).__name__, content), default=str, option=_JSON)
    return _FINGERPRINT_VERSION + blake2b(encoded, digest_size=16).digest()


def same_request(recorded: bytes, requested: bytes) -> bool:
    """Return whether two fingerprints are of the same request; True if their versions differ and can't be compared."""
    return recorded[:1] != requested[:1] or recorded == requested


async def look_up(connection: Connection, command_ids: Sequence[str]) -> dict[str, Recorded]:
    """Return the recorded commands among `command_ids`, keyed by command id."""
    records = await connection.fetch(sql("journal_look_up"), command_ids)
    return {record[0]: Recorded(record[1], record[2]) for record in records}


def encode_verdict(verdict: Verdict) -> str:
    """Return the verdict as JSON, without the ledger entries, which have a table of their own."""
    return orjson.dumps(
        {
            "outcome": verdict.outcome,
            "decided_at": verdict.decided_at,
            "accepted": verdict.accepted,
            "refused": verdict.refused and [_with_key(coupon) for coupon in verdict.refused],
            "requested_count": verdict.requested_count,
            "discount_minor": verdict.discount_minor,
            "currency": verdict.currency,
            "order_id": verdict.order_id,
            "redemption_id": verdict.redemption_id,
            "lock_reference": verdict.lock_reference,
            "expires_at": verdict.expires_at,
            "customer_key": verdict.customer_key,
            **({} if verdict.metadata is None else {"metadata": verdict.metadata}),
            **({} if not verdict.kept else {"kept": verdict.kept}),
            **({} if verdict.why is None else {"why": verdict.why}),
        },
        option=_JSON,
    ).decode()


def _with_key(coupon: RefusedCoupon) -> dict[str, Any]:
    """Return a refusal with the key of its code, by which lists find it."""
    document = {name: getattr(coupon, name) for name in _REFUSED_FIELDS}
    return document if coupon.code is None else {**document, "code_key": code_key(coupon.code)}


def decode_verdict(command_id: str, recorded: str) -> Verdict:
    """Return the verdict that `encode_verdict` wrote."""
    document: Mapping[str, Any] = orjson.loads(recorded)
    return Verdict(
        command_id=command_id,
        outcome=document["outcome"],
        decided_at=datetime.fromisoformat(document["decided_at"]),
        accepted=tuple(_accepted(coupon) for coupon in document["accepted"]),
        refused=tuple(
            RefusedCoupon(
                reason=Reason(coupon["reason"]),
                message=coupon["message"],
                code=coupon["code"],
                coupon_id=coupon["coupon_id"],
                campaign_id=coupon["campaign_id"],
                details=coupon["details"],
            )
            for coupon in document["refused"]
        ),
        requested_count=document["requested_count"],
        discount_minor=document["discount_minor"],
        currency=document["currency"],
        order_id=document["order_id"],
        redemption_id=document["redemption_id"],
        lock_reference=document["lock_reference"],
        expires_at=_time(document["expires_at"]),
        customer_key=document["customer_key"],
        metadata=document.get("metadata"),
        kept=tuple(_kept(coupon) for coupon in document.get("kept", ())),
        why=document.get("why"),
    )


def _kept(kept: Mapping[str, Any]) -> KeptCoupon:
    return KeptCoupon(_accepted(kept["coupon"]), kept["before_minor"], kept["customer_key"])


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
