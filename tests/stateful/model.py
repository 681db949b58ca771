"""A simple model of the engine's answers, written independently of the product's decisions.

Written from docs/rules.md, docs/order-lifecycle.md and the services' READMEs. It keeps facts only (uses, locks, issues)
and counts whenever a total is needed. It collects every reason that applies and reports the first in the documented
order. Commands are the product's, since they are plain data. Amounts are in minor units.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.model.commands import Command, IssueCoupons, LockCoupons, RecordCustomer, ReleaseLock, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from tests.stateful.answers import NOTHING, Answer
from tests.stateful.basket import Basket, Content
from tests.stateful.choosing import Candidate, Request, first_of, is_early, is_reached
from tests.stateful.ending import Ending
from tests.stateful.facts import Coupon, Held, Lock, Movement, Offer
from tests.stateful.placing import accepted_of


class Model(Ending):
    """The whole ledger as dicts."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        super().__init__(offers)
        self.answers: dict[str, Answer] = {}

    # Commands

    def begin(self, fresh: Sequence[Command]) -> None:
        """Prepare for a batch: merge customers, and expire locks whose time has passed."""
        for command in fresh:
            self.merge_names(command.customer)
        for lock in self.locks.values() if fresh else ():
            if lock.status == "open" and lock.is_expired:
                lock.status = "expired"

    def execute(self, command: Command, now: datetime) -> Answer:
        """Return the answer to one command at the database's `now`; a repeated command gets the same answer."""
        if command.command_id not in self.answers:
            before = self.totals()
            answer = self._execute(command, now)
            self.report_segments(command.customer)
            self.answers[command.command_id] = replace(answer, moved=_differences(before, self.totals()))
        return self.answers[command.command_id]

    def _execute(self, command: Command, now: datetime) -> Answer:  # noqa: PLR0911 - one per command
        match command:
            case IssueCoupons():
                return self._issue(command)
            case RedeemCoupons():
                return self._redeem(command)
            case PayOrder():
                return self._pay(command, _not_later(command.at, now), now)
            case FailPayment():
                return self._fail(command, _not_later(command.at, now))
            case CancelOrder():
                return self._cancel(command, _not_later(command.at, now))
            case ReturnOrder():
                return self._return(command, _not_later(command.at, now))
            case LockCoupons():
                return self._lock(command)
            case ReleaseLock():
                return self._release(command)
            case VoidCoupon():
                return self._void(command)
            case RecordCustomer():
                return NOTHING
            case _:
                raise AssertionError(f"the model has no {type(command).__name__}")

    def _issue(self, command: IssueCoupons) -> Answer:
        customer_key = self.key_of(command.customer)
        accepted: list[tuple[str, int | None]] = []
        refused = []
        for name in command.campaign_ids:
            offer = self.offers[name]
            if (command.natural_key or "", name) in self.occasions:
                continue
            reasons = [
                ("campaign_inactive", not offer.active),
                ("not_started", is_early(offer.starts_at, command.at)),
                (
                    "customer_required",
                    customer_key is None and (offer.holder_only or offer.coupons_per_customer is not None),
                ),
                (
                    "customer_limit",
                    customer_key is not None
                    and is_reached(self.issued(name, customer_key), offer.coupons_per_customer),
                ),
                ("campaign_exhausted", is_reached(self.issued(name), offer.coupons_total)),
            ]
            if reason := first_of(reasons):
                refused.append((name, reason))
                continue
            accepted.append((name, None))
            self.issues.append((name, customer_key))
            self.occasions.add((command.natural_key or "", name))
        return Answer("issued" if accepted else "refused" if refused else "nothing", tuple(accepted), tuple(refused))

    def learn_code(self, code: str, campaign: str, customer: Customer | None, at: datetime | None) -> None:
        """Record an issued coupon, whose code the product chose."""
        if self.offers[campaign].shared_code is None:
            self.coupons[code] = Coupon(code, campaign, self.key_of(customer), at)

    def _void(self, command: VoidCoupon) -> Answer:
        coupon = self.coupons.get(_key(command.code))
        if coupon is None:
            return Answer("refused", refused=((_key(command.code), "not_found"),))
        if coupon.voided:
            return NOTHING
        coupon.voided = True
        return Answer("voided", ((coupon.code, None),))

    def _release(self, command: ReleaseLock) -> Answer:
        lock = self.locks.get(command.lock_reference)
        if lock is None:
            return Answer("refused", refused=(("", "lock_not_found"),))
        if lock.status == "released":
            return NOTHING
        if lock.status == "burned":
            return Answer("refused", refused=(("", "already_redeemed"),))
        if not lock.holds:
            return Answer("refused", refused=(("", "lock_expired"),))
        lock.status, uses = "released", lock.uses
        lock.uses = {}
        return Answer("released", tuple((code, held.discount) for code, held in uses.items()))

    # Locks

    def _lock(self, command: LockCoupons) -> Answer:
        customer_key = self.key_of(command.customer)
        known = self.locks.get(command.lock_reference)
        if command.lock_reference.startswith("order:"):
            return Answer("refused", refused=(("", "order_mismatch"),))  # reserved for the orders' own locks
        problem = first_of(
            [
                ("already_redeemed", known is not None and known.status == "burned"),
                (
                    "wrong_customer",
                    known is not None
                    and known.status == "open"
                    and None not in (known.customer_key, customer_key)
                    and not self.same(known.customer_key, customer_key),
                ),
            ]
        )
        if problem:
            return Answer("refused", refused=(("", problem),))
        content = None if command.order is None else Content.of(command.order)
        request = Request(customer_key, command.order_id, content, None if content is None else Basket.of(content))
        request.replaced = known if known is not None and known.status == "open" else None
        request.segments = self.segments_for(command.customer, customer_key)
        redeemed = {} if command.order_id is None else self.uses_of(command.order_id)
        request.existing = [self.offer_of(code) for code in redeemed]
        judged = {code: self.judged(code, request) for code in dict.fromkeys(map(_key, command.codes))}
        refused = {code: one for code, one in judged.items() if isinstance(one, str)}
        candidates = {code: one for code, one in judged.items() if isinstance(one, Candidate)}
        for code in redeemed.keys() & candidates.keys():
            one = candidates.pop(code)
            off = None if request.basket is None else request.basket.price(one.offer.discount(request.basket.left))
            refused[code] = self.no_room(request, one, [], off) or "already_redeemed"  # limits come first
        taken = self.choose(request, list(candidates.values()), refused)
        if refused:
            refused.update({used.code: "not_combinable" for used in taken if used.code not in refused})
            return Answer("refused", refused=tuple(refused.items()))
        held: dict[str, Held] = {}
        for used in taken:
            since = None if used.one.held is None else used.one.held.since
            held[used.code] = Held(used.discount, since, used.parts or {})
            self.take_out(used.one, None, "released")
        self.locks[command.lock_reference] = Lock("open", customer_key, command.order_id, held)
        return Answer("locked", accepted_of(taken))


def _key(code: str) -> str:
    return code.strip().upper()


def _not_later(at: datetime | None, now: datetime) -> datetime:
    return now if at is None else min(at, now)


def _differences(
    before: Mapping[tuple[str, str | None], Movement], after: Mapping[tuple[str, str | None], Movement]
) -> dict[tuple[str, str | None], Movement]:
    nothing = (0, 0, 0, 0)
    moved: dict[tuple[str, str | None], Movement] = {}
    for key in before.keys() | after.keys():
        was, now = before.get(key, nothing), after.get(key, nothing)
        if was != now:
            moved[key] = (now[0] - was[0], now[1] - was[1], now[2] - was[2], now[3] - was[3])
    return moved
