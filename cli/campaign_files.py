"""Campaign definitions from a file, YAML or JSON, judged as a whole: everything to put right is told at once, by line.

What a file may hold is told in `docs/campaign-files.md`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from cli.campaign_json import read_json
from cli.campaign_tree import FileProblem, FileSyntaxError, Node, TreeBuilder, locate, printable, to_json
from cli.campaign_yaml import read_yaml
from cli.errors import CommandFailedError
from cli.files import InputFile
from schemas.campaigns import CampaignDefinition
from schemas.parsing import InvalidDocumentError, Problem, parse
from shared.domain.model.coupon import code_key
from shared.ledger.definitions import DefinitionError, to_domain

MOST_BYTES: Final = 32 * 1024 * 1024
"""Unpacked: a campaign with three full lists of 100,000 product ids is about 5 MB and read in seconds, this much in
a minute.
"""

MOST_TOLD: Final = 20
"""Problems told one by one: about a screen. Who has more has the same one many times."""

MOST_KEPT: Final = 10_000
"""Problems kept before they are put in order: a file of the largest size can have millions."""

_YAML: Final = (".yaml", ".yml")
_JSON: Final = (".json", ".ndjson", ".jsonl")
_NAMED: Final = re.compile(r"`([a-z_.]+)`|\b([a-z_]+(?:\.[a-z_]+)+)|^([a-z_]+)")  # a field in a sentence


def read_campaigns(file: InputFile) -> list[CampaignDefinition]:
    """The campaigns in `file`, all of which make sense.

    Raises CommandFailedError with a line for each thing that is wrong: `FILE:LINE: campaign 'id', field: what to do`.
    """
    read = judge_all(file.name, _read(file))
    if not read:
        raise CommandFailedError(
            f"{file.name} is empty; write a campaign into it (`couponry example campaign` prints one)."
        )
    return read


def judge_all(name: str, found: TreeBuilder) -> list[CampaignDefinition]:
    """The campaigns in what was read from the file `name`; as `read_campaigns` otherwise."""
    nodes = list(_campaigns(found))
    read, problems, uncounted = [], found.problems, 0
    spoilt = {problem.line for problem in problems}  # what follows from them on the same line need not be told
    for node in nodes:
        judged = _judge(node)
        if isinstance(judged, CampaignDefinition):
            read.append(judged)
        else:
            problems += [problem for problem in judged if problem.line not in spoilt]
            if len(problems) > MOST_KEPT:  # campaigns come in the file's order, so those that are told are among them
                uncounted, problems = uncounted + len(problems) - MOST_KEPT, problems[:MOST_KEPT]
    problems += _twice(nodes)
    if problems:
        raise CommandFailedError(_told(name, problems, uncounted))
    return read


def _read(file: InputFile) -> TreeBuilder:
    content = file.content(MOST_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandFailedError(f"{file.name}:{line}: this is no UTF-8 text; save the file as UTF-8.") from None
    try:
        return read_json(text) if _is_json(file.name, text) else read_yaml(text)
    except FileSyntaxError as error:
        raise CommandFailedError(f"{file.name}:{error.line}:{error.column}: {error}.") from None


def _is_json(name: str, text: str) -> bool:
    """By the name where that says it; else JSON begins with a bracket."""
    suffixes = PurePath(name.lower().removesuffix(".gz")).suffix
    return suffixes in _JSON or (suffixes not in _YAML and text.lstrip()[:1] in ("{", "["))


def _campaigns(found: TreeBuilder) -> Iterator[Node]:
    """The campaigns of all documents: one itself, a list of them, or such a list under `campaigns`."""
    for document in found.documents:
        fields = document.fields or {}
        if document.text == "null":
            continue  # nothing between two lines of `---`
        if document.items is not None:
            yield from document.items
        elif "campaigns" in fields and "campaign_id" not in fields:
            for name, (line, _) in fields.items():
                if name != "campaigns":
                    found.problem(line, f"{printable(name)}: doesn't go beside campaigns; remove it")
            line, listed = fields["campaigns"]
            if listed.items is None:
                found.problem(line, "campaigns: must be a list of campaigns")
            yield from listed.items or ()
        else:
            yield document


def _judge(node: Node) -> CampaignDefinition | list[FileProblem]:
    """The campaign that `node` is, or everything that is wrong with its shape, or the first thing with its sense."""
    if node.fields is None:
        return [FileProblem(node.line, "must be a campaign, with campaign_id and discount; correct or remove it")]
    label = _label(node)
    try:
        definition = parse(CampaignDefinition, to_json(node).encode())
    except InvalidDocumentError as error:
        return [_placed(node, label, problem) for problem in error.problems()]
    try:
        to_domain(definition, 0)
    except DefinitionError as error:
        return [_nonsense(node, label, str(error).rstrip("."))]
    return definition


def _label(node: Node) -> str:
    entry = (node.fields or {}).get("campaign_id")
    if entry is None or not entry.node.is_text:
        return ""
    return f"campaign {printable(json.loads(entry.node.text or ''))!r}"


def _sentence(line: int, *subjects_and_rest: str) -> FileProblem:
    """`campaign 'a', limits: must be an object`, without the subjects that are empty."""
    *subjects, rest = subjects_and_rest
    subject = ", ".join(filter(None, subjects))
    return FileProblem(line, f"{subject}: {rest}" if subject else rest)


def _placed(root: Node, label: str, problem: Problem) -> FileProblem:
    """A problem of the campaign's shape, with its line and its field's name."""
    place = locate(root, problem.loc)
    line, name, expected = place.line, place.name, problem.expected
    if problem.kind == "missing" and problem.loc:
        last = str(problem.loc[-1])
        name = f"{name}.{last}" if name else last
    elif problem.kind == "value_error":
        line = _line_named(place.node, expected) or line
    elif problem.kind == "string_type" and place.node.text not in (None, "null"):
        expected += "; put it in quotes"
    return _sentence(line, label, name, expected)


def _nonsense(root: Node, label: str, sentence: str) -> FileProblem:
    """A problem of the campaign's sense, whose sentence names the field in backticks."""
    line = _line_named(root, sentence) or root.line
    named = re.match(r"`([a-z_.]+)`: ", sentence)
    return _sentence(line, label, named[1], sentence[named.end() :]) if named else _sentence(line, label, sentence)


