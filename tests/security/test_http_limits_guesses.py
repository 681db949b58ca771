"""Guesses are limited on every route and facade: counted together, per caller and per address."""

import asyncio
import time
from collections import Counter

import httpx
import pytest
from prometheus_client import REGISTRY

from services.gateway.access import guesses as module
from services.gateway.access.failure_budgets import (
    MINUTES_AHEAD,
    SLOT_SECONDS,
    SLOTS,
    Budget,
    Clock,
    OverBudgetError,
    spread,
)
from services.gateway.app import create_app
from services.gateway.gateway import Gateway
from services.gateway.guard import Guarded
from services.gateway.settings import GatewaySettings
from shared.ledger.engine import Engine
from tests.gateway import Served, client_of, served
from tests.ledger import definition, issue
from tests.security.guessing import BODIES, ORDER, REVEALS_NOTHING, UNKNOWN_NAME, guess, routes_of

pytestmark = pytest.mark.asyncio


def failures(here: Served) -> int:
    """Return the current failures of the test's key."""
    return here.gateway.guesses.callers.of(f"caller {here.key.split('_')[1]}").failures


async def test_the_default_limits_are_60_and_300() -> None:
    fields = GatewaySettings.model_fields
    assert fields["http_unknown_per_minute"].default == 60
    assert fields["http_unknown_per_minute_and_address"].default == 300


async def test_every_route_counts_unknown_names(database_url: str) -> None:
    """New routes are counted automatically, but must be tested here: add them to one of the tables in guessing.py."""
    async with served(database_url, http_unknown_per_minute=100_000) as here:
        names = dict(routes_of(create_app(here.gateway)))
        assert set(REVEALS_NOTHING) | set(BODIES) <= set(names), "a table names a route that is gone"
        asked = [name for name in names if name not in REVEALS_NOTHING]
        assert len(asked) > 45
        for name in asked:
            assert isinstance(names[name], Guarded), name
            before = failures(here)
            answer = await guess(here.client, name, here.key)
            assert answer.status_code < 500, (name, answer.text)
            assert failures(here) > before, f"not counted: {name} answered {answer.status_code} {answer.text}"


async def test_all_routes_except_the_document_and_its_page_are_guarded(database_url: str) -> None:
    async with served(database_url) as here:
        names = routes_of(create_app(here.gateway))
        unguarded = {name for name, route in names if not isinstance(route, Guarded)}
        assert unguarded == {"GET /openapi.json", "HEAD /openapi.json", "GET /docs"}


@pytest.mark.parametrize(
    "name", [name for name in BODIES if "code" in str(BODIES[name]) or UNKNOWN_NAME in str(BODIES[name])] +
    ["GET /v1/coupons/{code}", "GET /v1/coupons/{code}/history", "POST /v1/coupons/{code}/void",
     "GET /v1/customers/{who}/wallet", "POST /v1/locks/{lock_reference}/release", "GET /v1/redemptions",
     "GET /voucherify/v1/vouchers/{code}", "POST /voucherify/v1/vouchers/{code}/disable",
     "POST /voucherify/v1/redemptions/{redemption}/rollback"],
)  # fmt: skip
async def test_too_many_guesses_get_a_429_that_reveals_nothing(database_url: str, name: str) -> None:
    async with served(database_url, definition(), http_unknown_per_minute=5) as here:
        [code] = await issue(Engine(here.pool), "save10")
        answers = [await guess(here.client, name, here.key) for _ in range(8)]
        answered = [answer for answer in answers if answer.status_code != 429]
        assert 1 <= len(answered) <= 5
        assert answers[-1].status_code == 429
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 66
        # An existing code gets the same response, on other routes too.
        for path, body in (("/v1/validate", {"codes": [code]}), ("/v1/explain", {"code": code})):
            assert (await here.client.post(path, json=body)).status_code == 429
        assert (await here.client.get(f"/v1/coupons/{code}")).status_code == 429
        assert (await here.client.get(f"/voucherify/v1/vouchers/{code}")).status_code == 429
        # Other callers are not limited.
        other = await here.key_for("read")
        assert (await here.anonymous_client().get(f"/v1/coupons/{code}", headers=other)).status_code == 200


async def test_guesses_in_all_facades_are_counted_together(database_url: str) -> None:
    names = [
        "POST /v1/validate", "POST /capillary/v1.1/coupon/redeem", "GET /voucherify/v1/vouchers/{code}",
        "POST /gameball/api/v4.0/integrations/coupons/{code}/validate", "POST /paddle/api/2.0/product/delete_coupon",
    ]  # fmt: skip
    async with served(database_url, http_unknown_per_minute=7) as here:
        answers = [await guess(here.client, names[number % 5], here.key) for number in range(10)]
        assert [answer.status_code == 429 for answer in answers] == [False] * 7 + [True] * 3


