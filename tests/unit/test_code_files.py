"""Reading codes from files: every way in which spreadsheets, shops and editors write them."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.code_files import MAX_LINE_LENGTH, CodeFileError, CodeReader
from shared.ledger.code_headers import is_header
from shared.ledger.csv_escaping import escape_cell
from shared.ledger.not_codes import problem_of

CASES = Path(__file__).parents[1] / "cases" / "files"


def read(content: bytes, kind: Any = "csv", column: str | None = None, piece: int = 1 << 16) -> list[str]:
    reader = CodeReader(kind, column)
    found = [one for start in range(0, len(content), piece) for one in reader.feed(content[start : start + piece])]
    return [one.code for one in [*found, *reader.close()]]


GOOD: dict[str, tuple[bytes, Sequence[str]]] = {
    "CR": (b"code\rA-1\rA-2\r", ["A-1", "A-2"]),
    "CR, no last end": (b"code\rA-1\rA-2", ["A-1", "A-2"]),
    "LF": (b"code\nA-1\nA-2\n", ["A-1", "A-2"]),
    "CRLF": (b"code\r\nA-1\r\n\r\nA-2", ["A-1", "A-2"]),
    "NEL": ("code\x85A-1\x85A-2".encode(), ["A-1", "A-2"]),
    "form feed": (b"A-1\fA-2\v\n", ["A-1", "A-2"]),
    "line separator": ("A-1\u2028A-2\u2029".encode(), ["A-1", "A-2"]),
    "mixed": (b"code\r\nA-1\rA-2\n\rA-3", ["A-1", "A-2", "A-3"]),
    "UTF-8 with a mark": (b"\xef\xbb\xbfcode\r\nA-1", ["A-1"]),
    "UTF-8 with a mark, no header": (b"\xef\xbb\xbfA-1", ["A-1"]),
    "UTF-16": ("code\r\nCAF\u00c9\r\n".encode("utf-16"), ["CAF\u00c9"]),
    "UTF-16, big end": (b"\xfe\xff" + "A-1\n".encode("utf-16-be"), ["A-1"]),
    "semicolons": (b"name;Code;x\nn;A-1;2\nn;A-2;3", ["A-1", "A-2"]),
    "tabs": (b"name\tCODE\nn\tA-1\n", ["A-1"]),
    "quotes": (b'"name","code"\n"a, b","A-1"\n"a ""b""","A-2"\n', ["A-1", "A-2"]),
    "a cell of two lines": (b'note,code\n"one\ntwo",A-1\nx,A-2\n', ["A-1", "A-2"]),
    "an inch": (b'code,note\nA-1,5" TV\nA-2,7"\n', ["A-1", "A-2"]),
    "quotes without a header": (b'"A-1"\n"A-2"\n', ["A-1", "A-2"]),
    "a comma in quotes": (b'code\n"A,1"\n', ["A,1"]),
    "Excel's separator line": (b"sep=;\r\ncode;x\r\nA-1;2\r\n", ["A-1"]),
    "Excel's text": (b'code\n="00123"\n"=""00124"""\n', ["00123", "00124"]),
    "our apostrophes": (b"code\n'=1+1\n'+A\n'@X\n'-B\n", ["=1+1", "+A", "@X", "-B"]),
    "our apostrophes, no header": (b"'=1+1\n'+A\n", ["=1+1", "+A"]),
    "a semicolon in a code": (b"code\nx;'=1\n", ["x;=1"]),
    "empty rows": (b"code,x\nA-1,1\n,\n , \nA-2,2\n,,\n", ["A-1", "A-2"]),
    "blanks around": ("\u00a0A-1\u00a0\n\tA-2 \n\u200bA-3\ufeff\nA\u00ad-4".encode(), ["A-1", "A-2", "A-3", "A-4"]),
    "blanks inside": ("BLACK\u00a0 10\n".encode(), ["BLACK 10"]),
    "a header in other words": (b" C o d e \nA-1", ["A-1"]),
    "a short code": (b"A", ["A"]),
    "codes that are words": (b"WELCOME\nSUMMER\n", ["WELCOME", "SUMMER"]),
    "a word and digits": (b"COUPON1\nCOUPON2\n", ["COUPON1", "COUPON2"]),
    "pipes": (b"name|code|uses\nn|A-1|2\nn|A-2|3\n", ["A-1", "A-2"]),
    "pipes, Excel's separator line": (b'"sep=|"\ncode|x\nA-1|2\n', ["A-1"]),
    "tabs, Excel's separator line": (b"sep=\t\r\ncode\tx\r\nA-1\t2\r\n", ["A-1"]),
    "a separator at the end": (b'A-1,\nA-2,,\n"A-3",\n', ["A-1", "A-2", "A-3"]),
    "a semicolon at the end": (b'A-1;\n"A-2";\nA-3\n', ["A-1", "A-2", "A-3"]),
    "a separator at the end of the header": (b"code;\nA-1;\nA-2;;\n", ["A-1", "A-2"]),
    "the same header again": (b"code,x\nA-1,1\ncode,x\nA-2,2\n", ["A-1", "A-2"]),
    "Excel's text with a separator": (b'code;x\n="0012";1\n', ["0012"]),
    "a line break after a code in quotes": (b'code\n"A-1\n"\n', ["A-1"]),
    "words of totals as codes": (b"code,uses\nTOTAL50,1\nSUMMER,2\nCOUNTDOWN,3\n", ["TOTAL50", "SUMMER", "COUNTDOWN"]),
    "a code that is a total, without numbers": (b"TOTAL\nTotal\n", ["TOTAL", "Total"]),
    "codes like numbers": (b"1E10\n12E5\n007\n1.5\n2E-17\n", ["1E10", "12E5", "007", "1.5", "2E-17"]),
    "codes of several words": (
        b"BLACK 10\nBUY ONE GET ONE\nGRATIS 24 H\n",
        ["BLACK 10", "BUY ONE GET ONE", "GRATIS 24 H"],
    ),
    "codes like entries of a list": (b"-10%\n#1\n2.5\n*A*\n", ["-10%", "#1", "2.5", "*A*"]),
    "anything in a column": (
        b'code\nA-1 A-2\n1. A\n# x\n{"a"}\n---\nA|1\n',
        ["A-1 A-2", "1. A", "# x", '{"a"}', "---", "A|1"],
    ),
    "our apostrophe before a formula": (b"code\n'=SUM(A1)\n", ["=SUM(A1)"]),
}


