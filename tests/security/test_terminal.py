"""What comes from outside never steers a terminal, and JSON says exactly what it said."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from cli.output import say, show_facts, show_json, show_table
from shared.runtime.logging import _printable_fields
from shared.runtime.printable import printable, printable_json

HOSTILE = [
    ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
    ("a\rb\x08c\x7f", "a\\x0db\\x08c\\x7f"),
    ("\x9b31m", "\\x9b31m"),
    ("SAVE\u202e01", "SAVE\\u202e01"),
    ("\u2066x\u2069\u200f\u061c", "\\u2066x\\u2069\\u200f\\u061c"),
    ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
    ("line\u2028break", "line\\u2028break"),
    ("tag\U000e0041", "tag\\U000e0041"),
    ("half\ud800", "half\\ud800"),
]


@pytest.mark.parametrize(("hostile", "shown"), HOSTILE)
def test_what_steers_a_terminal_is_shown_escaped(hostile: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(hostile) == shown
    say(f"code {hostile}")
    show_table(("code",), [(hostile,), (Text(hostile),)])
    show_facts([(f"header {hostile}", hostile)])
    output = capsys.readouterr().out
    assert not [one for one in output if one != "\n" and unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert output.count(shown) >= 4  # rich itself takes some out of a Text


@pytest.mark.parametrize("text", ["plain", "Zoë ☕ 夏", "क्‍ष", "👩‍👧", "[red]x[/red] [/] \\[", "two\nlines\tand a tab"])
def test_other_text_is_shown_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == text
    show_facts([("[bold]name[/nope]", text.replace("\n", " ").replace("\t", " "))])
    output = capsys.readouterr().out
    assert output.split("  ")[0] == "[bold]name[/nope]"
    assert output.strip().endswith(text.replace("\n", " ").replace("\t", " "))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_the_same_document(text: str) -> None:
    written = printable_json(json.dumps({"a": text, text: 1}, ensure_ascii=False))
    assert json.loads(written) == {"a": text, text: 1}
    assert not [one for one in written if unicodedata.category(one) == "Cc"]


@pytest.mark.parametrize("hostile", [hostile for hostile, _ in HOSTILE if "\ud800" not in hostile])
def test_json_on_a_terminal_steers_nothing_and_is_exact(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"code": hostile})
    output = capsys.readouterr().out
    assert json.loads(output) == {"code": hostile}
    assert not [one for one in output if one != "\n" and unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}]


def test_a_readable_log_line_is_escaped() -> None:
    fields = {"event": "dead letter", "error_text": "\x1b[31m", "offset": 7}
    assert _printable_fields(None, "info", fields) == {"event": "dead letter", "error_text": "\\x1b[31m", "offset": 7}
