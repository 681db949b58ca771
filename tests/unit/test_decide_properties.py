"""Properties of every sequence of commands.

The same commands are decided twice: in sequence on one state, and each on a separate state that `Records` rebuilds from
what earlier verdicts recorded: a model of the ledger's tables, in which every count is a sum over ledger entries.
"""

import copy
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.decide import decide, evolve
from shared.domain.model.campaign import Campaign
from shared.domain.model.clock import period_of
from shared.domain.model.commands import Command, ExpireLock, IssueCoupons, RevokeReward
from shared.domain.model.coupon import Coupon, Hold, code_key
from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.order_commands import CancelOrder, RedeemCoupons
from shared.domain.model.reasons import PRECEDENCE, Reason
from shared.domain.model.state import ActiveRedemption, LockState, Meter, OrderState, State, Supply, order_hold
from shared.domain.model.verdicts import LedgerEntry, LockChange, OrderChange, Verdict
from shared.domain.offers.kinds import KINDS
from tests.builders import JOHN, MARY, NOW, key_of
from tests.unit.decide_strategies import CODES, CUSTOMERS, Step, codes, kept_on_request, orders, steps, worlds


@dataclass
class Records:
    """A simple model of the ledger's tables."""

    campaigns: dict[str, Campaign]
    coupons: dict[str, Coupon] = field(default_factory=dict)
    entries: list[LedgerEntry] = field(default_factory=list)
    locks: dict[str, LockState] = field(default_factory=dict)
    orders: dict[str, OrderState] = field(default_factory=dict)
    issued: set[tuple[str, str]] = field(default_factory=set)
    issued_for: dict[str, list[str]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    used_up: set[str] = field(default_factory=set)
    segments: dict[str, frozenset[str]] = field(default_factory=dict)

    def record(self, verdict: Verdict) -> None:
        self.entries += verdict.entries
        self.used_up -= {entry.coupon_id for entry in verdict.entries if entry.kind == "voided"}
        if verdict.revocation is not None:
            self.revoked.add(verdict.revocation.occasion)
            self.used_up |= set(verdict.revocation.used)
        for change in verdict.locks:
            self._lock(change)
        for changed_order in verdict.orders:
            self._order(changed_order)
        if verdict.segments is not None:
            self.segments[verdict.segments[0]] = frozenset(verdict.segments[1])
        if verdict.outcome != "issued":
            return
        for one in verdict.accepted:
            rules = self.campaigns[one.campaign_id]
            if rules.code.shared_code is None:
                assert one.starts_at is not None
                life = rules.window.valid_for  # only its own validity; the campaign's end stays on the campaign
                own_end = None if life is None else one.starts_at + life
                self.coupons[one.coupon_id] = Coupon(
                    one.coupon_id, one.code, one.campaign_id, holder_key=verdict.customer_key,
                    uses_limit=rules.limits.uses_per_coupon, starts_at=one.starts_at, ends_at=own_end,
                )  # fmt: skip
            if verdict.natural_key is not None:
                self.issued.add((verdict.natural_key, one.campaign_id))
                if rules.code.shared_code is None:
                    self.issued_for.setdefault(verdict.natural_key, []).append(one.coupon_id)

    def _lock(self, change: LockChange) -> None:
        before = self.locks.get(change.lock_reference)
        assert before is not None or change.expires_at is not None
        row = before or LockState(change.lock_reference, change.status, change.expires_at or NOW)
        row.status = change.status
        row.uses = row.uses if change.uses is None else change.uses
        row.lost = row.lost if change.lost is None else change.lost
        if change.status == "open":
            assert change.expires_at is not None
            row.expires_at, row.customer_key, row.order_id = change.expires_at, change.customer_key, change.order_id
        row.order_id = change.order_id or row.order_id
        self.locks[change.lock_reference] = row

    def _order(self, change: OrderChange) -> None:
        row = self.orders.setdefault(change.order_id, OrderState(change.order_id, change.status))
        row.status = change.status
        times = [one for one in (change.placed_at, row.placed_at, row.first_placed_at) if one is not None]
        row.placed_at, row.first_placed_at = (max(times), min(times)) if times else (None, None)
        for name in (
            "paid_at", "cancelled_at", "returned_at", "changed_at", "customer", "customer_key", "order", "codes",
            "requested_count", "returns",
        ):  # fmt: skip
            if getattr(change, name) is not None:
                value = getattr(change, name)
                setattr(row, name, value)

    def state(self) -> State:
        """Return the state that a load would find, with every number a sum over ledger entries."""
        state = State(dict(self.campaigns), issued=set(self.issued), segments=dict(self.segments))
        state.revoked, state.issued_for = set(self.revoked), copy.deepcopy(self.issued_for)
        state.orders_of = {key_of(customer) or "": set() for customer in (JOHN, MARY)}
        for order in self.orders.values():
            hold = self.locks.get(order_hold(order.order_id))
            if order.status == "placed" and hold is not None and hold.status in {"expired", "released"}:
                continue
            if order.customer_key is not None and order.status in {"placed", "paid"}:
                state.orders_of[order.customer_key].add(order.order_id)
        for coupon in self.coupons.values():
            state.coupons[coupon.coupon_id] = replace(coupon, revoked=coupon.coupon_id in self.used_up, holds=[])
            state.coupon_ids[code_key(coupon.code)] = coupon.coupon_id
        state.locks = copy.deepcopy(self.locks)
        state.orders = copy.deepcopy(self.orders)
        for reference, lock in state.locks.items():
            for use in lock.uses if lock.status == "open" else ():
                hold = Hold(reference, use.uses, lock.customer_key, lock.order_id)
                state.coupons[use.coupon_id].holds.append(hold)
        for entry in self.entries:
            self._count(state, entry)
            if entry.subscription_id is not None:
                of = (entry.subscription_id, entry.coupon_id)
                state.subscriptions[of] = state.subscriptions.get(of, 0) + entry.used_uses
        for key, uses in self._redemptions().items():
            state.orders[key[0]].redemptions[key[1]] = uses
        return state

    def _count(self, state: State, entry: LedgerEntry) -> None:
        coupon, rules = state.coupons[entry.coupon_id], self.campaigns[entry.campaign_id]
        coupon.held += entry.held_uses
        coupon.used += entry.used_uses
        if entry.kind in {"voided", "unvoided"}:
            coupon.status = "voided" if entry.kind == "voided" else "active"
        if entry.end is not None:
            coupon.ends_at = entry.end.after
        keys = [None] if rules.meters_campaign else []
        if rules.meters_customers and entry.customer_key is not None:
            keys.append(entry.customer_key)  # type: ignore[arg-type]
        self._count_in_periods(state, entry)
        for key in keys:
            meter = state.meters.setdefault((entry.campaign_id, key), Meter())
            meter.issued += entry.kind == "issued"
            meter.held += entry.held_uses
            meter.used += entry.used_uses
            meter.held_minor += entry.held_minor
            meter.used_minor += entry.used_minor

    def _count_in_periods(self, state: State, entry: LedgerEntry) -> None:
        rules = self.campaigns[entry.campaign_id]
        for cap in rules.limits.caps:
            customer_key = None if cap.each == "campaign" else entry.customer_key
            if entry.kind in {"voided", "unvoided", "extended"} or (cap.each == "customer" and customer_key is None):
                continue
            assert entry.counted_at is not None, "the entry has no counted_at"
            if cap.per == "coupon":
                if entry.kind == "issued":
                    continue
                period = f"coupon {entry.coupon_id}"
            else:
                period = period_of(cap.per, entry.counted_at, rules.window.zone)
            meter = state.period_meters.setdefault((entry.campaign_id, customer_key, period), Meter())
            meter.issued += entry.kind == "issued"
            meter.held += entry.held_uses
            meter.used += entry.used_uses

    def _redemptions(self) -> dict[tuple[str, str], ActiveRedemption]:
        redemptions: dict[tuple[str, str], ActiveRedemption] = {}
        for one in self.entries:
            if one.redemption_id is None or one.kind not in ("burned", "adjusted", "returned", "restored"):
                continue
            if one.order_id is None:
                continue
            key = (one.order_id, one.coupon_id)
            if one.kind == "returned":
                before = redemptions[key]
                assert 0 < -one.used_minor <= before.discount_minor, "more came back than was left"
                redemptions[key] = replace(before, discount_minor=before.discount_minor + one.used_minor)
            elif one.kind == "adjusted":
                before = redemptions[key]
                redemptions[key] = replace(
                    before, discount_minor=before.discount_minor + one.used_minor,
                    burned_minor=before.burned_minor + one.used_minor, lines=one.lines,
                )  # fmt: skip
                assert redemptions[key].discount_minor >= 0
            elif one.kind == "restored":
                assert redemptions[key].discount_minor == -one.used_minor
                del redemptions[key]
            else:
                assert key not in redemptions, "an order used a coupon twice"
                redemptions[key] = ActiveRedemption(
                    one.coupon_id, one.campaign_id, redemption_id=one.redemption_id or "", uses=one.used_uses,
                    discount_minor=one.used_minor, currency=one.currency, customer_key=one.customer_key,
                    lines=one.lines, burned_minor=one.used_minor, counted_at=one.counted_at,
                    subscription_id=one.subscription_id,
                )  # fmt: skip
        return redemptions


def start(made: tuple[Campaign, ...]) -> Records:
    records = Records({one.campaign_id: one for one in made})
    for code, campaign_id in zip(CODES, "xxyz", strict=True):
        limit = records.campaigns[campaign_id].limits.uses_per_coupon
        holder = key_of(JOHN) if code == "A" else None
        records.coupons[f"id-{code}"] = Coupon(f"id-{code}", code, campaign_id, "active", holder, limit)
    return records


def prepared(state: State, command: Command) -> None:
    """Add what the ledger loads for a command: its customer key, and codes to issue."""
    state.customers = {command.command_id: key_of(getattr(command, "customer", None))}
    state.supplies = {}
    if isinstance(command, IssueCoupons):
        for campaign_id in command.campaign_ids:
            shared = campaign_id == "z"
            name = "D" if shared else f"{command.command_id}-{campaign_id}"
            state.supplies[command.command_id, campaign_id, 0] = Supply(f"id-{name}", name)


def numbered(given: list[Step]) -> list[tuple[datetime, Command]]:
    """Return the steps with their times and command ids."""
    now, ready = NOW, []
    for number, (pause, command) in enumerate(given):
        now += pause
        ready.append((now, replace(command, command_id=f"c{number}")))
    return ready


def over(state: State, now: datetime) -> list[Command]:
    references = [one.lock_reference for one in state.locks.values() if one.status == "open" and one.expires_at <= now]
    return [ExpireLock(f"expire {reference} {now.isoformat()}", reference) for reference in references]


def well_formed(command: Command, verdict: Verdict) -> None:
    assert verdict.command_id == command.command_id
    if verdict.outcome == "refused":
        assert verdict.refused
        assert not verdict.accepted
        assert not verdict.entries
        assert not any(one.uses for one in verdict.locks), "an order may forget what its hold gave up"
    if verdict.outcome in ("issued", "redeemed", "held", "locked", "restored", "voided", "unvoided", "extended"):
        assert verdict.accepted
        assert verdict.entries
    if verdict.outcome in ("recorded", "unchanged"):
        assert not verdict.refused or isinstance(command, RevokeReward)
        assert not verdict.entries
    if isinstance(command, RedeemCoupons):
        # An order under the id of another one may be refused as a whole.
        coupons = [one for one in verdict.refused if one.code is not None or one.reason != Reason.ORDER_MISMATCH]
        if len(coupons) == len(verdict.refused) and verdict.outcome != "unchanged":
            kept = kept_on_request(command, verdict)
            assert len(verdict.accepted) + len(kept) + len(coupons) == verdict.requested_count
        order = command.order
        for one in verdict.accepted:
            assert one.discount_minor is not None
            assert one.discount_minor >= (not KINDS[one.discount_kind].has_effect_without_discount)
            shared = one.discount_minor if order.lines or one.discount_kind == "free_shipping" else 0
            assert sum(part for _, part in one.lines) == shared
        assert 0 <= verdict.discount_minor <= max(order.amount_minor, 0) + order.shipping_minor
        assert verdict.discount_minor == sum(one.discount_minor or 0 for one in verdict.accepted)
    for refused in verdict.refused:
        assert refused.reason in PRECEDENCE
        assert refused.message.endswith(".")


def within_limits(state: State) -> None:
    """Check the ledger's CHECK constraints."""
    for coupon in state.coupons.values():
        assert coupon.held >= 0
        assert coupon.used >= 0
        assert coupon.uses_limit is None or coupon.held + coupon.used <= coupon.uses_limit
        assert coupon.held == sum(hold.uses for hold in coupon.holds)
    for (campaign_id, customer), meter in state.meters.items():
        limits = state.campaigns[campaign_id].limits
        uses, coupons = (
            (limits.uses_total, limits.coupons_total)
            if customer is None
            else (limits.uses_per_customer, limits.coupons_per_customer)
        )
        assert min(meter.issued, meter.held, meter.used, meter.held_minor, meter.used_minor) >= 0
        assert uses is None or meter.held + meter.used <= uses
        assert coupons is None or meter.issued <= coupons
        if customer is None and limits.spend_total_minor is not None:
            assert meter.held_minor + meter.used_minor <= limits.spend_total_minor
    for (campaign_id, customer, period), meter in state.period_meters.items():
        [cap] = [
            one
            for one in state.campaigns[campaign_id].limits.caps
            if period.startswith(one.per) and (one.each == "customer") == (customer is not None)
        ]
        assert min(meter.issued, meter.held, meter.used) >= 0
        assert cap.uses is None or meter.held + meter.used <= cap.uses
        assert cap.coupons is None or meter.issued <= cap.coupons


def counted(state: State) -> object:
    """Return the counted and recorded parts of a state, without empty meters."""
    meters = [
        {key: meter for key, meter in kept.items() if meter != Meter()} for kept in (state.meters, state.period_meters)
    ]
    for coupon in state.coupons.values():
        coupon.holds.sort(key=lambda hold: hold.lock_reference)
    return (
        state.coupons, state.coupon_ids, meters, state.orders, state.locks, state.issued, state.subscriptions,
        state.segments, state.orders_of,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(worlds, steps)
def test_a_batch_equals_single_commands_and_keeps_every_limit(made: tuple[Campaign, ...], given: list[Step]) -> None:
    records = start(made)
    folded = records.state()
    for now, command in numbered(given):
        for each in [*over(folded, now), command]:
            alone = records.state()
            prepared(alone, each)
            prepared(folded, each)
            untouched = copy.deepcopy(folded)
            verdict = decide(each, folded, now)
            assert folded == untouched
            assert decide(each, alone, now) == verdict
            well_formed(each, verdict)
            evolve(folded, verdict)
            records.record(verdict)
            assert counted(folded) == counted(records.state())
            within_limits(folded)


@settings(max_examples=80, deadline=None)
@given(worlds, steps)
def test_deciding_never_fails_even_if_locks_are_not_swept(made: tuple[Campaign, ...], given: list[Step]) -> None:
    state = start(made).state()
    for now, command in numbered(given):
        prepared(state, command)
        verdict = decide(command, state, now)
        well_formed(command, verdict)
        evolve(state, verdict)


@settings(max_examples=80, deadline=None)
@given(worlds, steps, st.permutations(CODES), orders, st.tuples(st.booleans(), st.booleans()))
def test_the_order_of_codes_never_changes_a_verdict(
    made: tuple[Campaign, ...], given: list[Step], codes: list[str], order: Order, modes: tuple[bool, bool]
) -> None:
    state = start(made).state()
    now = NOW
    for now, command in numbered(given):
        prepared(state, command)
        evolve(state, decide(command, state, now))
    verdicts = set()
    for named in (CODES, tuple(codes), tuple(reversed(codes))):
        command = RedeemCoupons("last", order, named, JOHN, None, *modes, 60, now)
        prepared(state, command)
        verdicts.add(repr(decide(command, state, now)))
    assert len(verdicts) == 1


@settings(max_examples=80, deadline=None)
@given(worlds, orders, codes, st.sampled_from(CUSTOMERS))
def test_a_restore_is_the_inverse_of_a_redemption(
    made: tuple[Campaign, ...], order: Order, codes: tuple[str, ...], by: Customer | None
) -> None:
    made = tuple(replace(one, restore_on=frozenset({"order.cancelled"})) for one in made)
    state = start(made).state()

    def numbers() -> tuple[object, ...]:
        kept = copy.deepcopy((state.meters, state.period_meters))
        meters = [{key: meter for key, meter in one.items() if meter != Meter()} for one in kept]
        return (meters, {key: (one.held, one.used) for key, one in state.coupons.items()})

    before = numbers()
    redeem = RedeemCoupons("redeem", order, codes, by)
    prepared(state, redeem)
    redeemed = decide(redeem, state, NOW)
    evolve(state, redeemed)
    cancel = CancelOrder("cancel", order.order_id, NOW + timedelta(days=1))
    prepared(state, cancel)
    restored = decide(cancel, state, NOW + timedelta(days=1))
    evolve(state, restored)
    assert numbers() == before
    assert Counter(one.code for one in restored.accepted) == Counter(one.code for one in redeemed.accepted)
    assert restored.discount_minor == redeemed.discount_minor


@settings(max_examples=200, deadline=None)
@given(worlds, orders)
def test_the_best_offer_is_never_less_than_any_coupon_alone(made: tuple[Campaign, ...], order: Order) -> None:
    def taken_off(*named: str) -> int:
        state = start(made).state()
        command = RedeemCoupons("redeem", order, named, JOHN)
        prepared(state, command)
        return decide(command, state, NOW).discount_minor

    exclusive = [code for code, one in zip("AC", made, strict=False) if one.stacking == "exclusive"]
    best = taken_off(*CODES)
    for code in exclusive:
        assert best >= taken_off(code)