@pytest.mark.parametrize("piece", [1, 3, 7, 65_536])
@pytest.mark.parametrize("name", GOOD)
def test_codes_come_out_clean(name: str, piece: int) -> None:
    content, codes = GOOD[name]
    assert read(content, piece=piece) == list(codes)


@pytest.mark.parametrize(
    ("content", "column", "codes"),
    [
        (b"Coupon code\nA-1\n", "Coupon code", ["A-1"]),
        (b"Coupon code\nA-1\n", "coupon CODE ", ["A-1"]),
        (b"Coupon code\nA-1\n", "1", ["A-1"]),
        (b"name;Gutschein\nx;A-1\n", "gutschein", ["A-1"]),
        (b"name;Gutschein\nx;A-1\n", "2", ["A-1"]),
        (b"x;A-1\ny;A-2\n", "2", ["A-1", "A-2"]),
        (b"A-1\nA-2\n", "1", ["A-1", "A-2"]),
        (b"code,old code\nA-1,B-1\n", "old code", ["B-1"]),
    ],
)
def test_the_column_can_be_named_or_numbered(content: bytes, column: str, codes: list[str]) -> None:
    assert read(content, column=column) == codes


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"Coupon code\nA-1\n", 1, "looks like a header: 'Coupon code'. Which column holds the codes?"),
        (b"CouponCode\nA-1\n", 1, "looks like a header"),
        (b"coupon_code\rA-1\r", 1, "looks like a header"),
        ("C\u00f3digo de descuento\nA-1".encode(), 1, "looks like a header"),
        (b"Gutscheincode;Wert\nA-1;5\n", 1, "'Gutscheincode', 'Wert'"),
        (b'"Discount Code","Uses"\nA-1,1\n', 1, "'Discount Code', 'Uses'"),
        (b"Unser Schluessel\nA-1\n", 1, "looks like a header"),
        ("\u30af\u30fc\u30dd\u30f3\u30b3\u30fc\u30c9\nA-1".encode(), 1, "looks like a header"),
        ("Coupon code\r\nA-1".encode("utf-16"), 1, "looks like a header"),
        (b"A-1,10%\nA-2,20%\n", 1, "has several columns. Which column holds the codes?"),
        (b"A-1;10%\n", 1, "has several columns"),
        (b"A-1\t10\n", 1, "has several columns"),
        (b"A-1\nA-2;x\n", 2, "has several columns"),
        (b"code,x\nA-1,1\n,1\n", 3, "a code must have 1 to 255 characters"),
        (b"x,code\nA-1\n", 2, "has 1 column, and the codes are in column 2"),
        (b"A-1\nA\x00B\n", 2, "has a NUL character"),
        ("A-1\nA-2".encode("utf-16-le"), 1, "has a NUL character"),
        (b"A-1\nB\xff\n", 2, "is not valid UTF-8; save the file as UTF-8."),
        (b"A-1\nB\xff", 2, "is not valid UTF-8"),
        (b"\xff\xfeA\x00\n", 1, "is not valid UTF-16"),
        (b"A-1\n" + b"x" * 1_000_000, 2, "is longer than 65,536 characters."),
        (b"A-1\n" + b"x" * 1_000_000 + b"\nA-2", 2, "is longer than 65,536 characters."),
        (b"x" * 256, 1, "a code must have 1 to 255 characters"),
        (b"A-1\n\x07\n", 2, "no control characters"),
        ("A-1\n\ufe0f\n".encode(), 2, "a code must have 1 to 255 characters"),
        (b'code\n"A-1\nA-2\n', 2, "has a quote that isn't closed"),
        (b'code\n"A"B"",x\n', 2, "has a quote in the wrong place"),
        # separators
        (b"A-1|10%\nA-2|20%\n", 1, "has several columns. Which column holds the codes?"),
        (b"A-1\nA-2|x\n", 2, "has several columns"),
        (b"A-1,A-2,A-3\n", 1, "Or write one code per line."),
        (b",A-1\n", 1, "has several columns"),
        (b"A-1,\nA-2,10\n", 2, "has several columns"),
        (b'"A-1";"10"\n', 1, "has several columns"),
        ("A-1\uff0c10\n".encode(), 1, "has several columns"),
        (b"sep=^\nA-1^2\n", 1, "names a separator that isn't supported"),
        (b"A-1 A-2 A-3\n", 1, "has several codes, or columns, separated by blanks; write one code per line."),
        (b"A-1 10%\n", 1, "has several columns, separated by blanks"),
        (b"SAVE 2026-01-01\n", 1, "has several columns, separated by blanks"),
        (b"GIFT      20\n", 1, "has columns of fixed width"),
        (b"code\nA-1,10\n", 2, "has 2 columns, and the header has 1; write quotes around a code with ','"),
        (b"code|code\nA|B\n", 1, "has several columns 'code'."),
        # line breaks
        (b'code\n"A-1\nA-2"\n', 2, "has a line break inside a cell, so it may be several codes"),
        (b'"A-1\r\nA-2"\n', 1, "has a line break inside a cell"),
        ('code,x\nB,1\n"A-1\u2028A-2",1\n'.encode(), 3, "has a line break inside a cell"),
        # rows that aren't codes
        (b"code,uses\nA-1,1\nTotal,1\n", 3, "is a row of totals; remove it."),
        (b"uses;code\nx;A-1\n1,5;Summe:\n", 3, "is a row of totals"),
        (b"code,value\nA-1,x\nGrand total,$1,000.00\n", 3, "has 3 columns, and the header has 2"),
        (b'code,value\nA-1,x\nGrand total,"$1,000.00"\n', 3, "is a row of totals"),
        (b"A-1\nTotal: 2\n", 2, "is the total of a list"),
        (b"A-1\n(2 rows)\n", 2, "is the total of a list"),
        (b"A-1\n2 codes found\n", 2, "is the total of a list"),
        (b"---------\nA-1\n", 1, "has no letter or digit; remove the line."),
        (b"A-1\n# made in May\n", 2, "is a comment, not a code"),
        (b"1. A-1\n2. A-2\n", 1, "begins like an entry of a list"),
        ("\u2022 A-1\n".encode(), 1, "begins like an entry of a list"),
        # what spreadsheets and programs write
        (b"1.23E+10\n", 1, "is a number that a spreadsheet shortened; format the column as text"),
        (b"code\n1,23E+10\n", 2, "has 2 columns, and the header has 1"),
        (b"code;x\n1,23E+10;1\n", 2, "is a number that a spreadsheet shortened"),
        (b"code\n4E+12\n", 2, "is a number that a spreadsheet shortened"),
        (b"code\n12345.0\n", 2, "is a number with decimals"),
        (b"code\n#NAME?\n", 2, "is an error of a spreadsheet"),
        (b"code\n#N/A\n", 2, "is an error of a spreadsheet"),
        (b"code\n########\n", 2, "is an error of a spreadsheet"),
        (b"code\n=CONCAT(A1)\n", 2, "is a formula; save its result"),
        (b"code,x\nNULL,1\n", 2, "says that there is no code (NULL)"),
        (b"A-1\nnan\n", 2, "says that there is no code (nan)"),
        (b"A-1\n\\N\n", 2, "says that there is no code"),
        (b'["A-1"]\n', 1, "is JSON, not a code"),
        (b'{"code": "A-1"}\n', 1, "is JSON, not a code"),
        (b"<html><body>\n", 1, "is HTML or XML"),
        # files of other kinds
        (b"PK\x03\x04\x14\x00\x06\x00 an xlsx file", 1, "is the beginning of an Excel or zip file, not text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1 an xls file", 1, "is the beginning of an Excel file (.xls)"),
        (b"\x1f\x8b\x08 a gzip file of codes", 1, "is the beginning of a compressed file (gzip)"),
        (b"{\\rtf1\\ansi A-1}\n", 1, "is the beginning of an RTF file"),
        (b'code,x\nA-1,"' + b"y\n" * 70_000, 2, "is longer than 65,536 characters."),
    ],
)
def test_a_line_that_cannot_be_read_is_reported_with_its_number(content: bytes, line: int, says: str) -> None:
    for piece in (5, 65_536):
        with pytest.raises(CodeFileError) as caught:
            read(content, piece=piece)
        assert caught.value.line == line
        assert says in str(caught.value)


