"""The model's orders: what an event means to an order in its state, and what placing an order does.

Written from docs/order-lifecycle.md, rows and sentences. Events' own times decide, not their arrival.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.domain.model.order_commands import RedeemCoupons
from tests.stateful.answers import NOTHING, Answer
from tests.stateful.basket import Basket, Content, Part, Parts, Returned
from tests.stateful.choosing import Candidate, Choosing, Request, Taken, first_of
from tests.stateful.facts import Held, Lock, Order, Use

Meaning = Literal["judge", "again", "add", "closed", "another", "same", "older", "change"]
"""What an event that places or changes an order means."""


@dataclass
class Version:
    """An order as an event has it: the command, and what the model needs of it."""

    command: RedeemCoupons
    content: Content
    at: datetime
    key: str | None
    codes: tuple[str, ...]
    """each once"""

    @property
    def order_id(self) -> str:
        return self.command.order.order_id

    @property
    def placed(self) -> datetime | None:
        return None if self.command.changed else self.at


class Placing(Choosing):
    """Decides what placing an order does."""

    def version(self, command: RedeemCoupons) -> Version:
        at = command.order.placed_at or command.at
        assert at is not None
        codes = tuple(dict.fromkeys(code.strip().upper() for code in command.codes))
        return Version(command, Content.of(command.order), at, self.key_of(command.customer), codes)

    def phase(self, order_id: str) -> str:  # noqa: PLR0911 - one per state
        """Return the state of an order, as the table names it."""
        order, hold = self.orders.get(order_id), self.locks.get(f"order:{order_id}")
        if order is None:
            return "unknown"
        if order.is_closed:
            other = "returned" if order.status == "cancelled" else "cancelled"
            when = order.closed.get(other)
            both = when is not None and (order.placed is None or when >= order.placed)
            return "cancelled and returned" if both else order.status
        if hold is not None and hold.holds:
            return "held"
        if hold is not None and order.status != "paid":
            if hold.status in {"open", "expired"}:
                return "lapsed"
            if hold.status == "released" and hold.lost:
                return "released"
        if order.content is None:
            return "recorded"
        return order.status

    def meaning(self, version: Version) -> Meaning:  # noqa: PLR0911 - one per meaning
        """Return what a version of an order means."""
        order, command = self.orders.get(version.order_id), version.command
        if order is None:
            return "judge"
        if order.is_closed:
            return "again" if self._is_placed_again(order, version) else "closed"
        if order.content is None:
            return "judge"
        same = order.content == version.content
        other: Meaning = "another" if self.phase(version.order_id) == "paid" else "change"
        if not command.complete:
            return "add" if same else other
        if None not in (order.customer_key, version.key) and not self.same(order.customer_key, version.key):
            return "another"
        claims = order.customer_key is None and version.key is not None
        if claims and not command.changed and order.status == "paid":
            claims = False
        if same and not claims and not self._names_new_lock(version) and set(version.codes) == order.codes:
            is_later = order.last_version is not None and version.at > order.last_version
            return "change" if is_later and self.phase(version.order_id) in {"lapsed", "released"} else "same"
        if order.last_version is not None and version.at < order.last_version:
            return "older"
        return "change" if command.changed else other

    def _names_new_lock(self, version: Version) -> bool:
        return version.command.lock_reference is not None and not self.is_burned_by(version)

    def is_burned_by(self, version: Version) -> bool:
        """Return whether the order has burned the lock that it names."""
        lock = self.locks.get(version.command.lock_reference or "")
        return lock is not None and lock.status == "burned" and lock.order == version.order_id

    @staticmethod
    def _is_placed_again(order: Order, version: Version) -> bool:
        last = order.last_closing
        if version.command.changed or last is None:
            return False
        if version.at == last:
            return order.content is not None and order.content != version.content
        is_known = order.content is not None and order.placed is not None and version.at <= order.placed
        return version.at > last and not is_known

    def _redeem(self, command: RedeemCoupons) -> Answer:
        version = self.version(command)
        order = self.orders.get(version.order_id)
        meaning = self.meaning(version)
        if order is not None and meaning in {"same", "older"}:
            return self._record_time(version, order)
        names_nothing = not version.codes and command.lock_reference is None
        if order is not None and meaning == "closed" and names_nothing and self._is_other_order(order, version):
            return Answer("refused", refused=(("", "order_mismatch"),))
        if meaning == "another":
            return Answer("refused", refused=tuple((code, "order_mismatch") for code in version.codes or ("",)))
        if order is not None and meaning == "change":
            return self._change(version, order, again=False)
        return self._judge(version, order, meaning)

    def _change(self, version: Version, order: Order, *, again: bool) -> Answer:
        raise NotImplementedError

    def _is_other_order(self, order: Order, version: Version) -> bool:
        """Return whether a closed order without coupons is not the one that was closed."""
        if order.content is None:
            return False
        other_customer = None not in (order.customer_key, version.key) and not self.same(
            order.customer_key, version.key
        )
        is_older = order.last_version is not None and version.at < order.last_version
        return other_customer or (not is_older and (version.command.changed or order.content != version.content))

    def _record_time(self, version: Version, order: Order) -> Answer:
        order.place(version.placed)
        if version.command.changed and (order.last_version is None or version.at > order.last_version):
            order.changed = version.at
        has = self.has(version.order_id)
        return Answer("nothing", kept=tuple((code, one.discount or 0, one.discount or 0) for code, one in has.items()))

    def has(self, order_id: str) -> dict[str, Use | Held]:
        """Return the coupons that an order has redeemed or holds, by code."""
        hold = self.hold_of(order_id)
        held: dict[str, Use | Held] = dict(hold.uses) if hold is not None else {}
        return held | self.uses_of(order_id)

    def request_of(self, version: Version, *, beside: bool) -> Request:
        """Return the request of an event. `beside`: the coupons of the order stay as they are, and count."""
        command, hold = version.command, self.hold_of(version.order_id)
        key = version.key if hold is None or hold.customer_key is None else self.customer_key(hold.customer_key)
        has = self.has(version.order_id) if beside else {}
        basket = Basket.of(version.content, [taken_off(one) for one in has.values()])
        request = Request(key, version.order_id, version.content, basket, at=version.at, takes_over=command.takeover)
        request.segments = self.segments_for(command.customer, key)
        request.existing = [self.offer_of(code) for code in has]
        return request

    # Judging

    def _judge(self, version: Version, order: Order | None, meaning: Meaning, *, paid: int | None = None) -> Answer:
        """Judge the coupons that an order names. `paid`: what it costs after them, once that is known."""
        command = version.command
        request = self.request_of(version, beside=True)
        counting = self.parts_of(version, order, again=meaning == "again")
        is_new = order is None or order.content is None or meaning == "again"
        before_coupons = version.content.amount if paid is None else paid
        all_returned = is_new and bool(counting) and (
            Returned.of(counting, version.content, before_coupons).is_everything
        )  # fmt: skip
        if order is not None and meaning == "again" and not all_returned and self.uses_of(version.order_id):
            return self._change(version, order, again=True)
        request.closed = meaning == "closed" or all_returned
        has = self.has(version.order_id)
        named: dict[str, Candidate | str] = {
            code: self.continuing(code, request) or self.judged(code, request)
            for code in version.codes
            if code not in has
        }
        self.add_promised(version, request, named, has, again=meaning == "again")
        refused = {code: one for code, one in named.items() if isinstance(one, str)}
        taken = self.choose(request, [one for one in named.values() if isinstance(one, Candidate)], refused)
        taken = all_or_nothing(version, taken, refused)
        if taken and paid is None and counting and is_new and not all_returned:
            left = version.content.amount - sum(one.discount or 0 for one in taken)
            if Returned.of(counting, version.content, left).is_everything:
                return self._judge(version, order, meaning, paid=left)
        is_paid = order is not None and order.is_paid
        if all_returned and order is not None:
            order.status = "returned"
            order.closed["returned"] = max(version.at, *[part.at for part in counting])
        elif meaning != "closed":
            order = self.place(version, order, request.customer_key, counting, again=meaning == "again")
        if not taken or order is None:
            return Answer("refused", (), tuple(refused.items())) if refused else NOTHING
        if command.hold and not is_paid:
            return self._hold(version, order, request, taken, refused)
        self._burn(version, request, taken)
        self._restore_earlier_parts(version.order_id, version.content, {one.code for one in taken}, counting)
        return Answer("redeemed", accepted_of(taken), tuple(refused.items()))

    def parts_of(self, version: Version, order: Order | None, *, again: bool) -> list[Part]:
        """Return the parts that were returned of the order as it is placed now."""
        if order is None:
            return []
        if again:
            return [part for part in order.parts if part.at > version.at]
        if order.content is not None or version.placed is None or order.last_closing is None:
            return list(order.parts)
        return [part for part in order.parts if part.at >= version.at]

    def place(
        self, version: Version, order: Order | None, key: str | None, parts: Sequence[Part], *, again: bool
    ) -> Order:
        """Record an order that is placed, or named once more."""
        if order is None:
            order = self.orders[version.order_id] = Order("placed")
        if not again and order.content is not None:
            is_later = version.placed is not None and (order.placed is None or version.placed > order.placed)
            order.place(version.placed)
            order.codes |= set(version.codes)
            order.customer_key = (key if is_later else None) or order.customer_key
            return order
        if again:
            order.status = "paid" if order.is_paid else "placed"
        order.place(version.placed)
        if version.command.changed:
            order.changed = version.at
        order.content, order.codes, order.parts = version.content, set(version.codes), list(parts)
        order.customer_key = key or order.customer_key
        return order

    def add_promised(
        self, version: Version, request: Request, named: dict[str, Candidate | str], has: Collection[str], *,
        again: bool,
    ) -> None:  # fmt: skip
        """Add the coupons of the lock that the order names, without those that it `has` or had until now.

        Limits and windows were checked when they were locked.
        """
        reference = version.command.lock_reference
        if reference is None or reference == f"order:{version.order_id}":
            return
        lock = self.locks.get(reference)
        if lock is None or lock.status == "released":
            named[""] = "lock_not_found"
            return
        if lock.status == "burned":
            if lock.order != version.order_id or again:
                named[""] = "already_redeemed"
            return
        for code, held in lock.uses.items():
            if code in has:
                continue
            coupon, offer = self.coupons[code], self.offer_of(code)
            reason = first_of(
                [
                    ("voided", coupon.voided),
                    (
                        "wrong_customer",
                        None not in (lock.customer_key, request.customer_key)
                        and not self.same(lock.customer_key, request.customer_key),
                    ),
                    ("order_mismatch", request.closed or lock.order not in (None, version.order_id)),
                    ("below_minimum", version.content.amount < offer.minimum),
                    ("lock_expired", not lock.holds),
                ]
            )
            named[code] = reason or Candidate(coupon, offer, lock=lock, promised=True, free=not held.takes)

    # Using coupons

    def take_out(self, one: Candidate, order_id: str | None, emptied: str) -> None:
        """Remove the use from the lock that pays for it; close a lock without uses."""
        lock, code = one.lock, one.coupon.code
        if lock is None:
            return
        held = lock.uses[code]
        lock.uses = {other: use for other, use in lock.uses.items() if other != code}
        if lock is self.locks.get(f"order:{lock.order}") and lock.order != order_id:
            lock.lost[code] = held  # a newer order takes it over
            emptied, order_id = "released", lock.order
        if not lock.uses:
            lock.status, lock.order = emptied, order_id if order_id is not None else lock.order

    def _burn(self, version: Version, request: Request, taken: Sequence[Taken]) -> None:
        for used in taken:
            one, key = used.one, owner(request, used)
            since = request.at if one.held is None else one.held.since
            self.take_out(one, version.order_id, "burned")
            self.uses[version.order_id, used.code] = Use(
                key, used.discount or 0, used.discount or 0, since, dict(used.parts or {}),
                takes=0 if one.free else 1, subscription=version.content.subscription if one.offer.recurring else None,
            )  # fmt: skip

    def held_now(self, version: Version, request: Request, taken: Sequence[Taken]) -> dict[str, Held]:
        """Take coupons out of the locks that pay for them, and return what the order's own lock holds of them."""
        held: dict[str, Held] = {}
        for used in taken:
            one = used.one
            since = request.at if one.held is None else one.held.since
            self.take_out(one, version.order_id, "burned")
            held[used.code] = Held(
                used.discount or 0, since, dict(used.parts or {}), takes=0 if one.free else 1,
                subscription=version.content.subscription if one.offer.recurring else None,
            )  # fmt: skip
        return held

    def _hold(
        self, version: Version, order: Order, request: Request, taken: Sequence[Taken], refused: dict[str, str]
    ) -> Answer:
        """Hold coupons under the order's own lock, beside those that it holds already."""
        key, before = owner(request, taken[0]), self.locks.get(f"order:{version.order_id}")
        new = self.held_now(version, request, taken)
        held = {} if before is None or not before.holds else before.uses
        lost = {} if before is None else {code: one for code, one in before.lost.items() if code not in new}
        self.locks[f"order:{version.order_id}"] = Lock("open", key, version.order_id, held | new, False, lost)
        order.content, order.customer = version.content, version.command.customer or order.customer
        order.customer_key = key or order.customer_key
        return Answer("held", accepted_of(taken), tuple(refused.items()))

    def _restore_earlier_parts(self, order_id: str, content: Content, new: set[str], parts: Sequence[Part]) -> set[str]:
        """Restore the shares of parts that were returned before the `new` coupons were redeemed. Return the codes."""
        uses = self.uses_of(order_id)
        paid = max(content.amount - sum(use.whole for use in uses.values()), 0)
        returned = Returned.of(parts, content, paid)
        left = self.left_after(order_id, returned)
        restored = {code for code in new if code in left and left[code] < uses[code].discount}
        for code in restored:
            uses[code].discount = left[code]
        return restored

    def left_after(self, order_id: str, returned: Returned) -> dict[str, int]:
        """Return what is left of the discounts of an order that returns restore, by code.

        A coupon that is judged again keeps at most what it has, on the basket that the others leave. There is at most
        one of these, so they need no order.
        """
        uses = self.uses_of(order_id)
        left: dict[str, int] = {}
        others: list[tuple[int, Parts]] = []
        for code, use in uses.items():
            offer = self.offer_of(code)
            if "returned" not in offer.restored_on:
                others.append((use.discount, use.parts))
            elif not offer.rejudged:
                left[code] = use.whole - returned.share(use.whole, use.parts)
                shares = returned.shares(use.parts)
                others.append((left[code], {line: part - shares.get(line, 0) for line, part in use.parts.items()}))
        for code, use in uses.items():
            offer = self.offer_of(code)
            if offer.rejudged and "returned" in offer.restored_on:
                basket = returned.left(others)
                deserved = basket.price(offer.discount(min(basket.left, sum(basket.amounts) or basket.left)))
                is_good = basket.content.amount >= offer.minimum
                left[code] = use.discount if returned.is_nothing else min(deserved, use.discount) if is_good else 0
        return left


def taken_off(one: Use | Held) -> tuple[int, dict[str, int]]:
    """Return the discount that counts as taken off: returned parts make no room for another coupon."""
    return (one.whole if isinstance(one, Use) else one.discount or 0), one.parts


def owner(request: Request, used: Taken) -> str | None:
    """Return whose use it is: the order's customer's, or for a guest the lock's."""
    if request.customer_key is None and used.one.lock is not None:
        return used.one.lock.customer_key
    return request.customer_key


def accepted_of(taken: Sequence[Taken]) -> tuple[tuple[str, int | None], ...]:
    return tuple((used.code, used.discount) for used in taken)


def all_or_nothing(version: Version, taken: list[Taken], refused: dict[str, str]) -> list[Taken]:
    """Return what an atomic request uses: nothing if one of its coupons was refused."""
    if not (version.command.atomic and refused and taken):
        return taken
    refused.update({used.code: "not_combinable" for used in taken})
    return []
