"""Effects of changing a live campaign on coupons, customers and totals, on PostgreSQL.

Each row of the table in `docs/campaign-files.md`; the audit that ends every `ledger` proves that nothing broke.
"""

from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition
from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.order_commands import CancelOrder, PayOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.campaigns import save
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from tests.ledger import PLACED_AT, count, definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

ANNA, BEN = Customer("anna"), Customer("ben")


async def decide(engine: Engine, *commands: Any) -> list[Verdict]:
    answers = await engine.execute(list(commands))
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Verdict)]


async def use(engine: Engine, order_id: str, code: str, customer: Customer = ANNA, **changes: Any) -> str:
    """Return `redeemed`, or the reason of the refusal."""
    (verdict,) = await decide(engine, redeem(order_id, [code], customer=customer, **changes))
    return "redeemed" if verdict.accepted else verdict.refused[0].reason.value


async def changed(pool: Pool, campaign: CampaignDefinition) -> None:
    (saved,) = await save(pool, [campaign])
    assert saved.change == "changed"


def limited(**limits: int | None) -> CampaignDefinition:
    return definition(limits=limits)


async def test_raising_the_uses_of_a_coupon_allows_new_uses_and_lowering_refuses_them(
    database_url: str,
) -> None:
    async with ledger(database_url, limited(uses_per_coupon=1)) as pool:
        engine = Engine(pool)
        used, fresh = await issue(engine, "save10", 2)
        assert await use(engine, "O1", used) == "redeemed"
        assert await use(engine, "O2", used) == "exhausted"
        await changed(pool, limited(uses_per_coupon=2))
        assert await use(engine, "O3", used) == "redeemed"
        assert await use(engine, "O4", used) == "exhausted"
        await changed(pool, limited(uses_per_coupon=1))
        assert await use(engine, "O5", used) == "exhausted"
        assert await use(engine, "O6", fresh) == "redeemed"
        assert await count(pool, "SELECT sum(used_uses) FROM coupons") == 3, "no earlier use was taken back"
        await decide(engine, CancelOrder("cancel O3", order_id="O3", at=PLACED_AT))
        assert await use(engine, "O8", used) == "exhausted", "one use is active, which is the limit"
        await changed(pool, limited())
        assert await use(engine, "O7", used) == "redeemed"


async def test_a_new_total_limit_counts_earlier_uses(database_url: str) -> None:
    async with ledger(database_url, limited()) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 3)
        assert [await use(engine, f"O{number}", codes[0]) for number in range(2)] == ["redeemed"] * 2
        await changed(pool, limited(uses_total=1))
        assert await use(engine, "O3", codes[1]) == "campaign_exhausted"
        await changed(pool, limited(uses_total=3))
        assert await use(engine, "O4", codes[1]) == "redeemed"
        assert await use(engine, "O5", codes[2]) == "campaign_exhausted"
        await changed(pool, limited(uses_total=2))
        (restored,) = await decide(engine, CancelOrder("cancel O4", order_id="O4", at=PLACED_AT))
        assert restored.outcome == "restored"
        assert await use(engine, "O6", codes[2]) == "campaign_exhausted", "two uses are active, which is the limit"
        await changed(pool, limited())
        assert await use(engine, "O7", codes[2]) == "redeemed"


async def test_a_customer_limit_counts_per_customer_and_includes_earlier_uses(database_url: str) -> None:
    async with ledger(database_url, limited()) as pool:
        engine = Engine(pool)
        (code,) = await issue(engine, "save10")
        assert [await use(engine, f"O{number}", code) for number in range(2)] == ["redeemed"] * 2
        await changed(pool, limited(uses_per_customer=1))
        assert await use(engine, "O3", code) == "customer_limit"
        assert await use(engine, "O4", code, BEN) == "redeemed"
        assert await use(engine, "O5", code, BEN) == "customer_limit"
        await changed(pool, limited(uses_per_customer=2))
        assert await use(engine, "O6", code) == "customer_limit"
        assert await use(engine, "O7", code, BEN) == "redeemed"


async def test_a_coupon_limit_below_the_issued_number_stops_issuing_and_keeps_issued_coupons(database_url: str) -> None:
    async def reasons(engine: Engine, number: int, customer: Customer) -> list[str]:
        command = IssueCoupons(f"more {number}", Cause("x", "/test", str(number)), customer, ("save10",), at=PLACED_AT)
        (verdict,) = await decide(engine, command)
        return [refused.reason.value for refused in verdict.refused]

    async with ledger(database_url, limited(coupons_total=2)) as pool:
        engine = Engine(pool)
        codes = await issue(engine, "save10", 2, ANNA)
        assert await reasons(engine, 1, BEN) == ["campaign_exhausted"]
        await changed(pool, limited(coupons_total=1))
        assert await reasons(engine, 2, BEN) == ["campaign_exhausted"]
        assert await use(engine, "O1", codes[1]) == "redeemed"
        await changed(pool, limited(coupons_total=3, coupons_per_customer=1))
        assert await reasons(engine, 3, ANNA) == ["customer_limit"]
        assert await reasons(engine, 4, BEN) == []
        assert await reasons(engine, 5, Customer("cleo")) == ["campaign_exhausted"]