def test_an_unknown_column_is_reported_with_the_known_ones() -> None:
    with pytest.raises(CodeFileError, match=r"has no column 'key'; it has 'a', 'b'\."):
        read(b"a,b\n1,2\n", column="key")
    with pytest.raises(CodeFileError, match=r"has 2 columns, so there is no column 3\."):
        read(b"a,b\n1,2\n", column="3")
    with pytest.raises(CodeFileError, match=r"and 90 more"):
        read(",".join(f"x{number}" for number in range(100)).encode(), column="key")


@pytest.mark.parametrize("line", ["A,1", "A;1", "A|1", "A\t1", "1.23E+10", "A-1 A-2", "(2 rows)"])
def test_a_list_of_codes_is_checked_like_csv(line: str) -> None:
    with pytest.raises(CodeFileError):
        read(f"{line}\n".encode(), "plain")


def test_a_list_of_codes_has_no_apostrophes_but_excels_text() -> None:
    assert read(b'\'=1+1\n="0012"\n', "plain") == ["'=1+1", "0012"]


def test_a_header_makes_anything_a_code() -> None:
    assert read(b"code\nA;1\nA|2\nA-1 A-2\n", "plain") == ["A;1", "A|2", "A-1 A-2"]
    with pytest.raises(CodeFileError, match=r"If it is a code, write 'code' in the first line\.$"):
        read(b"A-1 A-2\n", "plain")


