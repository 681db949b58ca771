"""The domain's basic values: identifiers of customers, equality of values, ids and reasons."""

from uuid import UUID

import pytest

from shared.domain.model.customer import Customer, identifiers
from shared.domain.model.ids import redemption_id
from shared.domain.model.order import Line
from shared.domain.model.reasons import PRECEDENCE, Reason
from tests.builders import line


@pytest.mark.parametrize(
    ("customer", "known_by"),
    [
        (Customer(), ()),
        (Customer(" c1 "), (("id", "c1"),)),
        (Customer(email="  John.Smith@Email.com "), (("email", "john.smith@email.com"),)),
        (Customer(mobile="+919999988886"), (("mobile", "+919999988886"),)),
        (Customer(mobile="+91 99999-88886"), (("mobile", "+919999988886"),)),
        (Customer(mobile="99999 88886"), ()),
        (Customer(mobile="+1"), ()),
        (Customer(" ", "", " "), ()),
        (
            Customer("c1", "a@b.c", "+919999988886"),
            (("id", "c1"), ("email", "a@b.c"), ("mobile", "+919999988886")),
        ),
    ],
)
def test_a_customer_has_normalised_identifiers(customer: Customer, known_by: tuple[object, ...]) -> None:
    assert identifiers(customer) == known_by


def test_values_are_compared_and_hashed_by_their_fields() -> None:
    assert line("1") == Line("1", "product-1", 1, 10_000)
    assert len({line("1"), line("1"), line("2")}) == 2


def test_a_redemption_id_is_a_uuid_that_follows_from_its_command() -> None:
    made = redemption_id("/shop 42")
    assert made == redemption_id("/shop 42") != redemption_id("/shop 43")
    assert str(UUID(made)) == made
    assert UUID(made).version == 8


def test_reasons_have_the_documented_order() -> None:
    assert " ".join(sorted(Reason, key=lambda reason: PRECEDENCE[reason])) == (
        "request_too_large not_found voided reward_revoked shared_code campaign_inactive not_started expired "
        "outside_hours channel_mismatch wrong_customer customer_required segment_mismatch not_first_order "
        "order_mismatch validation_code_mismatch currency_mismatch below_minimum no_eligible_product "
        "condition_failed exhausted customer_limit campaign_exhausted budget_exceeded locked_elsewhere "
        "lock_not_found lock_expired already_redeemed not_combinable better_offer_won no_effect code_taken"
    )
