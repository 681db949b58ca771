"""Test rehearsals: the examples of docs/rules.md have their expected results; invalid scripts are reported."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.errors import CommandFailedError
from cli.files import InputFile
from cli.main import app
from cli.rehearsal.play import form_of, play, read_script, script_of
from cli.rehearsal.script import Script, ScriptError
from examples.rules.page import FOLDER, PAGE, fields, page
from schemas.campaigns import CampaignDefinition
from shared.domain.model.campaign import CodeRule
from shared.domain.model.reasons import Reason

FILES = sorted(FOLDER.glob("*.yaml"))
FIELDS = [path for path, _ in fields(CampaignDefinition)]

TEN = """\
campaigns:
  - {campaign_id: ten, discount: {kind: percentage, value: 10}, code: {shared_code: TEN}}
  - {campaign_id: drawn, discount: {kind: fixed, value: 5}, issues_on: [{event: reward.earned}]}
"""
GOOD = f"{TEN}steps: [{{order: {{amount: 100.00, coupon_codes: [TEN]}}, then: TEN takes 10.00 USD off}}]\n"


def script(file: Path) -> Script:
    return script_of(file.name, file.read_text("utf-8"))


def lines(text: str) -> list[tuple[str, ...]]:
    """Return the result of each step of a script."""
    return [one.lines for one in play(script_of("f.yaml", text))]


# The examples


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_has_its_expected_results(file: Path) -> None:
    for one in play(script(file)):
        assert one.step.then is None or one.lines == one.step.then, f"step {one.step.number}"


def test_every_field_has_one_example_and_every_example_a_field() -> None:
    assert [file.stem for file in FILES] == sorted(FIELDS)
    assert [script(file).field for file in FILES] == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_describes_its_field_uses_it_and_expects_a_result_of_every_event(file: Path) -> None:
    played = script(file)
    assert played.says.endswith((".", ".)"))
    campaigns = [*played.campaigns, *(step.value for step in played.steps if step.kind == "campaign")]
    assert uses(tuple(one.model_dump(exclude_unset=True) for one in campaigns), file.stem.split("."))
    for step in played.steps:
        assert (step.then is None) == (step.kind in ("campaign", "codes")), f"step {step.number}"


def uses(document: object, path: list[str]) -> bool:
    """Return whether a campaign sets the field at `path`."""
    if isinstance(document, tuple):
        return any(uses(one, path) for one in document)
    if not path:
        return True
    return isinstance(document, dict) and path[0] in document and uses(document[path[0]], path[1:])


def test_the_examples_show_most_reasons_and_share_no_campaign_and_no_code() -> None:
    ids: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    message = ""
    for file in FILES:
        played = script(file)
        ids.update(campaign.campaign_id for campaign in played.campaigns)
        codes.update(campaign.code.shared_code.upper() for campaign in played.campaigns if campaign.code.shared_code)
        message += file.read_text("utf-8")
    assert [name for name, times in (ids + codes).items() if times > 1] == []
    assert len([reason for reason in Reason if f": {reason.value}" in message]) >= 18


def test_the_page_of_rules_is_generated_from_the_code_and_the_examples() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m examples.rules.page"


# What is filled in


def test_an_order_defaults_to_ann_and_usd_and_codes_are_numbered_by_issue() -> None:
    text = f"""{TEN}steps:
  - reward: {{}}
  - reward: {{customer: bob}}
  - order: {{amount: 9.00, coupon_codes: [$2, TEN]}}
  - order: {{amount: 9.00, currency: EUR, coupon_codes: [$1]}}
"""
    assert lines(text) == [
        ("ann gets a coupon of drawn: $1",),
        ("bob gets a coupon of drawn: $2",),
        ("$2 takes 5.00 USD off", "TEN is refused: better_offer_won (winner $2)"),
        ("$1 takes 5.00 EUR off",),
    ]


def test_an_amount_defaults_to_the_sum_of_lines_and_events_to_the_last_order() -> None:
    text = f"""{TEN}steps:
  - order:
      lines: [{{product_id: a, unit_price: 0.50, quantity: 3}}, {{product_id: b, unit_price: 8.50}}]
      coupon_codes: [TEN]
  - paid: {{}}
  - cancelled: {{}}
  - order: {{amount: 20.00, coupon_codes: [TEN]}}
  - returned: {{}}
  - returned: {{order_id: order-1}}
