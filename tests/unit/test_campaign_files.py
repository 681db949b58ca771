"""Test campaign files: formats, traps of YAML, and the messages for problems with their lines."""

import gzip
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.campaign_files import MAX_BYTES, MAX_SHOWN, read_campaigns
from cli.errors import CommandFailedError, UsageProblemError
from cli.files import InputFile
from cli.main import app
from schemas.campaigns import CampaignDefinition

ONE = """\
campaign_id: a
discount: {kind: fixed, value: "5.00", currency: USD}
"""
ONE_JSON = {"campaign_id": "a", "discount": {"kind": "fixed", "value": "5.00", "currency": "USD"}}


ANCHORS = "anchors and aliases (&, *) are not supported; write the values out."


def read(text: str | bytes, name: str = "f.yaml") -> list[CampaignDefinition]:
    return read_campaigns(InputFile(name, io.BytesIO(text if isinstance(text, bytes) else text.encode())))


def problems_of(text: str | bytes, name: str = "f.yaml") -> list[str]:
    """Return the lines of the message for an invalid file."""
    with pytest.raises(CommandFailedError) as caught:
        read(text, name)
    return str(caught.value).splitlines()


def ids(text: str | bytes, name: str = "f.yaml") -> list[str]:
    return [definition.campaign_id for definition in read(text, name)]


def indented(campaign: str) -> str:
    return campaign.rstrip().replace("\n", "\n  ")


TWO = ONE.replace("campaign_id: a", "campaign_id: b")
LISTED = f"- {indented(ONE)}\n- {indented(TWO)}\n"


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("f.yaml", ONE, ["a"]),
        ("f.yml", LISTED, ["a", "b"]),
        ("f", f"campaigns:\n{LISTED}", ["a", "b"]),
        ("f.yaml", f"%YAML 1.2\n---\n{ONE}---\n{TWO}...\n---\n# nothing more\n", ["a", "b"]),
        ("f.yaml", f"\ufeff# saved by an editor that marks its files\r\n{ONE}".replace("\n", "\r\n"), ["a"]),
        ("f.yaml", json.dumps(ONE_JSON), ["a"]),
        ("f.json", json.dumps(ONE_JSON, indent="\t"), ["a"]),
        ("standard input", json.dumps([ONE_JSON, ONE_JSON | {"campaign_id": "b"}]), ["a", "b"]),
        ("standard input", ONE, ["a"]),
        ("f.json", json.dumps({"campaigns": [ONE_JSON]}), ["a"]),
        ("f.ndjson", f"{json.dumps(ONE_JSON)}\n\n{json.dumps(ONE_JSON | {'campaign_id': 'b'})}\n", ["a", "b"]),
        ("f.json", json.dumps(ONE_JSON | {"name": "😀"}), ["a"]),
    ],
)
def test_a_file_is_yaml_or_json_with_one_campaign_or_more(name: str, text: str, found: list[str]) -> None:
    assert ids(text, name) == found


def test_a_packed_file_is_read_like_a_plain_one() -> None:
    assert ids(gzip.compress(LISTED.encode()), "f.yaml.gz") == ["a", "b"]
    assert ids(gzip.compress(json.dumps(ONE_JSON).encode()), "f.json.gz") == ["a"]


@pytest.mark.parametrize(
    "written", ["no", "yes", "on", "NO", "2026-01-01", "12:30", "1e3", "0x10", "010", ".5", "1_000"]
)
def test_texts_that_yaml_would_convert_stay_texts(written: str) -> None:
    assert read(f"{ONE}name: {written}\nmetadata: {{seen: {written}}}\n")[0].name == written
    assert read(f"{ONE}metadata: {{seen: {written}}}\n")[0].metadata == {"seen": written}


