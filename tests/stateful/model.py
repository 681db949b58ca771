"""A simple model of the engine's answers, written independently of the product's decisions.

Written from docs/rules.md and the services' READMEs. It keeps facts only (uses, locks, issues) and counts whenever a
total is needed. It collects every reason that applies and reports the first in the documented order. Commands are the
product's, since they are plain data. Amounts are in minor units.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shared.domain.model.commands import Command, IssueCoupons, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from tests.stateful.choosing import Candidate, Choosing, Request, first_of, is_early, is_reached
from tests.stateful.facts import Coupon, Lock, Offer, Order, Use


@dataclass(frozen=True)
class Answer:
    """The compared part of an answer: the outcome, the accepted (code, discount), the refused (code, reason)."""

    outcome: str
    accepted: tuple[tuple[str, int | None], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


NOTHING = Answer("nothing")
"""The answer if nothing changed and nothing was refused."""


class Model(Choosing):
    """The whole ledger as dicts."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        super().__init__(offers)
        self.answers: dict[str, Answer] = {}

    # Commands

    def begin(self, fresh: Sequence[Command]) -> None:
        """Prepare for a batch: merge customers, and expire locks whose time has passed."""
        for command in fresh:
            if isinstance(command, IssueCoupons | RedeemCoupons | LockCoupons):
                self.merge_names(command.customer)
        for lock in self.locks.values() if fresh else ():
            if lock.status == "open" and lock.is_expired:
                lock.status = "expired"

    def execute(self, command: Command) -> Answer:
        """Return the answer to one command; a repeated command gets the same answer."""
        if command.command_id not in self.answers:
            self.answers[command.command_id] = self._execute(command)
        return self.answers[command.command_id]

    def _execute(self, command: Command) -> Answer:
        match command:
            case IssueCoupons():
                answer = self._issue(command)
            case RedeemCoupons():
                answer = self._redeem(command)
            case PayOrder():
                answer = self._pay(command)
            case CancelOrder():
                answer = self._cancel(command)
            case ReturnOrder():
                answer = self._return(command)
            case LockCoupons():
                answer = self._lock(command)
            case ReleaseLock():
                answer = self._release(command)
            case VoidCoupon():
                answer = self._void(command)
            case _:
                raise AssertionError(f"the model has no {type(command).__name__}")
        return answer

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
        coupon = self.coupons.get(command.code.strip().upper())
        if coupon is None:
            return Answer("refused", refused=((command.code.strip().upper(), "not_found"),))
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
        return Answer("released", tuple(uses.items()))

    # Orders after they are placed

    def _pay(self, command: PayOrder) -> Answer:
        at = command.at
        assert at is not None
        order = self.orders.setdefault(command.order_id, Order("unknown"))
        if order.last_closing is not None and at <= order.last_closing:
            return NOTHING
        if order.is_closed:
            order.paid = max(at, order.paid or at)
            return NOTHING
        is_new = order.status != "paid"
        if is_new:
            order.status, order.paid = "paid", at
        hold = self.locks.get(f"order:{command.order_id}")
        if hold is not None and hold.holds:
            for code, discount in hold.uses.items():
                self.uses[command.order_id, code] = Use(hold.customer_key, discount or 0, hold.days.get(code))
            uses, hold.uses, hold.status = hold.uses, {}, "burned"
            return Answer("redeemed", tuple(uses.items()))
        if hold is not None and hold.status == "expired" and is_new:
            lost = [code for code in hold.uses if (command.order_id, code) not in self.uses]
            return Answer("refused", refused=tuple((code, "lock_expired") for code in lost)) if lost else NOTHING
        return NOTHING

    def _cancel(self, command: CancelOrder) -> Answer:
        return self._close(command.order_id, "cancelled", command.at)

    def _return(self, command: ReturnOrder) -> Answer:
        return self._close(command.order_id, "returned", command.at) if command.whole else NOTHING

    def _close(self, order_id: str, how: str, at: datetime | None) -> Answer:
        assert at is not None
        order = self.orders.setdefault(order_id, Order("unknown"))
        if not order.is_closed and order.placed is not None and at < order.placed:
            return NOTHING  # it was placed again since
        before = order.closed.get(how)
        since = before is not None and (order.placed is None or before >= order.placed)
        order.closed[how] = max(at, before or at)
        if order.is_closed and (order.status == how or since):
            return NOTHING
        if not order.is_closed or order.status == how:
            order.status = how
        back = {
            code: use.discount
            for (other, code), use in self.uses.items()
            if other == order_id and how in self.offers[self.coupons[code].campaign].restored_on
        }
        for code in back:
            del self.uses[order_id, code]
        released: list[tuple[str, int | None]] = []
        for lock in self.locks.values():
            if lock.holds and lock.order == order_id:
                released += lock.uses.items()
                lock.status, lock.uses = "released", {}
        if back:
            return Answer("restored", tuple(back.items()))
        return Answer("released", tuple(released)) if released else NOTHING

    # Coupons on orders and under locks

    def _redeem(self, command: RedeemCoupons) -> Answer:
        order_id, at = command.order.order_id, command.order.placed_at
        assert at is not None
        order = self.orders.get(order_id, Order("unknown"))
        hold = self.locks.get(f"order:{order_id}")
        hold = hold if hold is not None and hold.holds else None
        customer_key = (
            self.key_of(command.customer)
            if hold is None or hold.customer_key is None
            else self.customer_key(hold.customer_key)
        )
        last = order.last_closing
        amount = command.order.amount_minor
        request = Request(customer_key, order_id, amount, amount - self._already(order_id, hold), day=at.date())
        request.closed = order.is_closed and last is not None and at <= last
        redeemed = {code for other, code in self.uses if other == order_id} | set(hold.uses if hold else ())
        request.existing = [self.offers[self.coupons[code].campaign] for code in redeemed]
        candidates, refused = self.named(command.codes, request, at, redeemed)
        self.add_promised(command, request, redeemed, candidates, refused)
        if not request.closed:
            self._place(order, at)
            self.orders[order_id] = order
        taken = self.choose(request, candidates, refused)
        if command.atomic and refused and taken:
            refused.update(dict.fromkeys((one.coupon.code for one, _ in taken), "not_combinable"))
            taken = []
        accepted = tuple((one.coupon.code, discount) for one, discount in taken)
        if not taken:
            return Answer("refused", (), tuple(refused.items())) if refused else NOTHING
        if not command.hold or order.is_paid:
            for one, discount in taken:
                user_key = customer_key if customer_key is not None or one.lock is None else one.lock.customer_key
                day = request.day if one.lock is None else one.lock.days.get(one.coupon.code)
                self.take_out(one, order_id, "burned")
                self.uses[order_id, one.coupon.code] = Use(user_key, discount or 0, day)
            return Answer("redeemed", accepted, tuple(refused.items()))
        holder = customer_key if customer_key is not None or taken[0][0].lock is None else taken[0][0].lock.customer_key
        days = self._days(request, taken)
        for one, _ in taken:
            self.take_out(one, order_id, "burned")
        uses = {**(hold.uses if hold else {}), **dict(accepted)}
        self.locks[f"order:{order_id}"] = Lock(
            "open", holder, order_id, uses, False, (hold.days if hold else {}) | days
        )
        return Answer("held", accepted, tuple(refused.items()))

    def _reason_if_redeemed(self, request: Request, one: Candidate) -> str:
        """Return why a lock can't hold a coupon that its order has redeemed; reasons of limits come first."""
        off = None if request.amount is None else min(one.offer.discount(request.amount), request.room)
        return self.no_room(request, one, [], off) or "already_redeemed"

    def _days(self, request: Request, taken: Sequence[tuple[Candidate, int | None]]) -> dict[str, date | None]:
        """Return the days on which held uses count: a use held before counts on the day it was held."""
        return {
            one.coupon.code: request.day if one.lock is None else one.lock.days.get(one.coupon.code) for one, _ in taken
        }

    def _place(self, order: Order, at: datetime) -> None:
        """Place an order, or place it again after it was closed; an open one doesn't change."""
        if order.is_closed or order.status == "unknown":
            order.status = "paid" if order.is_paid else "placed"
        order.placed = max(at, order.placed or at)

    def _already(self, order_id: str, hold: Lock | None) -> int:
        redeemed = sum(use.discount for (other, _), use in self.uses.items() if other == order_id)
        return redeemed + sum(discount or 0 for discount in (hold.uses.values() if hold else ()))

    def _lock(self, command: LockCoupons) -> Answer:
        customer_key = self.key_of(command.customer)
        known = self.locks.get(command.lock_reference)
        problem = first_of(
            [
                ("order_mismatch", command.lock_reference.startswith("order:")),
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
        amount = None if command.order is None else command.order.amount_minor
        replaced = known if known is not None and known.status == "open" else None
        request = Request(customer_key, command.order_id, amount, amount or 0, replaced)
        redeemed = [code for other, code in self.uses if other == command.order_id]
        request.existing = [self.offers[self.coupons[code].campaign] for code in redeemed]
        candidates, refused = self.named(command.codes, request, None, set())
        for code in [code for other, code in self.uses if other == command.order_id and code in candidates]:
            refused[code] = self._reason_if_redeemed(request, candidates.pop(code))
        taken = self.choose(request, candidates, refused)
        if refused:
            refused.update({one.coupon.code: "not_combinable" for one, _ in taken if one.coupon.code not in refused})
            return Answer("refused", refused=tuple(refused.items()))
        days = self._days(request, taken)
        for one, _ in taken:
            self.take_out(one, None, "released")
        accepted = tuple((one.coupon.code, discount) for one, discount in taken)
        self.locks[command.lock_reference] = Lock("open", customer_key, command.order_id, dict(accepted), False, days)
        return Answer("locked", accepted)
