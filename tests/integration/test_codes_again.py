"""A code is used again: by a later campaign, once the codes of the earlier one are freed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition
from shared.domain.model.order_commands import CancelOrder
from shared.ledger import freeing, queries
from shared.ledger.campaigns import change, save
from shared.ledger.database import Pool
from shared.ledger.definitions import DefinitionError
from shared.ledger.engine import Engine
from shared.ledger.freeing import NotArchivedError, free_codes
from shared.ledger.pools import import_codes
from shared.ledger.shared_codes import CodeTakenError
from tests.gateway import Served, served
from tests.integration.cli_calls import call
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

MANY = {"uses_per_coupon": 100}


def friday(campaign_id: str, code: str = "BLACKFRIDAY", **changes: Any) -> CampaignDefinition:
    return definition(campaign_id, code={"shared_code": code}, limits=MANY, **changes)


async def archive(pool: Pool, campaign_id: str) -> None:
    await set_status(pool, campaign_id, "archived")


async def set_status(pool: Pool, campaign_id: str, status: str) -> None:
    await change(pool, campaign_id, lambda before: before.model_copy(update={"status": status}))


async def campaign_of(pool: Pool, order_id: str, code: str) -> str:
    [verdict] = await Engine(pool).execute([redeem(order_id, [code])])
    return verdict.accepted[0].campaign_id if verdict.accepted else verdict.refused[0].reason.value


@pytest.mark.parametrize("written", ["BLACKFRIDAY", "black friday", "\uff22LACKFRIDAY"])
async def test_the_same_code_next_year(database_url: str, written: str) -> None:
    async with ledger(database_url, friday("bf-2025")) as pool:
        assert await campaign_of(pool, "O1", "blackfriday") == "bf-2025"
        await archive(pool, "bf-2025")
        with pytest.raises(CodeTakenError, match="free it with `couponry campaigns archive bf-2025 --free-codes`"):
            await save(pool, [friday("bf-2026", written)])
        assert (await free_codes(pool, "bf-2025")).codes == 1
        assert await campaign_of(pool, "O2", "BLACKFRIDAY") == "not_found"
        await save(pool, [friday("bf-2026", written)])
        assert await campaign_of(pool, "O3", "BLACKFRIDAY") == "bf-2026"
        async with pool.acquire() as connection:
            history = await queries.coupon_history(connection, "BLACKFRIDAY")
        assert history is not None
        assert history.coupon is not None
        assert history.coupon.campaign_id == "bf-2026"
        assert [coupon.campaign_id for coupon in history.earlier] == ["bf-2025"]
        burned = [(one.order_id, one.campaign_id) for one in history.happenings if one.kind == "burned"]
        assert burned == [("O1", "bf-2025"), ("O3", "bf-2026")]
        # An order of the earlier campaign can still be cancelled.
        [verdict] = await Engine(pool).execute([CancelOrder("/shop cancel O1", "O1")])
        assert [entry.campaign_id for entry in verdict.entries] == ["bf-2025"]


@pytest.mark.parametrize("reused", [False, True])
async def test_an_order_keeps_a_coupon_whose_code_was_freed(database_url: str, reused: bool) -> None:
    """Whether it is changed or redeemed again, the code means the coupon that the order has."""
    async with ledger(database_url, friday("bf-2025")) as pool:
        placed = redeem("O1", ["BLACKFRIDAY"])
        assert await campaign_of(pool, "O1", "BLACKFRIDAY") == "bf-2025"
        await archive(pool, "bf-2025")
        await free_codes(pool, "bf-2025")
        if reused:
            await save(pool, [friday("bf-2026")])
        twice = replace(placed.order, amount_minor=2 * placed.order.amount_minor, lines=())
        changed = replace(placed, command_id="/shop change", order=twice, complete=True, changed=True)
        again = replace(placed, command_id="/shop again", order=twice)
        verdicts = await Engine(pool).execute([changed, again])
        assert [(one.outcome, one.refused) for one in verdicts] == [("adjusted", ()), ("unchanged", ())]
        assert [kept.coupon.campaign_id for kept in verdicts[0].kept] == ["bf-2025"]
        assert await campaign_of(pool, "O2", "BLACKFRIDAY") == ("bf-2026" if reused else "not_found")


async def test_a_campaign_gets_its_codes_back_unless_another_has_one(database_url: str) -> None:
    async with ledger(database_url, friday("old")) as pool:
        await archive(pool, "old")
        await free_codes(pool, "old")
        await set_status(pool, "old", "active")
        assert await campaign_of(pool, "O1", "BLACKFRIDAY") == "old"
        await archive(pool, "old")
        await free_codes(pool, "old")
        await save(pool, [friday("new")])
        with pytest.raises(CodeTakenError, match="campaign 'new' uses 'BLACKFRIDAY' now, so it can't be active again"):
            await set_status(pool, "old", "active")
        await save(pool, [friday("old", status="archived", name="changed")])
        assert await campaign_of(pool, "O2", "BLACKFRIDAY") == "new"
        await archive(pool, "new")
        await free_codes(pool, "new")
        await set_status(pool, "old", "paused")
        await set_status(pool, "old", "active")
        assert await campaign_of(pool, "O3", "BLACKFRIDAY") == "old"


async def test_generated_and_pooled_codes_are_freed_in_parts(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeing, "CODES_PER_STATEMENT", 3)
    pooled = definition("pooled", source={"kind": "pool"}, code={})
    async with ledger(database_url, definition("old", limits={"uses_per_coupon": 1}), pooled) as pool:
        [code, *_] = await issue(Engine(pool), "old", 8)
        await import_codes(pool, "pooled", ["P-1", "P-2"])
        for campaign_id in ("old", "pooled"):
            await archive(pool, campaign_id)
        first = await free_codes(pool, "old", most=4)
        assert (first.codes, first.more) == (4, True)
        assert (await free_codes(pool, "old")).codes == 4
        assert (await free_codes(pool, "old")).codes == 0
        assert (await free_codes(pool, "pooled")).codes == 2
        await save(pool, [definition("new", source={"kind": "pool"}, code={})])
        assert await import_codes(pool, "new", ["p-1", "P-3", code]) == (3, [])
        with pytest.raises(CodeTakenError, match="campaign 'new' uses"):
            await set_status(pool, "old", "active")


async def test_only_codes_of_archived_campaigns_are_freed(database_url: str) -> None:
    async with ledger(database_url, friday("active")) as pool:
        with pytest.raises(NotArchivedError):
            await free_codes(pool, "active")
        assert await campaign_of(pool, "O1", "BLACKFRIDAY") == "active"


@pytest.mark.parametrize("order", [("bf-2025", "bf-2026"), ("z-2025", "bf-2026")])
async def test_an_archived_and_an_active_campaign_are_loaded_with_one_code(
    database_url: str, order: tuple[str, str]
) -> None:
    old, new = order
    async with ledger(database_url, friday(old, status="archived"), friday(new)) as pool:
        assert await campaign_of(pool, "O1", "BLACKFRIDAY") == new
        await save(pool, [friday(old, status="archived"), friday(new)])
        with pytest.raises(CodeTakenError):
            await set_status(pool, old, "active")


async def test_two_archived_campaigns_may_have_one_code(database_url: str) -> None:
    both = [friday("a", status="archived"), friday("b", "Black Friday", status="archived")]
    async with ledger(database_url, *both) as pool:
        with pytest.raises(CodeTakenError):
            await save(pool, [friday("a"), friday("b", "Black Friday")])


async def test_a_campaign_with_too_many_freed_codes_stays_archived(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.ledger.shared_codes.MOST_TAKEN_BACK", 2)
    async with ledger(database_url, definition("old")) as pool:
        await issue(Engine(pool), "old", 3)
        await archive(pool, "old")
        await free_codes(pool, "old")
        with pytest.raises((CodeTakenError, DefinitionError), match="more than 2 can't be taken back"):
            await set_status(pool, "old", "active")


async def changed(here: Served, path: str, **query: Any) -> tuple[int, dict[str, Any]]:
    answer = await here.client.post(f"/v1/campaigns/{path}", params=query)
    return answer.status_code, answer.json()


async def test_codes_are_freed_over_http(database_url: str) -> None:
    async with served(database_url, friday("bf-2025")) as here:
        status, document = await changed(here, "bf-2025/archive", free_codes="true")
        assert (status, document["freed_codes"], document["more_codes"]) == (200, 1, False)
        body = friday("bf-2026", "Black Friday").model_dump(mode="json")
        assert (await here.client.post("/v1/campaigns", json=body)).status_code == 201
        status, problem = await changed(here, "bf-2025/resume")
        assert (status, problem["code"]) == (409, "code_taken")
        assert "'bf-2026' uses 'BLACKFRIDAY' now" in problem["detail"]
        assert await changed(here, "nope/archive", free_codes="true") != (200, {})
        history = (await here.client.get("/v1/coupons/BLACKFRIDAY/history")).json()
        assert history["coupon"]["campaign_id"] == "bf-2026"
        assert [coupon["campaign_id"] for coupon in history["earlier_coupons"]] == ["bf-2025"]


async def test_look_alikes_are_warned_of_over_http(database_url: str) -> None:
    async with served(database_url, friday("h1", "SAVE10")) as here:
        body = friday("h2", "S\u0410VE10").model_dump(mode="json")
        planned = (await here.client.post("/v1/campaigns/h2/plan", json=body)).json()
        created = (await here.client.post("/v1/campaigns", json=body)).json()
        replaced = (await here.client.put("/v1/campaigns/h2", json=body | {"name": "x"})).json()
        for document in (planned, created, replaced):
            assert "looks like 'SAVE10' of campaign 'h1'" in document["warnings"][0]
            assert "mixes the scripts" in document["warnings"][1]
        equal = friday("n1", "save 10").model_dump(mode="json")
        refused = await here.client.post("/v1/campaigns", json=equal)
        assert (refused.status_code, refused.json()["code"]) == (409, "code_taken")
        assert "'h1' has that code already, written 'SAVE10'" in refused.json()["detail"]


def test_the_command_line_frees_codes_warns_and_refuses_equal_codes(database_url: str, tmp_path: Any) -> None:
    environment = {"COUPONRY_DATABASE_URL": database_url}

    def load(*campaigns: CampaignDefinition, command: str = "load") -> Any:
        given = json.dumps([campaign.model_dump(mode="json") for campaign in campaigns])
        return call(environment, "campaigns", command, "-", given=given)

    assert load(friday("bf-2025")).exit_code == 0
    refused = load(friday("bf-2026", "Black Friday"))
    assert refused.exit_code == 1
    assert "written 'BLACKFRIDAY'" in refused.words or "written 'BLACKFRIDAY'" in " ".join(refused.err.split())
    freed = call(environment, "campaigns", "archive", "bf-2025", "--free-codes")
    assert freed.out.splitlines() == ["archived   bf-2025", "1 code freed."]
    assert load(friday("bf-2026", "Black Friday")).exit_code == 0
    assert (
        "An earlier coupon had the code, of campaign bf-2025" in call(environment, "coupons", "show", "BLACKFRIDAY").out
    )
    warned = load(friday("h", "BL\u0410CKFRIDAY"))
    assert warned.exit_code == 0
    assert "looks like 'Black Friday' of campaign 'bf-2026'" in " ".join(warned.err.split())
    assert "WARNING" in load(friday("i", "BL\u0410CKFRID\u0410Y"), command="plan").out
    both = load(friday("n1", "CAF\u00c9"), friday("n2", "CAFE\u0301"))
    assert "the same code as 'CAF\u00c9' of campaign 'n1'" in " ".join(both.err.split())
    assert call(environment, "campaigns", "archive", "nope").exit_code == 1