@pytest.mark.parametrize(
    ("written", "value"),
    [("true", True), ("false", False), ("null", None), ("", None), ("7", 7), ("-7", -7), ("7.5", 7.5), ('"7"', "7")],
)
def test_only_values_of_json_are_not_texts(written: str, value: object) -> None:
    found = read(f"{ONE}metadata:\n  seen: {written}\n")[0].metadata["seen"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("amount", ["10.50", "1234567890123456.78", "0.10", "5", '"10.50"'])
def test_an_amount_keeps_its_digits(amount: str) -> None:
    text = ONE.replace('"5.00"', amount)
    assert read(text)[0].discount.value == amount.strip('"')
    as_json = json.dumps(ONE_JSON).replace('"5.00"', amount)
    assert read(as_json, "f.json") == read(text)


def test_texts_may_be_folded_quoted_or_of_several_lines() -> None:
    text = f"{ONE}name: 'it''s'\ndescription: |\n  one\n  two\ncode: {{pattern: \"####-####-####\"}}\n"
    found = read(text)[0]
    assert (found.name, found.description, found.code.pattern) == ("it's", "one\ntwo\n", "####-####-####")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{ONE}name: ~\n", ['f.yaml:3: ~ is ambiguous in YAML; write null or "~".']),
        (f"{ONE}name: Null\n", ['f.yaml:3: Null is ambiguous in YAML; write null or "Null".']),
        (f"{ONE}recurring: yes\n", ["f.yaml:3: campaign 'a', recurring: must be true or false."]),
        (f"{ONE}name: 12\n", ["f.yaml:3: campaign 'a', name: must be a string; put it in quotes."]),
        (f"{ONE}name: null\n", ["f.yaml:3: campaign 'a', name: must be a string."]),
        (
            f"{ONE}applies_to:\n  product_ids:\n  - \"510509\"\n  - 510510\n",
            ["f.yaml:6: campaign 'a', applies_to.product_ids[1]: must be a string; put it in quotes."],
        ),
        (
            f"{ONE}limits:\n  uses_per_coupon: '1'\n",
            ["f.yaml:4: campaign 'a', limits.uses_per_coupon: must be a whole number."],
        ),
        (
            f"{ONE}code:\n  pattern: ####-####\n",
            ["f.yaml:4: the value is only a comment; write null, or put a string that begins with # in quotes."],
        ),
        (f"{ONE}name: a\nname: b\n", ["f.yaml:4: name: already set on line 3; keep one of the two."]),
        (
            f"{ONE}name: &x a\ngroup: *x\n",
            [f"f.yaml:{line}: {ANCHORS}" for line in (3, 4)],
        ),
        (
            f"{ONE}name: !!str 12\n",
            [
                "f.yaml:3: tags (!) are not supported; remove the tag, and put a number that is meant as a string in "
                "quotes."
            ],
        ),
        (
            f"{ONE}limits: {{uses_total: 1",
            ["f.yaml:3:23: not valid YAML (while parsing a flow mapping did not find expected ',' or '}')."],
        ),
        (f"{ONE}? [a]\n: 1\n", ["f.yaml:3:3: a field's name must be a string, not a list or a mapping."]),
        (
            ONE.replace('"5.00"', "1e3"),
            [
                "f.yaml:2: campaign 'a', discount.value: must be an amount of at least 0 written as a decimal string, "
                'for example "125.00".'
            ],
        ),
        (f"{ONE}\tname: a\n", ["f.yaml:3:1: not valid YAML (while scanning for the next token found character "
         "that cannot start any token)."]),
        (f"{ONE}name: a: b\n", ["f.yaml:3:8: not valid YAML (mapping values are not allowed in this context)."]),
        (f"{ONE}name: \a\n",
         ["f.yaml:3:7: not valid YAML (control characters are not allowed); remove that character."]),
        (f'{ONE}name: "\\0"\n',
         ["f.yaml:1: campaign 'a': a string holds the character NUL (\\u0000), which no database can store; "
          "remove it."]),
        ("- " * 5_000, ["f.yaml:1:201: nested more than 100 deep; a campaign needs only a few."]),
        ("hello", ["f.yaml:1: must be a campaign, with campaign_id and discount; correct or remove it."]),
        ("", ["f.yaml has no campaigns; add one (`couponry example campaign` prints an example)."]),
        ("---\n# nothing\n", ["f.yaml has no campaigns; add one (`couponry example campaign` prints an example)."]),
        ("campaigns: []\n", ["f.yaml has no campaigns; add one (`couponry example campaign` prints an example)."]),
        (
            f"campaigns: 5\nother: 1\n---\n{ONE}",
            [
                "f.yaml:1: campaigns: must be a list of campaigns.",
                "f.yaml:2: other: not allowed next to campaigns; remove it.",
            ],
        ),
        (b"name: \xff\n", ["f.yaml:1: not UTF-8 text; save the file as UTF-8."]),
    ],
)  # fmt: skip
def test_a_yaml_trap_is_reported_with_its_line(text: str | bytes, says: list[str]) -> None:
    assert problems_of(text) == says