def _line_named(root: Node, sentence: str) -> int | None:
    """The line of the first field that `sentence` names and `root` has, be it only in part."""
    for match in _NAMED.finditer(sentence):
        place = locate(root, tuple((match[1] or match[2] or match[3]).split(".")))
        if place.node is not root:
            return place.line
    return None


def _twice(nodes: list[Node]) -> Iterator[FileProblem]:
    """What only one campaign of a file may have: its id, and its shared code; also where the rest of it is wrong."""
    for field, noun in (("campaign_id", "an id"), ("code.shared_code", "a code")):
        seen: dict[str, tuple[Node, int]] = {}
        for node in nodes:
            line, _, found, whole = locate(node, tuple(field.split(".")))
            if not whole or not found.is_text:
                continue
            value = json.loads(found.text or "")
            owner, first = seen.setdefault(code_key(value) if field == "code.shared_code" else value, (node, line))
            if owner is not node:
                told = f"stands already on line {first}; give each campaign {noun} of its own"
                yield _sentence(line, _label(node), field, told)


def _told(name: str, problems: list[FileProblem], more: int) -> str:
    ordered = sorted(problems, key=lambda problem: problem.line)
    lines = [f"{name}:{line}: {text}." for line, text in ordered[:MOST_TOLD]]
    if more := more + len(ordered) - len(lines):
        lines.append(f"… and {more:,} more.")
    return "\n".join(lines)
