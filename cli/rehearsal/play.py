"""Read a script and play it, step by step."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.campaign_files import judge_all
from cli.campaign_tree import FileSyntaxError, Node, TreeBuilder, to_json
from cli.campaign_yaml import read_yaml
from cli.errors import CommandFailedError
from cli.files import InputFile
from cli.rehearsal.memory import MemoryLedger
from cli.rehearsal.script import Filling, Script, ScriptError, Step, steps_of
from cli.rehearsal.stage import commands_of, imported, settings_of
from cli.rehearsal.words import OF_ANOTHER_ORDER, PublishedEvent, lines_of
from schemas.campaigns import CampaignDefinition
from shared.domain.coupons.code_patterns import DEFAULT_CHARSET
from shared.domain.model.campaign import Campaign, CodeRule
from shared.domain.model.customer import DEFAULT_RULES, IdentityRules

MAX_SCRIPT_BYTES = 1024 * 1024
"""Far above any script that is written by hand."""

_KNOWN = ("field", "says", "burn_on", "email_plus", "placeholders", "campaigns", "steps")


@dataclass(frozen=True, slots=True)
class Played:
    """A step with its result. `as_expected` is None if the script expects nothing."""

    step: Step
    lines: tuple[str, ...]

    @property
    def as_expected(self) -> bool | None:
        if self.step.then is None:
            return None
        # What the step does to other orders is shown, and may be left out of the expectation.
        own = tuple([line for line in self.lines if OF_ANOTHER_ORDER not in line])
        return self.step.then in (self.lines, own)


def read_script(file: InputFile, identity: IdentityRules = DEFAULT_RULES) -> Script:
    """Return the script in `file` (YAML or JSON). Raises CommandFailedError with every problem and its line.

    `identity`: how customers are recognised if the script doesn't say.
    """
    try:
        return script_of(file.name, file.content(MAX_SCRIPT_BYTES).decode("utf-8-sig"), identity)
    except UnicodeDecodeError:
        raise CommandFailedError(f"{file.name}: not UTF-8 text; save the file as UTF-8.") from None


def script_of(name: str, text: str, identity: IdentityRules = DEFAULT_RULES) -> Script:
    """Return the script in `text`; errors call it `name`. See `read_script`. Raises CommandFailedError."""
    try:
        found = read_yaml(text)
    except FileSyntaxError as error:
        raise CommandFailedError(f"{name}:{error.line}:{error.column}: {error}.") from None
    if len(found.documents) > 1:
        raise CommandFailedError(f"{name}: a file holds one script; move everything after --- to another file.")
    fields = (found.documents[0].fields if found.documents else None) or {}
    unknown = [key for key in fields if key not in _KNOWN]
    if unknown or "campaigns" not in fields:
        what = f"{unknown[0]} is not a field of a script" if unknown else "campaigns is missing"
        raise CommandFailedError(f"{name}: {what}; a script has {', '.join(_KNOWN)}.")
    campaigns = judge_all(name, TreeBuilder([fields["campaigns"].node], found.problems))
    plain = {key: _plain(entry.node) for key, entry in fields.items() if key != "campaigns"}
    try:
        steps = tuple(_with_campaigns(name, step, fields["steps"].node) for step in steps_of(plain.get("steps")))
    except ScriptError as error:
        raise CommandFailedError(f"{name}: {error}") from None
    burn_on = str(plain.get("burn_on", "placed"))
    if burn_on not in ("placed", "paid"):
        raise CommandFailedError(f"{name}: burn_on must be placed or paid.")
    identity = _identity(name, plain, identity)
    return Script(tuple(campaigns), steps, plain.get("field"), str(plain.get("says", "")), burn_on, identity)


def _identity(name: str, plain: Mapping[str, Any], default: IdentityRules) -> IdentityRules:
    """Return how the script recognises customers, as the settings of the same names do."""
    email_plus = plain.get("email_plus", default.email_plus)
    placeholders = plain.get("placeholders", list(default.placeholders))
    if email_plus not in ("distinct", "same"):
        raise CommandFailedError(f"{name}: email_plus must be distinct or same.")
    if not isinstance(placeholders, list):
        raise CommandFailedError(f"{name}: placeholders must be a list, like [0, guest].")
    return IdentityRules.of(email_plus, map(str, placeholders))


def _with_campaigns(name: str, step: Step, steps: Node) -> Step:
    """Replace the campaign in a `campaign` step by its checked definition."""
    if step.kind != "campaign":
        return step
    node = ((steps.items or [])[step.number - 1].fields or {})["campaign"].node
    [definition] = judge_all(name, TreeBuilder([node]))
    return Step(step.number, step.kind, definition, step.then)


def _plain(node: Node) -> Any:
    """Return the node as a Python value; decimal numbers stay strings."""
    return json.loads(to_json(node), parse_float=str)


def play(script: Script) -> Iterator[Played]:
    """Play a script in memory. Raises ScriptError for a step that can't be played."""
    ledger, filling = MemoryLedger(script), Filling()
    settings = settings_of(script.burn_on, script.identity)
    for step in script.steps:
        if step.kind == "campaign":
            if not isinstance(step.value, CampaignDefinition):
                raise ScriptError(f"Step {step.number}: `campaign` needs a complete campaign.")
            _load(ledger, step, step.value)
            events: list[PublishedEvent] = []
        elif step.kind == "codes":
            pooled, commands = imported(step, filling, ledger.state.campaigns)
            for campaign_id, listed in pooled.items():
                ledger.import_codes(campaign_id, listed)
            events = ledger.execute(commands, filling.now)
        else:
            events = ledger.execute(commands_of(step, filling, ledger.state.campaigns, settings), filling.now)
        yield Played(step, result_lines(events, filling, ledger.state.campaigns))


def _load(ledger: MemoryLedger, step: Step, definition: CampaignDefinition) -> None:
    try:
        ledger.load(definition)
    except ScriptError as error:
        raise ScriptError(f"Step {step.number}: {error}") from None


def result_lines(events: list[PublishedEvent], filling: Filling, campaigns: Mapping[str, Campaign]) -> tuple[str, ...]:
    """Return the result of a step. A generated code is shown as `$1`, `$2`, with the pattern of its campaign."""
    forms: dict[str, str | None] = {}
    for kind, data in events:
        if kind == "coupon.issued" and data["code"] and data["caused_by"]["type"] != "coupons.create":
            campaign = campaigns[data["campaign_id"]]
            drawn = campaign.source.kind == "generated" and campaign.code.shared_code is None
            filling.record_issued(data["code"], drawn)
            forms[data["code"]] = form_of(data["code"], campaign.code) if drawn else None
    return tuple(filling.shown(line) for line in lines_of(events, forms))


def form_of(code: str, rule: CodeRule) -> str | None:
    """Return the pattern that `code` was generated from; None without a pattern, or if the code doesn't match it."""
    if rule.pattern is None or len(code) != len(rule.pattern):
        return None
    charset = rule.charset or DEFAULT_CHARSET
    fits = all(one in charset if place == "#" else one == place for one, place in zip(code, rule.pattern, strict=True))
    return f"{rule.pattern}{f' of {rule.charset}' if rule.charset else ''}" if fits else None
