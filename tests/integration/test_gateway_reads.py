"""Reads over HTTP: coupons, wallets, redemptions and refusals, reports, as JSON and as CSV."""

import csv
import io
from typing import Any

import pytest

from services.gateway.native.tables import cell
from shared.domain.model.customer import Customer
from shared.ledger.engine import Engine
from tests.gateway import Served, served
from tests.ledger import definition, issue

pytestmark = pytest.mark.asyncio


async def pages(here: Served, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return all items of a list, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    for _ in range(100):
        answer = await here.client.get(path, params=query | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return items
    raise AssertionError("the list never ends")


async def redeem(here: Served, code: str, order_id: str, customer_id: str | None = None) -> int:
    body: dict[str, Any] = {
        "codes": [code],
        "order": {"order_id": order_id, "currency": "USD", "amount": "100.00"},
    }
    if customer_id is not None:
        body["customer"] = {"customer_id": customer_id}
    return (await here.client.post("/v1/redemptions", json=body)).status_code


async def shop(here: Served) -> list[str]:
    """Issue seven coupons, redeem three, restore one of them, and cause some refusals."""
    codes = await issue(Engine(here.pool), "save10", 7, Customer("john", "john@example.com"))
    assert await redeem(here, codes[0], "O1", "john") == 200
    assert await redeem(here, codes[0], "O2", "john") == 422
    assert await redeem(here, codes[1], "O3", "john") == 200
    assert await redeem(here, codes[2], "O4", "mary") == 200
    assert await redeem(here, "NOPE", "O5", "mary") == 404
    assert await redeem(here, "PAUSED", "O6", "mary") == 422
    await here.client.post("/v1/orders/O3/cancel")
    await here.client.post(f"/v1/coupons/{codes[3]}/void")
    return codes


CAMPAIGNS = (
    definition("save10", group="spring"),
    definition("paused", status="paused", code={"shared_code": "PAUSED"}),
)


async def test_redemptions_of_every_kind_are_listed_in_pages(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        codes = await shop(here)
        every = await pages(here, "/v1/redemptions")
        listed = [(one["outcome"], one["order_id"]) for one in every]
        assert listed == [
            ("restored", "O3"), ("refused", "O6"), ("refused", "O5"), ("redeemed", "O4"), ("redeemed", "O3"),
            ("refused", "O2"), ("redeemed", "O1"),
        ]  # fmt: skip
        for limit in (1, 2, 3):
            assert await pages(here, "/v1/redemptions", limit=limit) == every
        assert every[0]["discount_amount"] == "-10.00"
        assert every[-1]["code"] == codes[0]
        assert every[-1]["command_id"].startswith("/couponry/http/")


@pytest.mark.parametrize(
    ("query", "orders"),
    [
        ({"reason": "exhausted"}, ["O2"]),
        ({"reason": "not_found"}, ["O5"]),
        ({"outcome": "redeemed"}, ["O4", "O3", "O1"]),
        ({"outcome": "refused"}, ["O6", "O5", "O2"]),
        ({"outcome": "restored"}, ["O3"]),
        ({"campaign_id": "paused"}, ["O6"]),
        ({"campaign_id": "save10", "outcome": "refused"}, ["O2"]),
        ({"customer": "john"}, ["O3", "O3", "O2", "O1"]),
        ({"customer": "JOHN@example.com", "outcome": "redeemed"}, ["O3", "O1"]),
        ({"customer": "unknown"}, []),
        ({"order_id": "O3"}, ["O3", "O3"]),
        ({"code": "nope"}, ["O5"]),
        ({"since": "2100-01-01T00:00:00Z"}, []),
        ({"until": "2000-01-01T00:00:00Z"}, []),
        ({"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "outcome": "redeemed"}, ["O4", "O3", "O1"]),
    ],
)
async def test_redemptions_are_filtered(database_url: str, query: dict[str, str], orders: list[str]) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        await shop(here)
        assert [one["order_id"] for one in await pages(here, "/v1/redemptions", limit=2, **query)] == orders


@pytest.mark.parametrize("moment", ["0.5", "20261122", "2026-11-22", "2026-11-22T09:30:00", "soon"])
async def test_a_time_is_rfc_3339_with_its_zone(database_url: str, moment: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        for path in ("/v1/redemptions", "/v1/reports/campaigns", "/v1/reports/campaigns/save10"):
            answer = await here.client.get(path, params={"until": moment})
            assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "query.until")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/v1/redemptions?limit=many", "query.limit: must be a whole number."),
        ("/v1/redemptions?limit=1.5", "query.limit: must be a whole number."),
        ("/v1/redemptions?limit=0", "query.limit: must be greater than or equal to 1."),
        ("/v1/redemptions?since=9999-01-01T00:00:00Z", "query.since: must be from 1970 to the year 8999."),
        ("/v1/redemptions?since=1969-01-01T00:00:00Z", "query.since: must be from 1970 to the year 8999."),
        ("/v1/redemptions?code=%07", "query.code: must have no control characters"),
        ("/v1/redemptions?shop_id=%0A", "query.shop_id: must have no control characters"),
        ("/v1/redemptions?code=", "query.code: must not be empty."),
        ("/v1/redemptions?outcome=", "query.outcome: must be 'redeemed', 'adjusted'"),
        ("/v1/coupons/%20", "path.code: must not be blank."),
        ("/v1/jobs/7", "path.job_id: must be a UUID."),
    ],
)
async def test_an_invalid_parameter_is_reported_with_what_it_must_be(database_url: str, path: str, detail: str) -> None:
    async with served(database_url) as here:
        answer = await here.client.get(path)
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(detail)


async def test_coupons_are_listed_by_customer_campaign_group_and_state(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        codes = await shop(here)
        every = await pages(here, "/v1/coupons", limit=3)
        assert {one["code"] for one in every} == {*codes, "PAUSED"}
        assert len(every) == 8
        states = {one["code"]: one["state"] for one in every}
        assert [states[code] for code in codes] == ["used", "usable", "used", "voided", "usable", "usable", "usable"]
        assert states["PAUSED"] == "campaign_inactive"
        for query, count in (
            ({"customer": "john"}, 7), ({"customer": "unknown"}, 0), ({"campaign_id": "paused"}, 1),
            ({"group": "spring"}, 7), ({"group": "none"}, 0), ({"state": "used"}, 2), ({"state": "pooled"}, 0),
            ({"state": "usable", "campaign_id": "save10"}, 4),
        ):  # fmt: skip
            assert len(await pages(here, "/v1/coupons", limit=2, **query)) == count, query


async def test_a_wallet_is_found_by_any_identifier_of_the_customer(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        await shop(here)
        for name in ("john", "John@Example.com", "id:john"):
            shown = await here.client.get(f"/v1/customers/{name}/wallet")
            assert len(shown.json()["coupons"]) == 7
        assert (await here.client.get("/v1/customers/unknown/wallet")).status_code == 404


async def test_a_report_has_the_numbers_of_a_campaign(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        await shop(here)
        report = (await here.client.get("/v1/reports/campaigns/save10")).json()
        assert report == {
            "campaign_id": "save10",
            "issued": 7,
            "redeemed": 3,
            "restored": 1,
            "refused": {"exhausted": 1},
            "conversion": 0.2857,
            "repeat_purchase": 0.5,
            "discount_given": {"USD": "20.00"},
        }
        every = (await here.client.get("/v1/reports/campaigns")).json()["items"]
        assert [one["campaign_id"] for one in every] == ["paused", "save10"]
        later = await here.client.get("/v1/reports/campaigns/save10", params={"since": "2100-01-01T00:00:00Z"})
        assert (later.json()["issued"], later.json()["conversion"]) == (0, None)
        assert (await here.client.get("/v1/reports/campaigns/nope")).status_code == 404


async def test_lists_are_available_as_csv(database_url: str) -> None:
    async with served(database_url, *CAMPAIGNS) as here:
        await shop(here)
        await redeem(here, "=cmd()", "=1+1", "mary")
        by_header = await here.client.get("/v1/redemptions", headers={"Accept": "text/csv"})
        assert by_header.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(by_header.text)))
        assert (rows[0]["order_id"], rows[0]["code"]) == ("'=1+1", "'=cmd()")
        assert rows[1]["discount_amount"] == "-10.00"
        report = await here.client.get("/v1/reports/campaigns", params={"format": "csv"})
        row = list(csv.DictReader(io.StringIO(report.text)))[1]
        assert (row["campaign_id"], row["refused_by_reason"], row["currency"]) == ("save10", "exhausted:1", "USD")


@pytest.mark.parametrize(
    ("value", "written"),
    [("a", "a"), ("=a", "'=a"), ("+a", "'+a"), ("-a", "'-a"), ("@a", "'@a"), ("\ta", "'\ta"), ("-1.50", "-1.50"),
     (None, ""), (5, 5)],
)  # fmt: skip
async def test_cells_are_never_formulas(value: object, written: object) -> None:
    assert cell(value) == written


@pytest.mark.parametrize("path", ["/v1/coupons", "/v1/redemptions"])
async def test_an_invalid_cursor_is_refused(database_url: str, path: str) -> None:
    async with served(database_url) as here:
        for cursor in ("nonsense", "WzFd", "WyJub3QgYSB1dWlkIl0", "W3RydWVd", "Wy01LCIiLCIiLCIiXQ", "WzFdWzFd"):
            answer = await here.client.get(path, params={"cursor": cursor})
            assert answer.status_code == 422, cursor


async def test_reads_need_the_scope_read(database_url: str) -> None:
    async with served(database_url) as here:
        headers = await here.key_for("redeem")
        for path in ("/v1/coupons", "/v1/redemptions", "/v1/reports/campaigns", "/v1/customers/x/wallet"):
            assert (await here.anonymous_client().get(path, headers=headers)).status_code == 403
