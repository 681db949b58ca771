"""One normaliser for what people and systems write: what is the same customer, and what names no one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.common import OrderCustomer
from schemas.orders import OrderPlaced
from shared.domain.model.customer import (
    DEFAULT_RULES,
    NO_RULES,
    PLACEHOLDERS,
    Customer,
    IdentityRules,
    completed,
    e164,
    email_address,
    former_identifiers,
    identifiers,
    possible_identifiers,
)
from shared.ledger.identity import rules_of
from shared.ledger.order_conversion import to_customer
from shared.runtime.settings import CustomerSettings

SAME = IdentityRules("same")


@pytest.mark.parametrize(
    "written",
    [
        "+441614960000",
        "+44 161 496 0000",
        "+44 (0)161 496 0000",
        "+4401614960000",
        "00441614960000",
        "0044 (0)161 496 0000",
        "(00) 44-161-496-0000",
        "+00441614960000",
        "tel:+44-161-496-0000",
        "tel:+44-161-496-0000;ext=5",
        "+44 161 496 0000 ext. 5",
        "+44 161 496 0000 x5",
        "\uff0b\uff14\uff14\uff11\uff16\uff11\uff14\uff19\uff16\uff10\uff10\uff10\uff10",
        "+\u0664\u0664\u0661\u0666\u0661\u0664\u0669\u0666\u0660\u0660\u0660\u0660",
        "\u0660\u0660\u0664\u0664\u0661\u0666\u0661\u0664\u0669\u0666\u0660\u0660\u0660\u0660",
        "\u202a+44 161 496 0000\u202c",
        "+44\u200e161\u200b496\ufeff0000",
        "  +44.161.496.0000  ",
    ],
)
def test_one_number_written_in_many_ways_is_one_number(written: str) -> None:
    assert e164(written) == "+441614960000"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+1-800-FLOWERS", "+18003569377"),
        ("+390612345678", "+390612345678"),  # the zero is part of an Italian number
        ("+39 06 1234 5678", "+390612345678"),
        ("+33 06 12 34 56 78", "+33612345678"),
        ("+7 8 912 345 67 89", "+79123456789"),
        ("+36 06 1 234 5678", "+3612345678"),
        ("+54 9 11 2345-6789", "+5491123456789"),  # with the infix of mobile numbers
        ("+52 55 1234 5678", "+525512345678"),
        ("+61 (0)4 1234 5678", "+61412345678"),
    ],
)
def test_numbers_of_many_countries_have_one_form(written: str, number: str) -> None:
    assert e164(written) == number
    assert e164(number) == number


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "0", "0000000000", "+10000000000", "+1", "+0", "12345", "null", "-", "+15555550100", "+39612345678",
        "0161 496 0000", "1-800-FLOWERS", "+44 161 496 0000 / +44 161 496 0001", "+" + "4" * 300, "\ud800", "+44\x000",
    ],
)  # fmt: skip
def test_what_is_no_valid_number_names_no_one(written: str) -> None:
    assert e164(written) is None
    assert identifiers(Customer("c1", mobile=written)) == (("id", "c1"),)


@pytest.mark.parametrize(
    ("written", "region"), [("0161 496 0000", "GB"), ("0044 161 496 0000", "US"), ("011 44 161 496 0000", "US")]
)
def test_a_number_without_a_country_is_read_as_one_of_the_region(written: str, region: str) -> None:
    assert e164(written, region) == "+441614960000"


@pytest.mark.parametrize(
    "written",
    [
        "ann@shop.example",
        " Ann@Shop.EXAMPLE ",
        "Ann <ann@shop.example>",
        '"Smith, Ann" <Ann@Shop.example>',
        "<ann@shop.example>",
        "mailto:ann@shop.example",
        "MAILTO:Ann@Shop.Example?subject=Hello",
        "mailto:ann%40shop.example",
        "ann@shop.example.",
        "ann @ shop.example",
        "\uff21\uff4e\uff4e\uff20\uff33hop.example",
        "a\u200bnn@shop.example",
        "\ufeffann@shop.example",
        "ann\u00ad@shop.example",
    ],
)
def test_one_address_written_in_many_ways_is_one_address(written: str) -> None:
    assert email_address(written) == "ann@shop.example"


@pytest.mark.parametrize(
    "written",
    [
        "ann@b\u00fccher.example",
        "ann@BU\u0308CHER.example",
        "ann@xn--bcher-kva.example",
        "Ann@b\u00fccher\u3002example",
    ],
)
def test_a_domain_is_the_same_in_unicode_and_in_ascii(written: str) -> None:
    assert email_address(written) == "ann@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "ann", "@", "ann@", "@shop.example", "ann smith@shop.example", "a@b.example, c@d.example", "\u200b",
        "ann@sh op.example", "ann\x00@shop.example", "\ud800@shop.example", "ann@\u2603", "<>", "ann@<shop>",
        "\ufdfa" * 200 + "@shop.example",
    ],
)  # fmt: skip
def test_what_is_no_address_names_no_one(written: str) -> None:
    assert email_address(written, NO_RULES) is None


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("ann+2@shop.example", "ann@shop.example"),
        ("Ann+Shop+2@shop.example", "ann@shop.example"),
        ("ann+@shop.example", "ann@shop.example"),
        ("+ann@shop.example", "+ann@shop.example"),
        ("Ann <ann+2@b\u00fccher.example>", "ann@xn--bcher-kva.example"),
        ("guest+4@shop.example", None),
    ],
)
def test_a_plus_address_is_distinct_unless_the_rules_say_otherwise(written: str, same: str | None) -> None:
    assert "+" in (email_address(written) or "")
    assert email_address(written, SAME) == same


@pytest.mark.parametrize("customer_id", ["0", " 0 ", "GUEST", "Null", "None", "-", "[object Object]", "N/A", "\ufeff0"])
def test_a_placeholder_is_absent_and_the_other_identifiers_count(customer_id: str) -> None:
    assert identifiers(Customer(customer_id, "a@shop.example")) == (("email", "a@shop.example"),)
    assert identifiers(Customer(customer_id)) == ()
    assert identifiers(Customer(customer_id), NO_RULES) != ()


@pytest.mark.parametrize("email", ["guest@shop.example", "NoReply@any.example", "Guest <guest@shop.example>"])
def test_an_address_of_a_placeholder_names_no_one(email: str) -> None:
    assert identifiers(Customer("c1", email)) == (("id", "c1"),)


@pytest.mark.parametrize("customer_id", ["guest@shop.example", " Anonymous@any.example", "NoReply@any.example"])
def test_an_address_of_a_placeholder_is_no_customer_id(customer_id: str) -> None:
    assert identifiers(Customer(customer_id, "a@shop.example")) == (("email", "a@shop.example"),)
    assert identifiers(Customer(customer_id), NO_RULES) == (("id", customer_id.strip()),)


@pytest.mark.parametrize("customer_id", ["ann@shop.example", "@guest", "guests@shop.example", "a@b@c"])
def test_another_customer_id_with_an_at_sign_is_one(customer_id: str) -> None:
    assert identifiers(Customer(customer_id)) == (("id", customer_id),)


@pytest.mark.parametrize(
    "customer_id", ["1", "7", "00", "10", "nan", "na", "no", "guest7", "noreply", "anonymous_ann", "O", "null0"]
)
def test_what_could_be_a_customers_id_is_no_placeholder(customer_id: str) -> None:
    assert identifiers(Customer(customer_id)) == (("id", customer_id),)


@pytest.mark.parametrize(
    ("placeholders", "placeholder", "customer"),
    [
        ("", Customer("guest"), Customer("walk-in")),  # an empty variable is an unset one
        (",", Customer(), Customer("guest")),
        ("Walk-In , 999", Customer("walk-in"), Customer("guest")),
        (
            "@marketplace.example",
            Customer(email="x1@Marketplace.example"),
            Customer(email="x1@sub.marketplace.example"),
        ),
        ("shop@x.example", Customer(email="Shop@X.example"), Customer(email="shop@y.example")),
        ("shop@", Customer(email="shop@y.example"), Customer(email="shop2@y.example")),
        ("+441614960000", Customer(mobile="0044 161 496 0000"), Customer(mobile="+441614960001")),
    ],
)
def test_the_setting_lists_the_placeholders(
    monkeypatch: pytest.MonkeyPatch, placeholders: str, placeholder: Customer, customer: Customer
) -> None:
    monkeypatch.setenv("COUPONRY_PLACEHOLDERS", placeholders)
    rules = rules_of(CustomerSettings())
    assert identifiers(placeholder, rules) == ()
    assert identifiers(customer, rules) != ()


def test_the_settings_have_the_defaults_of_the_rules() -> None:
    assert rules_of(CustomerSettings()) == DEFAULT_RULES
    assert CustomerSettings().placeholders.split(",") == list(PLACEHOLDERS)


@pytest.mark.parametrize(
    ("customer", "rules", "former"),
    [
        (Customer("c1", "ann@shop.example", "+441614960000"), DEFAULT_RULES, ()),
        (Customer(mobile="+4401614960000"), DEFAULT_RULES, (("mobile", "+4401614960000"),)),
        (Customer(mobile="+44 161 496 0000"), DEFAULT_RULES, ()),
        (Customer(email="mailto:Ann@shop.example"), DEFAULT_RULES, (("email", "mailto:ann@shop.example"),)),
        (Customer(email="ann+2@shop.example"), SAME, (("email", "ann+2@shop.example"),)),
        (
            Customer(email="<Ann+2@shop.example>"),
            SAME,
            (("email", "<ann+2@shop.example>"), ("email", "ann+2@shop.example")),
        ),
        (Customer("0"), DEFAULT_RULES, ()),
    ],
)
def test_forms_that_earlier_versions_stored_are_looked_up_too(
    customer: Customer, rules: IdentityRules, former: tuple[object, ...]
) -> None:
    assert former_identifiers(customer, identifiers(customer, rules), rules) == former


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ann", [("id", "ann")]),
        ("0", [("id", "0")]),
        ("id:a@b.example", [("id", "a@b.example")]),
        ("Ann@Shop.example", [("id", "Ann@Shop.example"), ("email", "ann@shop.example")]),
        ("guest@shop.example", [("id", "guest@shop.example"), ("email", "guest@shop.example")]),
        (
            "+4401614960000",
            [("id", "+4401614960000"), ("mobile", "+4401614960000"), ("mobile", "+441614960000")],
        ),
        ("mobile:+44 161 496 0000", [("id", "mobile:+44 161 496 0000"), ("mobile", "+441614960000")]),
        (" ", []),
    ],
)
def test_a_look_up_finds_a_customer_under_every_form(text: str, names: list[object]) -> None:
    assert list(possible_identifiers(text)) == names


@pytest.mark.parametrize(
    ("named", "values"),
    [
        (None, ("c1", "k@shop.example", "+441614960000")),
        (Customer("c1"), ("c1", "k@shop.example", "+441614960000")),
        (Customer("c2", "Ann@Shop.example"), ("c2", "Ann@Shop.example", "+441614960000")),
        (Customer("0", "guest@shop.example", "123"), ("c1", "k@shop.example", "+441614960000")),
    ],
)
def test_what_the_ledger_knows_completes_what_a_request_names(
    named: Customer | None, values: tuple[object, ...]
) -> None:
    found = completed(named, {"id": "c1", "email": "k@shop.example", "mobile": "+441614960000"})
    assert (found.customer_id, found.email, found.mobile) == values


@given(st.text(max_size=300), st.sampled_from([DEFAULT_RULES, SAME, NO_RULES]))
def test_any_text_is_normalised_without_an_error_and_the_form_is_stable(text: str, rules: IdentityRules) -> None:
    for kind, value in identifiers(Customer(text, text, text), rules):
        assert 0 < len(value.encode("utf-8", "surrogatepass")) <= 1_200
        again = {"id": Customer(value), "email": Customer(email=value), "mobile": Customer(mobile=value)}[kind]
        assert identifiers(again, rules) == ((kind, value),)


@given(st.emails())
def test_an_ordinary_address_keeps_its_local_part(address: str) -> None:
    found = email_address(address, NO_RULES)
    assert found is not None
    assert found.rpartition("@")[0] == address.rpartition("@")[0].lower()


@pytest.mark.parametrize("customer", [{"email": ""}, {"customer_id": ""}, {"customer_id": " ", "mobile": ""}])
def test_blank_identifiers_are_absent_so_the_order_is_a_guests(customer: dict[str, str]) -> None:
    named = OrderCustomer(**customer)
    order = OrderPlaced(order_id="1", customer=named, currency="USD", amount="1.00", placed_at=datetime.now(UTC))
    assert order.problem() is None
    assert identifiers(to_customer(named)) == ()