async def test_a_held_use_can_be_burned_after_the_limit_was_lowered_or_the_campaign_paused(
    database_url: str,
) -> None:
    async with ledger(database_url, limited(uses_per_coupon=2)) as pool:
        engine = Engine(pool)
        (code,) = await issue(engine, "save10")
        assert await use(engine, "O1", code) == "redeemed"
        lock = LockCoupons("lock", lock_reference="L1", codes=(code,), lock_seconds=600, customer=ANNA)
        assert (await decide(engine, lock))[0].outcome == "locked"
        paused = definition(status="paused", limits={"uses_per_coupon": 1, "uses_total": 1, "uses_per_customer": 1})
        await changed(pool, paused)
        assert await use(engine, "O2", code) == "campaign_inactive"
        (burned,) = await decide(engine, redeem("O3", [], customer=ANNA, lock_reference="L1"))
        assert burned.outcome == "redeemed"


@pytest.mark.parametrize(
    ("window", "became"),
    [
        ({"starts_at": "2026-03-02", "ends_at": None}, "not_started"),
        ({"starts_at": "2026-01-01", "ends_at": "2026-03-01"}, "expired"),
        ({"starts_at": "2026-01-01", "ends_at": "2026-03-02"}, "redeemed"),
        ({}, "redeemed"),
    ],
)
async def test_a_changed_window_applies_to_issued_coupons(
    database_url: str, window: dict[str, str | None], became: str
) -> None:
    """Orders are placed on 2026-03-01 at noon."""
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        redeemed, code = await issue(engine, "save10", 2)
        assert await use(engine, "O1", redeemed) == "redeemed"
        await changed(pool, definition(window=window))
        assert await use(engine, "O2", code) == became
        (restored,) = await decide(engine, CancelOrder("cancel O1", order_id="O1", at=PLACED_AT))
        assert restored.outcome == "restored", "an earlier use can be restored at any time"


async def test_a_new_shared_code_is_added_and_the_old_one_stays_valid(database_url: str) -> None:
    def shared(code: str) -> CampaignDefinition:
        return definition(code={"shared_code": code}, limits={"uses_per_coupon": 1})

    async with ledger(database_url, shared("HELLO")) as pool:
        engine = Engine(pool)
        await changed(pool, shared("GOODBYE"))
        assert await use(engine, "O1", "goodbye") == "redeemed"
        assert await use(engine, "O2", "hello", BEN) == "redeemed"
        assert await use(engine, "O3", "hello", BEN) == "exhausted"


async def test_a_new_discount_applies_to_new_uses_and_restores_return_the_old_one(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        before, after = await issue(engine, "save10", 2)
        assert await use(engine, "O1", before) == "redeemed"
        await changed(pool, definition(discount={"kind": "fixed", "value": "3", "currency": "USD"}))
        assert await use(engine, "O2", after) == "redeemed"
        await decide(engine, CancelOrder("cancel O1", order_id="O1", at=PLACED_AT))
        found = await pool.fetch("SELECT used_minor FROM ledger_entries WHERE order_id IS NOT NULL ORDER BY entry_id")
        assert [record[0] for record in found] == [1_250, 300, -1_250]


async def test_a_lock_is_priced_when_it_is_burned_and_an_unpaid_order_keeps_its_discount(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        engine = Engine(pool)
        locked, held = await issue(engine, "save10", 2)
        placed = redeem("O1", [held], customer=ANNA, hold=True, hold_seconds=600)
        await decide(engine, LockCoupons("lock", "L1", (locked,), 600, ANNA), placed)
        await changed(pool, definition(discount={"kind": "fixed", "value": "3", "currency": "USD"}))
        await decide(
            engine,
            PayOrder("pay O1", order_id="O1"),
            redeem("O2", [], customer=ANNA, lock_reference="L1"),
        )
        found = await pool.fetch("SELECT order_id, used_minor FROM ledger_entries WHERE kind = 'burned'")
        assert {tuple(record) for record in found} == {("O1", 1_250), ("O2", 300)}


async def test_loading_the_same_twice_changes_no_version_and_no_row(database_url: str) -> None:
    async with ledger(database_url, definition()) as pool:
        before = await pool.fetch("SELECT xmin::text, version, updated_at FROM campaigns")
        assert [saved.change for saved in await save(pool, [definition()])] == ["unchanged"]
        assert await pool.fetch("SELECT xmin::text, version, updated_at FROM campaigns") == before
