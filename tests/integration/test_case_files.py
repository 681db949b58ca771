"""Files of `tests/cases/files` over HTTP and the command line, and codes that leave as CSV and come in again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.gateway.jobs import JobRunner
from tests.gateway import Served, served
from tests.integration.cli_calls import Called, call
from tests.ledger import definition

FILES = Path(__file__).parents[1] / "cases" / "files"
CSV = {"content-type": "text/csv"}


def plain(campaign_id: str = "plain", **changes: Any) -> Any:
    return definition(campaign_id, **{"code": {}, "limits": {"uses_per_coupon": 1}, **changes})


async def imported(here: Served, content: bytes, campaign_id: str = "plain", **query: str) -> Any:
    path = f"/v1/campaigns/{campaign_id}/codes/import"
    return await here.client.post(path, content=content, headers=CSV, params=query)


async def codes_of(here: Served, campaign_id: str = "plain") -> list[str]:
    rows = await here.pool.fetch("SELECT code FROM coupons WHERE campaign_id = $1 ORDER BY code", campaign_id)
    return [row["code"] for row in rows]


async def test_lines_that_end_with_cr_are_imported_over_http(database_url: str) -> None:
    async with served(database_url, plain()) as here:
        answer = await imported(here, (FILES / "i1.csv").read_bytes())
        assert (answer.status_code, await codes_of(here)) == (200, ["CLI-1", "CLI-2"]), answer.text


async def test_a_header_under_another_name_is_asked_back_over_http(database_url: str) -> None:
    async with served(database_url, plain()) as here:
        content = (FILES / "i3.csv").read_bytes()
        asked = await imported(here, content)
        assert (asked.status_code, await codes_of(here)) == (422, [])
        assert "line 1" in asked.text.lower()
        assert "'Coupon code'" in asked.text
        answer = await imported(here, content, column="Coupon code")
        assert (answer.status_code, await codes_of(here)) == (200, ["CLI-H1"]), answer.text


def test_the_files_of_codes_are_imported_from_the_command_line(database_url: str) -> None:
    def couponry(*arguments: str) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments)

    given = '{"campaign_id": "plain", "discount": {"kind": "percentage", "value": "10"}}'
    assert call({"COUPONRY_DATABASE_URL": database_url}, "campaigns", "load", "-", given=given).exit_code == 0
    first, second = str(FILES / "i1.csv"), str(FILES / "i3.csv")
    assert couponry("coupons", "import", "plain", first).words == "2 codes added to plain."
    asked = couponry("coupons", "import", "plain", second)
    assert (asked.exit_code, "looks like a header: 'Coupon code'" in " ".join(asked.err.split())) == (1, True)
    named = couponry("coupons", "import", "plain", second, "--column", "Coupon code")
    assert named.words == "1 code added to plain."
    assert couponry("coupons", "validate", "cli-h1").exit_code == 0
    assert couponry("coupons", "validate", "Coupon code").exit_code == 1


@pytest.mark.parametrize("command", ["plan", "load"])
def test_a_look_alike_is_loaded_with_a_warning(database_url: str, command: str) -> None:
    done = call({"COUPONRY_DATABASE_URL": database_url}, "campaigns", command, str(FILES / "homoglyph.yaml"))
    assert done.exit_code == 0
    assert "looks like 'SAVE10' of campaign 'h1'" in " ".join((done.out + done.err).split())


@pytest.mark.parametrize("command", ["plan", "load"])
def test_one_code_in_two_spellings_is_refused(database_url: str, command: str) -> None:
    done = call({"COUPONRY_DATABASE_URL": database_url}, "campaigns", command, str(FILES / "nfd-and-nfc.yaml"))
    assert done.exit_code == 1
    assert "the same code as 'CAF\u00c910' of campaign 'n1'" in " ".join(done.err.split())
    listed = call({"COUPONRY_DATABASE_URL": database_url}, "campaigns", "list", "--json")
    assert listed.json == []


# Reports and CSV


@pytest.mark.parametrize("pattern", ["+A-########", "=B-########", "-C-########", "@D-########", "'E-########"])
async def test_codes_that_were_exported_as_csv_are_the_same_codes_when_imported(
    database_url: str, pattern: str
) -> None:
    made = definition("made", code={"pattern": pattern})
    async with served(database_url, made, plain("again"), plain("other")) as here:
        begun = await here.client.post("/v1/coupons", json={"campaign_id": "made", "count": 1_001})
        runner = JobRunner(here.pool, here.gateway.engine)
        while await runner.run_once():
            pass
        exported = await here.client.get(f"/v1/jobs/{begun.json()['job_id']}/codes", params={"format": "csv"})
        answer = await imported(here, exported.content, "again")
        assert (answer.status_code, answer.json()["added"], answer.json()["existing"]) == (200, 0, 1_001)
        codes = await codes_of(here, "made")
        await here.pool.execute("UPDATE coupons SET code = 'x' || code, code_key = 'X' || code_key")
        assert (await imported(here, exported.content, "other")).json()["added"] == 1_001
        assert await codes_of(here, "other") == codes


async def test_sums_are_by_currency_with_its_decimals(database_url: str) -> None:
    async with served(database_url, definition("sums", code={"shared_code": "SUMS"}, limits={})) as here:
        orders = (("USD", "50.00"), ("JPY", "5000"), ("KWD", "5.000"), ("EUR", "1.10"), ("USD", "0.10"))
        for number, (currency, amount) in enumerate(orders):
            order = {"order_id": f"R{number}", "currency": currency, "amount": amount}
            await here.client.post("/v1/redemptions", json={"codes": ["SUMS"], "order": order})
        await here.client.post("/v1/orders/R0/return", json={"amount": "25.00"})
        await here.client.post("/v1/orders/R3/cancel")
        changed = {"codes": ["SUMS"], "order": {"currency": "JPY", "amount": "9000"}}
        assert (await here.client.put("/v1/orders/R1", json=changed)).json()["discount_amount"] == "900"
        report = (await here.client.get("/v1/reports/campaigns/sums")).json()
        assert report["discount_given"] == {"EUR": "0.00", "JPY": "900", "KWD": "0.500", "USD": "2.51"}
        rows = (await here.client.get("/v1/redemptions", params={"campaign_id": "sums", "format": "csv"})).text
        assert {"-2.50", "0.500", "400", "5.00"} <= set(rows.replace("\r\n", ",").split(","))


async def test_formulas_in_csv_are_text(database_url: str) -> None:
    async with served(database_url, definition("=frm", code={"shared_code": "=1+1"}, limits={})) as here:
        order = {"order_id": "@SUM(1)", "currency": "USD", "amount": "5.00"}
        redeemed = await here.client.post("/v1/redemptions", json={"codes": ["=1+1"], "order": order})
        assert redeemed.status_code == 200, redeemed.text
        rows = (await here.client.get("/v1/redemptions", params={"campaign_id": "=frm", "format": "csv"})).text
        assert [cell for cell in rows.replace("\r\n", ",").split(",") if cell[:1] in "=@+" and cell] == []
        assert {"'=1+1", "'=frm", "'@SUM(1)"} <= set(rows.replace("\r\n", ",").split(","))


async def test_imports_at_once_add_each_code_once(database_url: str) -> None:
    async with served(database_url, plain()) as here:
        content = (FILES / "i1.csv").read_bytes()
        answers = await asyncio.gather(*(imported(here, content) for _ in range(4)))
        assert sum(answer.json()["added"] for answer in answers) == 2
        assert await codes_of(here) == ["CLI-1", "CLI-2"]