@pytest.mark.parametrize(
    "content", [b"", b"\n\r\n", b"code\n", b"\xef\xbb\xbf", b"\xff\xfe", b"sep=;\ncode\n", b"code,x\n,\n"]
)
def test_a_file_without_codes_has_none(content: bytes) -> None:
    assert read(content) == []


@pytest.mark.parametrize("file", sorted(CASES.glob("*.csv")), ids=lambda file: file.name)
def test_a_case_comes_out_clean_or_is_asked_back(file: Path) -> None:
    try:
        assert read(file.read_bytes()) == ["CLI-1", "CLI-2"]
    except CodeFileError as error:
        assert "looks like a header" in str(error)  # noqa: PT017 - one of both


@pytest.mark.parametrize(
    ("cell", "header"),
    [
        ("Coupon code", True), ("Voucher", True), ("discount_codes", True), ("Code promo", True),
        ("c\u00f3digos", True),
        ("\u043f\u0440\u043e\u043c\u043e\u043a\u043e\u0434", True), ("Name", True), ("# Codes", True), ("codes:", True),
        ("SAVE10", False), ("WELCOME", False), ("VOUCHER-ABC", False), ("ABCD-EFGH", False), ("CODE-7", False),
        ("", False), ("---", False), ("BLACKFRIDAY", False), ("\u590f\u5b63", False), ("XMAS_GIFT", False),
    ],
)  # fmt: skip
def test_a_header_is_recognised(cell: str, header: bool) -> None:
    assert is_header(cell) == header


@given(
    st.lists(
        st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Cc", "Cf", "Zs"]), min_size=1)
        .filter(lambda code: len(code) < 50 and not code.startswith("=\"") and not problem_of(code, in_column=True)),
        min_size=1,
    ),
    st.sampled_from(["\n", "\r", "\r\n"]),
)  # fmt: skip
def test_what_we_export_is_read_again(codes: list[str], line_end: str) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator=line_end)
    writer.writerow(["code"])
    writer.writerows([escape_cell(code)] for code in codes)
    assert read(written.getvalue().encode()) == codes


@given(st.binary(max_size=200), st.sampled_from(["csv", "plain"]))
def test_any_bytes_are_read_or_reported(content: bytes, kind: str) -> None:
    try:
        for code in read(content, kind):
            assert code.isprintable()
            assert code
    except CodeFileError as error:
        assert error.line >= 1  # noqa: PT017 - one of both


def test_a_line_of_the_greatest_length_is_read() -> None:
    assert read(b"code,x\nA-1," + b"x" * (MAX_LINE_LENGTH - 4)) == ["A-1"]