def test_a_billion_laughs_attack_is_refused() -> None:
    lines = ["a: &a [x]"] + [f"{to}: &{to} [{', '.join([f'*{of}'] * 9)}]" for of, to in pairwise("abcdefghi")]
    problems = problems_of("\n".join(lines))
    assert problems[0] == f"f.yaml:1: {ANCHORS}"
    assert len(problems) == MAX_SHOWN + 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '{"campaign_id": "a",\n',
            ["f.json:2:1: not valid JSON (Expecting property name enclosed in double quotes)."],
        ),
        ('{"a": 1}\n\n{"b":}', ["f.json:3:6: not valid JSON (Expecting value)."]),
        ("campaign_id: a", ["f.json:1:1: not valid JSON (Expecting value)."]),
        ("[" * 5_000, ["f.json:1:1: nested too deeply; a campaign needs only a few levels."]),
        ('{"a":' * 150 + "1" + "}" * 150, ["f.json:1:501: nested more than 100 deep; a campaign needs only a few."]),
        ('{"campaign_id": "a"}', ["f.json:1: campaign 'a', discount: is missing."]),
        (
            json.dumps(ONE_JSON) + '\n{\n"discount":\n5}\n[7]',
            [
                "f.json:2: campaign_id: is missing.",
                "f.json:3: discount: must be an object.",
                "f.json:5: must be a campaign, with campaign_id and discount; correct or remove it.",
            ],
        ),
        (
            '{"campaign_id": "a", "campaign_id": "b"}',
            ["f.json:1: campaign_id: already set on line 1; keep one of the two."],
        ),
        (
            json.dumps(ONE_JSON | {"nmae": 1, "name": "\\ud800"}, indent=1).replace("\\\\", "\\"),
            [
                "f.json:8: campaign 'a', nmae: is not a known field; correct or remove it.",
                r"f.json:9: contains half a character (a lone surrogate such as \ud800); correct the string.",
            ],
        ),
    ],
)  # fmt: skip
def test_problems_in_json_are_reported_with_their_lines(text: str, says: list[str]) -> None:
    assert problems_of(text, "f.json") == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"{ONE}window:\n  starts_at: 2026-05-01\n  ends_at: 2026-01-01\n",
            "f.yaml:5: campaign 'a': `window.ends_at` (2026-01-01T00:00:00+00:00) isn't after `window.starts_at`",
        ),
        (ONE.replace("5.00", "5.001"), "f.yaml:2: campaign 'a', discount.value: The amount '5.001' has 3 decimals"),
        (f"{ONE}code:\n  pattern: SAVE-#\n", "f.yaml:4: campaign 'a', code.pattern: The pattern 'SAVE-#' makes 31"),
        (f"{ONE}eligibility:\n  currency: EUR\n", "f.yaml:2: campaign 'a': discount.currency and eligibility.currency"),
        (
            "campaign_id: a\ndiscount:\n  kind: percentage\n  value: 110\n",
            "f.yaml:4: campaign 'a', discount: value is 110 percent",
        ),
        (
            f"{ONE}window:\n  time_zone: Mars/Olympus\n",
            "f.yaml:4: campaign 'a', window.time_zone: is not a time zone",
        ),
    ],
)
def test_an_inconsistent_campaign_is_reported_with_the_line_of_the_field(text: str, says: str) -> None:
    assert problems_of(text)[0].startswith(says)


