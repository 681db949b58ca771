"""Every event that the ledger writes is valid, so that consumers never have to refuse one."""

from schemas.catalogue import BY_TYPE
from schemas.issued import CouponIssueRefused
from schemas.parsing import parse
from schemas.redemptions import CouponRedeemed
from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons, ReleaseLock, VoidCoupon
from shared.domain.model.customer import Customer
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, PayOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, definition, issue, ledger, redeem

ANN = Customer("ann", "ann@example.com", "+4930123456")


async def test_every_kind_of_event_is_valid(database_url: str) -> None:
    fixed = definition(
        "five",
        discount={"kind": "fixed", "value": "5.00", "currency": "USD", "max_discount": None},
        limits={"uses_per_coupon": 1, "coupons_per_customer": 1},
    )
    async with ledger(database_url, definition(), fixed) as pool:
        engine = Engine(pool)
        one, two, three, four, five = await issue(engine, "save10", 5)
        [fixed_code] = await issue(engine, "five", customer=ANN)
        commands = [
            redeem("A", [one, fixed_code, "NO-SUCH"], customer=ANN),
            CancelOrder("/shop 1", "A", PLACED_AT),
            LockCoupons("/cli 1", "lock-1", (two, three), 600, ANN),
            LockCoupons("/cli 2", "lock-1", (two,), 600, ANN),
            ReleaseLock("/cli 3", "lock-1"),
            LockCoupons("/cli 4", "lock-2", (three,), 600),
            redeem("B", [], lock_reference="lock-2"),
            VoidCoupon("/cli 5", four),
            redeem("C", [five], customer=ANN, hold=True, hold_seconds=600),
            PayOrder("/shop 2", "C", PLACED_AT),
            redeem("D", [], lock_reference="no-such-lock"),
        ]
        await engine.execute(commands)
        rows = await pool.fetch("SELECT type, data::text FROM outbox ORDER BY position")
        for row in rows:
            parse(BY_TYPE[row["type"]].model, row["data"].encode())
        types = {row["type"] for row in rows}
    assert types == {
        "coupon.issued",
        "coupon.redeemed",
        "coupon.redemption_refused",
        "coupon.redemption_restored",
        "coupon.locked",
        "coupon.released",
        "coupon.voided",
    }


async def test_a_refused_issue_has_its_reason(database_url: str) -> None:
    limited = definition("once", limits={"uses_per_coupon": 1, "coupons_per_customer": 1})
    async with ledger(database_url, limited) as pool:
        engine = Engine(pool)
        cause = Cause("customer.signed_up", "/signup", "2")
        await issue(engine, "once", customer=ANN)
        await engine.execute([IssueCoupons("/signup 2", cause, ANN, ("once", "nonsense"), PLACED_AT)])
        rows = await pool.fetch("SELECT data::text FROM outbox WHERE type = 'coupon.issue_refused' ORDER BY position")
        refused = [parse(CouponIssueRefused, row["data"].encode()) for row in rows]
    assert [(event.campaign_id, event.reason) for event in refused] == [
        ("once", "customer_limit"),
        ("nonsense", "not_found"),
    ]
    assert refused[0].message == "This customer already has the 1 coupon that campaign 'once' allows."


async def test_an_event_too_large_for_a_broker_omits_the_shares_of_its_lines(database_url: str) -> None:
    lines = tuple(Line(f"{number:0200d}", "510509", 1, 100) for number in range(5_000))
    order = Order("LARGE", "USD", 500_000, lines, placed_at=PLACED_AT)
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 3)
        [verdict] = await engine.execute([redeem("LARGE", codes, order=order)])
        data = await pool.fetchval("SELECT data::text FROM outbox WHERE type = 'coupon.redeemed'")
        kept = await pool.fetchval("SELECT sum(jsonb_array_length(lines)) FROM ledger_entries WHERE kind = 'burned'")
    assert isinstance(verdict, Verdict)
    assert verdict.outcome == "redeemed"
    assert len(data) < 10_000
    event = parse(CouponRedeemed, data.encode())
    assert [coupon.lines for coupon in event.coupons] == [(), (), ()]
    assert len(event.coupons) == 3
    assert kept == 15_000