"""
    assert lines(text) == [
        ("TEN takes 1.00 USD off (1: 0.15, 2: 0.85)",),
        ("nothing",),
        ("TEN gives back 1 use and 1.00",),
        ("TEN takes 2.00 USD off",),
        ("TEN gives back 1 use and 2.00",),
        ("nothing",),
    ]


def test_coupons_may_be_held_until_an_order_is_paid() -> None:
    text = f"""{TEN}burn_on: paid
steps:
  - order: {{amount: 20.00, coupon_codes: [TEN]}}
  - paid: {{}}
  - order: {{amount: 20.00, coupon_codes: [TEN]}}
  - cancelled: {{}}
"""
    assert lines(text) == [
        ("TEN is held for the order",),
        ("TEN takes 2.00 USD off",),
        ("TEN is held for the order",),
        ("TEN is released",),
    ]


def test_codes_are_imported_as_coupons_or_into_a_pool_and_voided() -> None:
    text = """\
campaigns:
  - {campaign_id: ten, discount: {kind: percentage, value: 10}}
  - {campaign_id: pool, discount: {kind: fixed, value: 5}, source: {kind: pool}, issues_on: [{event: reward.earned}]}
steps:
  - codes: {ten: [A-1], pool: [P-1, P-2]}
  - reward: {}
  - order: {amount: 10.00, coupon_codes: [a-1]}
  - void: A-1
  - order: {amount: 10.00, coupon_codes: [A-1, P-1, P-2]}
  - void: NO-SUCH
"""
    played = lines(text)
    code = played[1][0].rpartition(" ")[2]
    other = {"P-1": "P-2", "P-2": "P-1"}[code]
    assert played == [
        ("1 new coupon of ten: A-1",),
        (f"ann gets a coupon of pool: {code}",),
        ("A-1 takes 1.00 USD off",),
        ("A-1 is void",),
        (f"{code} takes 5.00 USD off", "A-1 is refused: voided", f"{other} is refused: not_found"),
        ("nothing",),
    ]


def test_the_script_sets_the_clock_so_the_future_can_be_rehearsed() -> None:
    text = """\
campaigns:
  - {campaign_id: xmas, discount: {kind: fixed, value: 5}, code: {shared_code: XMAS}, window: {starts_at: "2099-12-24"}}
burn_on: paid
steps:
  - order: {amount: 10.00, coupon_codes: [XMAS]}
  - order: {amount: 10.00, placed_at: "2099-12-24T00:00:00Z", coupon_codes: [XMAS]}
  - paid: {paid_at: "2099-12-24T00:30:00Z"}
  - order: {amount: 10.00, coupon_codes: [XMAS]}
  - order: {amount: 10.00, placed_at: "2100-02-01T00:00:00Z", coupon_codes: [XMAS]}
"""
    assert lines(text) == [
        ("XMAS is refused: not_started",),
        ("XMAS is held for the order",),
        ("XMAS takes 5.00 USD off",),
        ("XMAS is held for the order",),
        ("XMAS is no longer held: not paid in time", "XMAS is held for the order"),
    ]


def test_codes_that_exist_already_are_imported_once() -> None:
    text = """\
campaigns:
  - {campaign_id: ten, discount: {kind: percentage, value: 10}}
  - {campaign_id: pool, discount: {kind: fixed, value: 5}, source: {kind: pool}, issues_on: [{event: reward.earned}]}
steps:
  - codes: {ten: [A-1, a-1]}
  - codes: {pool: [A-1, P-1]}
  - codes: {pool: [p-1]}
  - codes: {ten: [P-1, A-2]}
  - reward: {}
  - reward: {}
"""
    assert lines(text) == [
        ("1 new coupon of ten: A-1",),
        ("nothing",),
        ("nothing",),
        ("1 new coupon of ten: A-2",),
        ("ann gets a coupon of pool: P-1",),
        ("ann gets nothing of pool: exhausted",),
    ]


def test_customers_cannot_refer_themselves_under_another_identifier() -> None:
    text = """\
campaigns:
  - {campaign_id: ref, discount: {kind: fixed, value: 5}, issues_on: [{event: customer.signed_up, to: referrer}]}
steps:
  - signed_up: {customer: {customer_id: ann, email: a@example.com}, referred_by: bob}
  - signed_up: {customer: {customer_id: ann2, email: A@example.com}, referred_by: ann}
