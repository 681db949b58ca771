"""Read campaign definitions from a YAML or JSON file and report all its problems at once, each with its line.

The file format is described in `docs/campaign-files.md`.
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

MAX_BYTES: Final = 32 * 1024 * 1024
"""Unpacked. A campaign with three full lists of 100,000 product ids has about 5 MB and is read in seconds; a file of
the largest size takes a minute.
"""

MAX_SHOWN: Final = 20
"""Problems shown one by one: about a screen. A file with more usually has the same problem many times."""

MAX_KEPT: Final = 10_000
"""Problems kept before they are sorted; a file of the largest size can have millions."""

_YAML: Final = (".yaml", ".yml")
_JSON: Final = (".json", ".ndjson", ".jsonl")
_NUMBER: Final = re.compile(r"-?[0-9][0-9.]*")
_NAMED: Final = re.compile(r"`([a-z_.]+)`|\b([a-z_]+(?:\.[a-z_]+)+)|^([a-z_]+)")  # a field named in a sentence


def read_campaigns(file: InputFile) -> list[CampaignDefinition]:
    """Return the campaigns in `file`, all valid.

    Raises CommandFailedError with one line per problem: `FILE:LINE: campaign 'id', field: what to do`.
    """
    read = judge_all(file.name, _read(file))
    if not read:
        raise CommandFailedError(
            f"{file.name} has no campaigns; add one (`couponry example campaign` prints an example)."
        )
    return read


def judge_all(name: str, found: TreeBuilder) -> list[CampaignDefinition]:
    """Return the campaigns in the tree that was read from the file `name`. Raises as `read_campaigns` does."""
    nodes = list(_campaigns(found))
    read, problems, uncounted = [], found.problems, 0
    spoilt = {problem.line for problem in problems}  # further problems on the same line follow from these
    for node in nodes:
        judged = _judge(node)
        if isinstance(judged, CampaignDefinition):
            read.append(judged)
        else:
            problems += [problem for problem in judged if problem.line not in spoilt]
            if len(problems) > MAX_KEPT:  # in the file's order, so the shown ones are among those kept
                uncounted, problems = uncounted + len(problems) - MAX_KEPT, problems[:MAX_KEPT]
    problems += _duplicates(nodes)
    if problems:
        raise CommandFailedError(_summary(name, problems, uncounted))
    return read


def _read(file: InputFile) -> TreeBuilder:
    content = file.content(MAX_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandFailedError(f"{file.name}:{line}: not UTF-8 text; save the file as UTF-8.") from None
    try:
        return read_json(text) if _is_json(file.name, text) else read_yaml(text)
    except FileSyntaxError as error:
        raise CommandFailedError(f"{file.name}:{error.line}:{error.column}: {error}.") from None


def _is_json(name: str, text: str) -> bool:
    """Decide by the file name's suffix, else by the first character."""
    suffixes = PurePath(name.lower().removesuffix(".gz")).suffix
    return suffixes in _JSON or (suffixes not in _YAML and text.lstrip()[:1] in ("{", "["))


def _campaigns(found: TreeBuilder) -> Iterator[Node]:
    """Yield all campaigns. A document is one campaign, a list, or a mapping with the list `campaigns`."""
    for document in found.documents:
        fields = document.fields or {}
        if document.text == "null":
            continue  # an empty document between two `---` lines
        if document.items is not None:
            yield from document.items
        elif "campaigns" in fields and "campaign_id" not in fields:
            for name, (line, _) in fields.items():
                if name != "campaigns":
                    found.problem(line, f"{printable(name)}: not allowed next to campaigns; remove it")
            line, listed = fields["campaigns"]
            if listed.items is None:
                found.problem(line, "campaigns: must be a list of campaigns")
            yield from listed.items or ()
        else:
            yield document


def _judge(node: Node) -> CampaignDefinition | list[FileProblem]:
    """Return the campaign in `node`, or all problems of its fields, or else the first problem of their combination."""
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
        return [_inconsistent(node, label, str(error).rstrip("."))]
    return definition


def _label(node: Node) -> str:
    entry = (node.fields or {}).get("campaign_id")
    if entry is None or not entry.node.is_string:
        return ""
    return f"campaign {printable(json.loads(entry.node.text or ''))!r}"


def _sentence(line: int, *subjects_and_rest: str) -> FileProblem:
    """Return `campaign 'a', limits: must be an object`, leaving out empty subjects."""
    *subjects, rest = subjects_and_rest
    subject = ", ".join(filter(None, subjects))
    return FileProblem(line, f"{subject}: {rest}" if subject else rest)


def _placed(root: Node, label: str, problem: Problem) -> FileProblem:
    """Return a problem of one field, with its line and the field's name."""
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


def _inconsistent(root: Node, label: str, sentence: str) -> FileProblem:
    """Return a problem of a whole campaign, whose sentence names the field in backticks."""
    line = _line_named(root, sentence) or root.line
    named = re.match(r"`([a-z_.]+)`: ", sentence)
    return _sentence(line, label, named[1], sentence[named.end() :]) if named else _sentence(line, label, sentence)


def _line_named(root: Node, sentence: str) -> int | None:
    """Return the line of the first field that `sentence` names and `root` has, at least in part."""
    for match in _NAMED.finditer(sentence):
        place = locate(root, tuple((match[1] or match[2] or match[3]).split(".")))
        if place.node is not root:
            return place.line
    return None


def _duplicates(nodes: list[Node]) -> Iterator[FileProblem]:
    """Find ids and shared codes used by two campaigns of a file, including campaigns with other problems."""
    for field, noun in (("campaign_id", "an id"), ("code.shared_code", "a code")):
        seen: dict[str, tuple[Node, int, str | None]] = {}
        for node in nodes:
            line, _, found, whole = locate(node, tuple(field.split(".")))
            if not whole or not (found.is_string or _NUMBER.fullmatch(found.text or "")):
                continue
            # A number as a code counts as its digits.
            value, key = str(json.loads(found.text or "", parse_float=str, parse_int=str)), None
            if field == "code.shared_code":
                if _is_archived(node):
                    continue  # its code may be used again
                value, key = code_key(value), value
            owner, first, spelling = seen.setdefault(value, (node, line, key))
            if owner is not node:
                other = (
                    f"the same code as {printable(spelling or '')!r} of {_label(owner)}, " if spelling != key else ""
                )
                problem = f"{other}already used on line {first}; give each campaign {noun} of its own"
                yield _sentence(line, _label(node), field, problem)


def _is_archived(node: Node) -> bool:
    _, _, found, whole = locate(node, ("status",))
    return whole and found.text == '"archived"'


def _summary(name: str, problems: list[FileProblem], more: int) -> str:
    ordered = sorted(problems, key=lambda problem: problem.line)
    lines = [f"{name}:{line}: {text}." for line, text in ordered[:MAX_SHOWN]]
    if more := more + len(ordered) - len(lines):
        lines.append(f"… and {more:,} more.")
    return "\n".join(lines)
