"""Erasure finds all traces of a customer in documents and texts, and none of other customers."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.customer import Customer, Identifier, identifiers
from shared.ledger.personal_data import Traces, pseudonym_text

P = "9b1f0c52-6c1d-4a7e-8f20-1d2c3b4a5968"
GONE = pseudonym_text(P)
ANN = Traces([("id", "customer_12"), ("id", "7"), ("email", "ann@example.com"), ("mobile", "+4930123456")], P)


def selected(traces: Traces, text: str) -> bool:
    """Return whether the ledger's queries would select a row with this text."""

    def like(text: str, pattern: str) -> bool:
        parts = re.findall(r"\\.|.", pattern, re.DOTALL)
        made = "".join(
            ".*" if part == "%" else "." if part == "_" else re.escape(part[-1] if len(part) == 2 else part)
            for part in parts
        )
        return re.fullmatch(made, text, re.DOTALL) is not None

    return any(like(text.lower(), one) for one in traces.like_patterns()) or any(
        re.search(one, text) for one in traces.phone_patterns()
    )


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("ask Ann@Example.com.", f"ask {GONE}."),
        ("<ann@example.com>,ANN@EXAMPLE.COM", f"<{GONE}>,{GONE}"),
        ("joann@example.com, mary-ann@example.com, ann@example.com.au, ann@example.community", None),
        ("call +4930123456!", f"call {GONE}!"),
        ("+49301234567 belongs to another customer", None),
        ("for customer_12, again", f"for {GONE}, again"),
        ("customer_123, customer_12-3, my.customer_12, customer_12@shop.com", None),
        ("7 of 17 pieces for 7.00", None),
    ],
)
def test_a_text_is_cleaned_of_the_erased_customer_only(text: str, cleaned: str | None) -> None:
    assert ANN.cleaned_text(text, "note") == (text if cleaned is None else cleaned)


@pytest.mark.parametrize(
    ("document", "cleaned"),
    [
        (
            {"customer": {"customer_id": "7", "email": "x@y.z", "mobile": None, "segments": ["vip"]}},
            {"customer": {"customer_id": GONE, "email": None, "mobile": None}},
        ),
        ({"customer": {"mobile": "+49 (30) 123456"}}, {"customer": {"mobile": None}}),
        ({"customer": {"email": " ANN@example.com "}}, {"customer": {"email": None}}),
        ({"customer": {"customer_id": "8", "email": "bob@example.com"}}, None),
        ({"order_id": "7", "quantity": "7", "lines": [{"line_id": "7", "product_id": "customer_12"}]}, None),
        ({"caused_by": {"id": "customer_12"}, "order_id": "ann@example.com"}, None),
        (
            {"source_id": "7", "holder": {"x": [{"customerId": "7"}]}},
            {"source_id": GONE, "holder": {"x": [{"customerId": GONE}]}},
        ),
        (
            {"root": {"customer": {"phone": "030-123456"}, "mobile": "030 123457"}},
            {"root": {"customer": {"phone": GONE}, "mobile": "030 123457"}},
        ),
        ({"metadata": {"a": ["ann@example.com", 7, None, True]}}, {"metadata": {"a": [GONE, 7, None, True]}}),
    ],
)  # fmt: skip
def test_a_document_is_cleaned_of_the_erased_customer_only(document: Any, cleaned: Any) -> None:
    assert ANN.cleaned(document) == (document if cleaned is None else cleaned)


def test_an_event_of_the_erased_customer_loses_its_metadata_and_other_events_keep_it() -> None:
    theirs = {"order_id": "1", "customer": {"customer_id": "7"}, "metadata": {"gift": "for Ann"}}
    assert ANN.cleaned_event(theirs) == {"order_id": "1", "customer": {"customer_id": GONE}}
    others = {"order_id": "1", "customer": {"customer_id": "8"}, "metadata": {"gift": "for Ann"}}
    assert ANN.cleaned_event(others) == others


@pytest.mark.parametrize("depth", [10, 39, 41, 250])
def test_a_document_of_any_depth_is_cleaned(depth: int) -> None:
    def nested(value: Any) -> Any:
        for number in range(depth):
            value = {"k": [value, 1]} if number % 2 else {"k": value}
        return {"others": "bob@example.com", "deep": value}

    cleaned = ANN.cleaned(nested("ask ann@example.com"))
    assert "ann@example.com" not in json.dumps(cleaned)
    assert cleaned["others"] == "bob@example.com"
    assert ANN.cleaned(nested("ask bob@example.com")) == nested("ask bob@example.com")


LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"])
NAMES = st.one_of(
    st.tuples(st.just("id"), st.text(LETTERS, min_size=1, max_size=40)),
    st.tuples(st.just("email"), st.emails().map(str.lower)),
    st.tuples(st.just("mobile"), st.integers(10**7, 10**13).map(lambda number: f"+{number}")),
)  # fmt: skip


@given(NAMES)
def test_events_of_a_customer_with_any_identifier_are_found_and_cleaned(name: Identifier) -> None:
    kind, value = name
    fields = {"id": "customer_id", "email": "email", "mobile": "mobile"}
    customer: dict[str, str | None] = {"customer_id": None, "email": None, "mobile": None} | {fields[kind]: value}
    known = identifiers(Customer(**customer))
    if not known:
        return  # a number that isn't a valid phone number identifies no customer
    traces = Traces(known, P)
    event = {"order_id": "A-1", "customer": customer}
    for ascii_only in (True, False):
        # Databases lower-case a text without regard to its language. Ordinary identifiers aren't affected.
        text = json.dumps(event, ensure_ascii=ascii_only)
        assert selected(traces, text)
        assert not traces.is_customer(traces.cleaned_event(json.loads(text))["customer"])
    assert traces.cleaned({"customer_id": "another customer", "email": "e@f.gh"}) == {
        "customer_id": "another customer", "email": "e@f.gh",
    }  # fmt: skip


LIKE_OTHERS = "aAiI\u0131\u0130sS\u017fkK\u212aßẞ é"


@given(st.text(LIKE_OTHERS, max_size=12), st.text(LIKE_OTHERS, min_size=6, max_size=8))
def test_searching_plain_texts_first_finds_the_same_as_the_patterns(around: str, name: str) -> None:
    text = f"{around} {name.swapcase()} {around}"
    traces = Traces([("id", name)], "p")
    pattern = traces._searched[0][1] if traces._searched else "(?!)"
    assert traces.cleaned_text(text) == re.sub(pattern, "erased-p", text, flags=re.IGNORECASE)