"""
    assert lines(text) == [("bob gets a coupon of ref: $1",), ("ann gets nothing of ref: wrong_customer",)]


@pytest.mark.parametrize(
    ("code", "rule", "form"),
    [
        ("A-7", CodeRule("A-#"), "A-#"),
        ("A-7", CodeRule("A-#", "789"), "A-# of 789"),
        ("A-0", CodeRule("A-#"), None),
        ("A-6", CodeRule("A-#", "789"), None),
        ("B-7", CodeRule("A-#"), None),
        ("A-77", CodeRule("A-#"), None),
        ("A-7", CodeRule(None), None),
    ],
)
def test_the_pattern_of_a_code_is_shown_only_if_the_code_matches(code: str, rule: CodeRule, form: str | None) -> None:
    assert form_of(code, rule) == form


# Scripts that can't be played

ONE_OF = "order, changed, payment_failed, paid, cancelled, returned, signed_up, reward, revoked, campaign, void, codes"
AN_AMOUNT = 'must be an amount of at least 0 written as a decimal string, for example "125.00".'
LISTED = "give lists of codes by campaign, as strings, like {ten: [TEN-1, TEN-2]}."


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("order", "Step 1 is not a mapping; write it as `order: {…}` and `then: …`."),
        ("{then: nothing}", f"Step 1 has nothing; give exactly one of {ONE_OF}."),
        ("{ordr: {}}", f"Step 1 has ordr; give exactly one of {ONE_OF}."),
        ("{order: {}, paid: {}}", f"Step 1 has order, paid; give exactly one of {ONE_OF}."),
        ("{order: 5}", "Step 1: order needs the event's fields, like {order_id: A1}."),
        ("{order: {amount: ten}}", f"Step 1, order: amount: {AN_AMOUNT}"),
        (
            "{order: {amount: 10.005, coupon_codes: [TEN]}}",
            "Step 1: amount: The amount '10.005' has 3 decimals, but USD has 2: round it before you send it.",
        ),
        (
            "{order: {amount: 10, customer: {segments: []}}}",
            "Step 1, order: customer: has no identifier; give customer_id, email or mobile, or null for a guest.",
        ),
        (
            "{order: {amount: 10, placed_at: yesterday}}",
            'Step 1, order: placed_at: must be a date and time with its time zone, for example "2026-11-22T09:30:00Z".',
        ),
        ("{order: {amount: 10, atomic: 5}}", "Step 1, order: atomic: must be true or false."),
        ("{order: {lines: [{product_id: a}]}}", "Step 1, order: amount: is missing. lines[0].unit_price: is missing."),
        ("{order: {amount: 10, coupon_codes: TEN}}", "Step 1, order: coupon_codes: must be a list."),
        ("{order: {amount: 10, coupon_codes: [$1]}}", "Step 1: there is no $1; 0 codes were issued before."),
        ("{signed_up: {customer: null}}", "Step 1, signed_up: customer: must be an object."),
        ("{reward: {points: many}}", "Step 1, reward: points: must be a whole number."),
        ("{paid: {}}", "Step 1: paid needs an order. Place one in an earlier step, or give order_id."),
        ("{cancelled: {order_id: 5}}", "Step 1, cancelled: order_id: must be a string."),
        ("{revoked: {}}", "Step 1: revoked needs a reward. Give reward_id, or earn one earlier."),
        ("{void: {}}", "Step 1: void needs a code, like `void: TEN` or `void: $1`."),
        ("{void: $3}", "Step 1: there is no $3; 0 codes were issued before."),
        ("{codes: {eleven: [A]}}", "Step 1: there is no campaign 'eleven' to import codes for."),
        ("{codes: [A]}", f"Step 1: {LISTED}"),
        ("{codes: {ten: A}}", f"Step 1: {LISTED}"),
        ("{codes: {ten: [7]}}", f"Step 1: {LISTED}"),
        (
            "{campaign: {campaign_id: eleven, discount: {kind: percentage, value: 11}, code: {shared_code: ten}}}",
            "Step 1: The code 'ten' already belongs to campaign 'ten'; give 'eleven' another one.",
        ),
        ("{order: {amount: 10}, then: 5}", "Step 1: `then` must be a line or a list of lines."),
        ("{order: {amount: 10}, then: [5]}", "Step 1: `then` must be a line or a list of lines."),
    ],
)
def test_an_invalid_step_is_reported_with_what_to_do(step: str, message: str) -> None:
    with pytest.raises((ScriptError, CommandFailedError)) as caught:
        lines(f"{TEN}steps: [{step}]\n")
    assert str(caught.value).removeprefix("f.yaml: ") == message


STEPS = "steps: [{order: {amount: 10}}]\n"
KNOWN = "a script has field, says, burn_on, email_plus, placeholders, campaigns, steps."
A_CAMPAIGN = "must be a campaign, with campaign_id and discount; correct or remove it."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"f.yaml: campaigns is missing; {KNOWN}"),
        ("- 5\n", f"f.yaml: campaigns is missing; {KNOWN}"),
        (STEPS, f"f.yaml: campaigns is missing; {KNOWN}"),
        (f"{TEN}step: []\n", f"f.yaml: step is not a field of a script; {KNOWN}"),
        (TEN, "f.yaml: steps is missing; list at least one, like `- order: {amount: 100.00, coupon_codes: [TEN]}`."),
        (f"campaigns: 5\n{STEPS}", f"f.yaml:1: {A_CAMPAIGN}"),
        (f"{TEN}steps: [{{campaign: ten}}]\n", f"f.yaml:4: {A_CAMPAIGN}"),
        (
            f"{TEN}steps:\n  - campaign:\n      campaign_id: ten\n      discount: {{kind: percentage, value: 110}}\n",
            "f.yaml:7: campaign 'ten', discount: value is 110 percent; a percentage is at most 100.",
        ),
        (
            f"campaigns:\n  - {{campaign_id: a, discount: {{kind: free_shipping}}}}\n"
            f"  - {{campaign_id: a, discount: {{kind: free_shipping}}}}\n{STEPS}",
            "f.yaml:3: campaign 'a', campaign_id: already used on line 2; give each campaign an id of its own.",
        ),
        (f"{TEN}burn_on: shipped\n{STEPS}", "f.yaml: burn_on must be placed or paid."),
        (f"{TEN}{STEPS}---\n{TEN}", "f.yaml: a file holds one script; move everything after --- to another file."),
        (f"{TEN}{STEPS}{STEPS}", "f.yaml:5: steps: already set on line 4; keep one of the two."),
        (
            "a: [1\n",
            "f.yaml:2:1: not valid YAML (while parsing a flow sequence did not find expected ',' or ']').",
        ),
    ],
)
def test_an_unreadable_script_is_reported_with_its_line(text: str, message: str) -> None:
    with pytest.raises(CommandFailedError) as caught:
        script_of("f.yaml", text)
    assert str(caught.value) == message


def test_a_script_is_utf_8() -> None:
    with pytest.raises(CommandFailedError, match=r"^f: not UTF-8 text; save the file as UTF-8\.$"):
        read_script(InputFile("f", io.BytesIO(b"\xff\xfe")))


# The command


def test_the_command_shows_each_step_and_that_all_is_as_expected(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(GOOD, "utf-8")
    message = CliRunner().invoke(app, ["rehearse", str(tmp_path / "f.yaml")])
    assert (message.exit_code, message.output) == (0, "  1  order      TEN takes 10.00 USD off\nAll as expected.\n")


def test_the_command_fails_if_a_step_has_another_result() -> None:
    message = CliRunner().invoke(app, ["rehearse", "-"], input=GOOD.replace("10.00 USD off", "11.00 USD off"))
    assert (message.exit_code, message.output.splitlines()) == (
        1,
        [
            "  1  order      TEN takes 10.00 USD off",
            "                expected: TEN takes 11.00 USD off",
            "1 step had a different result than expected.",
        ],
    )


def test_the_command_reports_no_success_if_nothing_is_expected() -> None:
    message = CliRunner().invoke(app, ["rehearse", "-"], input=f"{TEN}{STEPS}")
    assert (message.exit_code, message.output) == (0, "  1  order      nothing\n")


def test_the_command_gives_json() -> None:
    message = CliRunner().invoke(app, ["rehearse", "-", "--json"], input=GOOD)
    assert message.exit_code == 0
    assert json.loads(message.output) == [{"step": 1, "kind": "order", "then": ["TEN takes 10.00 USD off"]}]


def test_the_command_reports_an_invalid_script_in_one_line() -> None:
    message = CliRunner().invoke(app, ["rehearse", "-"], input=f"{TEN}steps: [{{paid: {{}}}}]\n")
    assert (message.exit_code, message.output) == (
        1,
        "-: Step 1: paid needs an order. Place one in an earlier step, or give order_id.\n",
    )


def test_the_command_reports_a_missing_file(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["rehearse", str(tmp_path / "none.yaml")]).exit_code == 2