@pytest.mark.parametrize("name", ["GET /v1/coupons/{code}", "POST /v1/validate", "POST /capillary/v1.1/coupon/redeem"])
async def test_concurrent_guesses_have_the_same_limit_as_sequential_ones(database_url: str, name: str) -> None:
    async with served(database_url) as here:
        answers = await asyncio.gather(*[guess(here.client, name, here.key) for _ in range(400)])
        counts = Counter(answer.status_code == 429 for answer in answers)
        assert counts == {False: 60, True: 340}
        assert failures(here) == 60


async def test_every_code_of_a_request_counts(database_url: str) -> None:
    async with served(database_url) as here:
        body = {"codes": [f"NONE-{number}" for number in range(30)]}
        statuses = [(await here.client.post("/v1/validate", json=body)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_a_request_over_the_limit_is_answered_once_and_counts_in_full(
    database_url: str,
) -> None:
    async with served(database_url) as here:
        root = {"root": {"coupon": [{"code": f"NONE-{number}"} for number in range(100)]}}
        answers = await asyncio.gather(
            *[here.client.post("/capillary/v1.1/coupon/redeem", json=root) for _ in range(5)]
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 429: 4}
        assert failures(here) == 100


async def test_wrong_validation_codes_count_as_guesses(database_url: str) -> None:
    campaign = definition(validation_code="4711")
    async with served(database_url, campaign, http_unknown_per_minute=5) as here:
        [code] = await issue(Engine(here.pool), "save10")
        body = {"codes": [code], "order": ORDER, "validation_code": "0000"}
        statuses = [(await here.client.post("/v1/validate", json=body)).status_code for _ in range(5)]
        assert statuses == [200] * 5
        right = await here.client.post("/v1/validate", json=body | {"validation_code": "4711"})
        assert right.status_code == 429
        parallel = await asyncio.gather(*[here.client.post("/v1/redemptions", json=body) for _ in range(20)])
        assert {answer.status_code for answer in parallel} == {429}


async def test_a_missing_validation_code_does_not_count_as_a_guess(database_url: str) -> None:
    async with served(database_url, definition(validation_code="4711"), http_unknown_per_minute=2) as here:
        [code] = await issue(Engine(here.pool), "save10")
        for _ in range(4):
            answer = await here.client.post("/v1/validate", json={"codes": [code], "order": ORDER})
            assert answer.status_code == 200


async def test_valid_requests_leave_no_counts(database_url: str) -> None:
    async with served(database_url, definition(), http_unknown_per_minute=5, http_rate_per_minute=10_000) as here:
        codes = await issue(Engine(here.pool), "save10", 100)
        answers = await asyncio.gather(*[here.client.post("/v1/validate", json={"codes": [code]}) for code in codes])
        assert {answer.status_code for answer in answers} == {200}
        assert await here.pool.fetchval("SELECT count(*) FROM http_guesses") == 0
        assert len(here.gateway.guesses.callers) == len(here.gateway.guesses.addresses) == 0


async def test_a_replayed_response_does_not_count_as_a_guess(database_url: str) -> None:
    async with served(database_url, definition()) as here:
        body = {"codes": [UNKNOWN_NAME], "order": ORDER}
        for _ in range(5):
            answer = await here.client.post("/v1/redemptions", json=body, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 404
        assert failures(here) == 1


async def test_gateways_of_one_ledger_count_guesses_together(database_url: str) -> None:
    async with served(database_url, http_unknown_per_minute=10) as here:
        other = Gateway(here.pool, here.gateway.settings)
        async with client_of(other, {"Authorization": f"Bearer {here.key}"}) as client:
            for number in range(6):
                assert (await here.client.get(f"/v1/coupons/N{number}")).status_code == 404
            await other.guesses.run_once()
            statuses = [(await client.get(f"/v1/coupons/M{number}")).status_code for number in range(6)]
            assert statuses == [404] * 4 + [429] * 2
            await here.gateway.guesses.run_once()
            assert (await here.client.get("/v1/coupons/X")).status_code == 429


async def test_a_gateway_reads_the_counts_of_others_with_its_first_guess(database_url: str) -> None:
    async with served(database_url, http_unknown_per_minute=10) as here:
        other = Gateway(here.pool, here.gateway.settings)
        async with client_of(other, {"Authorization": f"Bearer {here.key}"}) as client:
            for number in range(10):
                await here.client.get(f"/v1/coupons/N{number}")
            assert [(await client.get("/v1/coupons/X")).status_code for _ in range(2)] == [404, 429]


async def test_all_callers_of_an_address_share_one_limit(database_url: str) -> None:
    async with served(database_url, http_unknown_per_minute_and_address=20) as here:
        keys = [await here.key_for("read") for _ in range(4)]
        client = here.anonymous_client()
        answers = await asyncio.gather(
            *[client.get(f"/v1/coupons/N{number}", headers=keys[number % 4]) for number in range(100)]
        )
        assert Counter(answer.status_code for answer in answers) == {404: 20, 429: 80}
        elsewhere = httpx.ASGITransport(create_app(here.gateway), client=("192.0.2.9", 1))
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://couponry.test") as far:
            assert (await far.get("/v1/coupons/X", headers=keys[0])).status_code == 404


async def test_guesses_are_counted_while_the_ledger_is_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(database_url, http_unknown_per_minute=3) as here:
        monkeypatch.setattr(module, "sql", lambda *_: "SELECT 1 / 0")
        statuses = [(await here.client.get("/v1/coupons/X")).status_code for _ in range(5)]
        assert statuses == [404] * 3 + [429] * 2


async def test_old_guesses_are_dropped_and_deleted(database_url: str) -> None:
    async with served(database_url, http_unknown_per_minute=3) as here:
        for _ in range(3):
            await here.client.get("/v1/coupons/X")
        await here.pool.execute("UPDATE http_guesses SET slot = slot - $1", SLOTS)
        later = Gateway(here.pool, here.gateway.settings)
        await later.guesses.run_once()
        assert len(later.guesses.callers) == 0
        for _ in range(module.PRUNED_EVERY):
            await later.guesses.run_once()
        assert await here.pool.fetchval("SELECT count(*) FROM http_guesses") == 0


async def test_guesses_are_a_metric(database_url: str) -> None:
    name, labels = "couponry_http_guesses_total", {"api": "Couponry"}
    async with served(database_url) as here:
        before = REGISTRY.get_sample_value(name, labels) or 0.0
        await here.client.post("/v1/validate", json={"codes": ["A", "B"]})
        assert REGISTRY.get_sample_value(name, labels) == before + 2


# Budgets


async def test_a_budget_admits_attempts_up_to_its_limit_and_refuses_the_queue() -> None:
    clock = Clock()
    budget = Budget(3, clock)
    taken = [await budget.take(1) for _ in range(3)]
    waiting = [asyncio.create_task(budget.take(1)) for _ in range(4)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    budget.give_back(taken[0])  # it succeeded
    assert await waiting[0] == 1
    waiting[1].cancel()
    budget.add({clock.slot(): 3}, known=False)
    budget.give_back(1)
    for one in waiting[2:]:
        with pytest.raises(OverBudgetError):
            await one
    with pytest.raises(OverBudgetError) as error:
        await budget.take(1)
    assert error.value.seconds > 0


async def test_a_cancelled_attempt_releases_its_place() -> None:
    budget = Budget(2, Clock())
    taken = await budget.take(5)
    first, second = asyncio.create_task(budget.take(2)), asyncio.create_task(budget.take(1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    budget.give_back(taken)
    assert await second == 1
    budget.give_back(1)
    given = asyncio.create_task(budget.take(2))
    await asyncio.sleep(0)
    given.cancel()
    assert await given == 2
    budget.give_back(2)
    assert budget.is_unused


async def test_failures_over_the_limit_count_in_the_following_minutes() -> None:
    assert spread(100, 60) == [(0, 60), (SLOTS, 40)]
    assert spread(60, 60) == [(0, 60)]
    assert spread(1, 60) == [(0, 1)]
    assert SLOTS * SLOT_SECONDS > 60
    assert sum(count for _, count in spread(12_345, 60)) == 60 * MINUTES_AHEAD


async def test_different_or_changed_clocks_neither_block_nor_admit_everything(database_url: str) -> None:
    async with served(database_url, http_unknown_per_minute=3) as here:
        for hours in (-3, 0, 5):
            clock = here.gateway.guesses._clock
            clock.set(time.time() + hours * 3_600)
            await here.pool.execute("DELETE FROM http_guesses")
            other = Gateway(here.pool, here.gateway.settings)
            other.guesses._clock.set(time.time() - hours * 3_600)
            async with client_of(other, {"Authorization": f"Bearer {here.key}"}) as client:
                statuses = [(await client.get("/v1/coupons/X")).status_code for _ in range(5)]
                assert statuses == [404] * 3 + [429] * 2
                await here.gateway.guesses.run_once()
                assert abs(clock.seconds() - time.time()) < 60
                assert (await here.client.get("/v1/coupons/X")).status_code == 429
    budget = Budget(3, clock := Clock())
    budget.add({clock.slot(): 3}, known=False)
    clock.set(clock.seconds() - 24 * 3_600)
    budget.check()