def test_all_problems_of_a_file_are_reported_at_once_in_order() -> None:
    shared = "  code: {shared_code: HELLO}\n"
    text = (
        f"- {indented(ONE)}\n{shared}"
        f"- {indented(TWO)}\n  limits: {{uses_total: 0, spent: 1}}\n"
        f"- {indented(TWO)}\n  code: {{shared_code: ' hello'}}\n"
        f"- {indented(ONE)}\n"
        f"- campaign_id: d\n"
        f"- campaign_id: d\n"
    )
    assert problems_of(text) == [
        "f.yaml:6: campaign 'b', limits.uses_total: is 0, which would allow nothing; leave it out for no limit, "
        "or give at least 1.",
        "f.yaml:6: campaign 'b', limits.spent: is not a known field; correct or remove it.",
        "f.yaml:7: campaign 'b', campaign_id: already used on line 4; give each campaign an id of its own.",
        "f.yaml:9: campaign 'b', code.shared_code: the same code as 'HELLO' of campaign 'a', already used on line 3; "
        "give each campaign a code of its own.",
        "f.yaml:10: campaign 'a', campaign_id: already used on line 1; give each campaign an id of its own.",
        "f.yaml:12: campaign 'd', discount: is missing.",
        "f.yaml:13: campaign 'd', discount: is missing.",
        "f.yaml:13: campaign 'd', campaign_id: already used on line 12; give each campaign an id of its own.",
    ]


def test_of_a_thousand_problems_twenty_are_shown() -> None:
    problems = problems_of(f"{ONE}applies_to:\n  product_ids:\n" + "  - 7\n" * 1_000)
    assert len(problems) == MAX_SHOWN + 1
    assert problems[-1] == "… and 980 more."


def test_a_file_with_too_many_problems_says_how_many_more() -> None:
    wrong = ",".join(["7"] * 50_000)
    listed = [f'{{"campaign_id": "{n}", "discount": 1,\n"applies_to": {{"product_ids": [{wrong}]}}}}' for n in "abc"]
    problems = problems_of(f"[{','.join(listed)}]", "f.json")
    assert problems[0] == "f.json:1: campaign 'a', discount: must be an object."
    assert problems[-1] == f"… and {3 * 50_001 - MAX_SHOWN:,} more."


def test_a_name_from_a_file_brings_no_control_characters_to_the_terminal() -> None:
    problems = problems_of(f'{ONE}"\\e[2J": 1\n')
    assert problems == ["f.yaml:3: campaign 'a', '\\x1b[2J': is not a known field; correct or remove it."]


def test_a_file_that_is_too_large_is_refused_packed_or_not() -> None:
    bomb = gzip.compress(b" " * (MAX_BYTES + 1))
    with pytest.raises(UsageProblemError, match="larger than 33,554,432 bytes; split it"):
        read(bomb, "f.yaml.gz")


@pytest.mark.parametrize("name", ["f.yaml", "f.json"])
def test_a_hundred_thousand_products_are_read(name: str) -> None:
    document: dict[str, Any] = ONE_JSON | {"applies_to": {"product_ids": [f"{n:013}" for n in range(100_000)]}}
    text = json.dumps(document, indent=1)
    if name == "f.yaml":
        text = f"{ONE}applies_to:\n  product_ids:\n" + "".join(f'  - "{n:013}"\n' for n in range(100_000))
    assert len(read(text, name)[0].applies_to.product_ids) == 100_000


def test_the_yaml_example_is_the_json_example() -> None:
    made = [CliRunner().invoke(app, ["example", "campaign", *more]).output for more in ([], ["--yaml"])]
    assert read(made[0], "f.json") == read(made[1], "f.yaml")
    assert CliRunner().invoke(app, ["example", "order", "--yaml"]).exit_code == 2


def test_each_mistake_of_a_file_is_reported_with_what_to_write() -> None:
    path = Path(__file__).parents[1] / "cases" / "files" / "mistakes.yaml"
    assert [line.partition(": campaign ")[2] for line in problems_of(path.read_bytes(), "mistakes.yaml")] == [
        "'a2', discount.value: has a comma; write \"1.50\", with a point before the decimals.",
        "'a4', window.ends_at: has the year last; write \"2026-12-31\".",
        "'a5', window.time_zone: is not the name of a time zone; write \"America/Los_Angeles\", or the zone of another "
        "place.",
        "'a7', discount: value is 0, so no coupon would ever take anything off; give a value above 0.",
        "'a8', discount.value: is negative; write what it takes off or limits, for example \"10\".",
        "'a10', limits.uses_per_customer: is 0, which would allow nothing; leave it out for no limit, or give at least "
        "1.",
        "'a11', code.shared_code: must not be empty.",
        "'a12', window.ends_at: is not a day of the calendar.",
        "'a13': the amount eligibility.min_order_amount needs a currency; give eligibility.currency.",
    ]
