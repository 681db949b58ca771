"""Exported CSV has no formulas for any spreadsheet, and can be imported again unchanged."""

import csv
import io
from collections.abc import Iterator

import pytest
from defusedcsv.csv import writer as defused_writer
from hypothesis import example, given
from hypothesis import strategies as st

from services.gateway.jobs import JobRunner
from services.gateway.native.tables import csv_text
from shared.ledger.code_files import CodeReader
from shared.ledger.csv_escaping import escape_cell, unescape_cell
from tests.gateway import served
from tests.ledger import definition

HOSTILE = (
    "=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "x;=1+1", "x,=1", "x\t=1",
    "\uff1d1+1", "\uff0b1+1", "\uff0d1", "\uff20SUM(1)",
    "\n=1", "\t=1", "\r=1", "\n", "\tx", "|cmd", "%x", " =1", "\u00a0=1", "\u200b=1", '"=1', 'x;"=1"', "x; =1", "'=1",
    "''=1", "x;'=1", "a\n=1", "\ufeff=1", "x;\uff1d1", "a|-1", "a\u2028=1",
)  # fmt: skip
FORMULA = tuple("=+-@|%\uff1d\uff0b\uff0d\uff20")
BREAK = ("\t", "\r", "\n")
TEXTS = st.text(st.sampled_from("'\"=+-@|%\uff1d;, \t\r\nab1.\u200b") | st.characters(exclude_categories=["Cs"]))


def cells(text: str, delimiter: str, **how: object) -> Iterator[str]:
    """Yield every cell that a reader with this delimiter sees."""
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **how):  # type: ignore[arg-type]
        yield from row


def is_formula(cell: str) -> bool:
    said = cell.strip('"\u200b\ufeff \u00a0\t\r\n')
    return said.startswith(FORMULA) or (bool(said) and cell.startswith(BREAK))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("row", [("{}",), ("a,b", "{}", "c"), ("a", "b;c", "{}", "{}")])
def test_readers_with_any_delimiter_find_no_formula(text: str, delimiter: str, row: tuple[str, ...]) -> None:
    written = csv_text([["code"] * len(row), [cell.format(text) for cell in row]])
    for how in ({}, {"quoting": csv.QUOTE_NONE}):
        assert [cell for cell in cells(written, delimiter, **how) if is_formula(cell)] == []


def test_numbers_and_harmless_strings_are_not_changed() -> None:
    for text in ("-5.00", "+5", "12", "SAVE10", "a-b", "a=b", "x, y", "name@example.com", "", "O'Neill"):
        assert escape_cell(text) == text
    assert csv_text([[-5, 1.5, None, True]]) == "-5,1.5,,True\r\n"


@given(TEXTS)
@example("'=1")
@example("'\n'=1")
def test_escaped_strings_can_be_restored(text: str) -> None:
    assert unescape_cell(escape_cell(text)) == text
    assert not is_formula(escape_cell(text)) or escape_cell(text) == text


@given(TEXTS)
def test_every_string_that_defusedcsv_escapes_is_escaped(text: str) -> None:
    written = io.StringIO()
    defused_writer(written).writerow(["first", text])
    [[_, defused]] = csv.reader(io.StringIO(written.getvalue(), newline=""))
    if defused != text and not text.startswith("'"):
        assert escape_cell(text).startswith("'")


def test_codes_in_a_csv_column_are_read_without_their_apostrophes() -> None:
    for delimiter in ",;\t":
        rows = f"name{delimiter}code\nx{delimiter}'=1+1\nx{delimiter}''=1+1\nx{delimiter}O'NEILL\n"
        assert [found.code for found in CodeReader("csv").feed(rows.encode())] == ["=1+1", "'=1+1", "O'NEILL"]
    assert [found.code for found in CodeReader("plain").feed(b"'=1+1\n")] == ["'=1+1"]  # a list of codes is not CSV


@pytest.mark.asyncio
@pytest.mark.parametrize("pattern", ["+A-########", "=1+1-########", "x;=1-########", "|########"])
async def test_exported_codes_of_a_job_can_be_imported_again(database_url: str, pattern: str) -> None:
    jobs, again = definition("jobs", code={"pattern": pattern}), definition("again")
    async with served(database_url, jobs, again) as here:
        job = (await here.client.post("/v1/coupons", json={"campaign_id": "jobs", "count": 1_001})).json()["job_id"]
        runner = JobRunner(here.pool, here.gateway.engine)
        while await runner.run_once():
            pass
        exported = (await here.client.get(f"/v1/jobs/{job}/codes", params={"format": "csv"})).text
        assert [cell for delimiter in ",;" for cell in cells(exported, delimiter) if is_formula(cell)] == []
        without_header = exported.partition("\r\n")[2]
        has_separator = any(separator in pattern for separator in ";|")  # without a header they separate columns
        for body in (exported, exported if has_separator else without_header):
            answer = await here.client.post(
                "/v1/campaigns/again/codes/import", content=body.encode(), headers={"Content-Type": "text/csv"}
            )
            assert (answer.status_code, answer.json()["added"], answer.json()["existing"]) == (200, 0, 1_001)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", ["=1+1", "x;=1", "\uff1d1+1", "|1", "a,b;@c", '"=1"'])
async def test_redemptions_as_csv_have_no_formulas(database_url: str, code: str) -> None:
    async with served(database_url, definition(code={"shared_code": code}, limits={})) as here:
        order = {"order_id": f"x;{code}", "currency": "USD", "amount": "5.00"}
        answer = await here.client.post("/v1/redemptions", json={"codes": [code], "order": order})
        assert answer.status_code == 200, answer.text
        await here.client.post(f"/v1/orders/{order['order_id']}/cancel")
        document = (await here.client.get("/v1/redemptions", params={"format": "csv"})).text
        rows = list(csv.DictReader(io.StringIO(document)))
        assert [unescape_cell(row["code"]) for row in rows] == [code, code]
        assert [row["discount_amount"] for row in rows] == ["-0.50", "0.50"]
        texts = [cell for delimiter in ",;\t" for cell in cells(document, delimiter)]
        assert [cell for cell in texts if is_formula(cell) and cell != "-0.50"] == []
