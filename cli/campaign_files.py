"""Campaign definitions from a file: one JSON document, a JSON list of them, or one a line; plain or packed."""

import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from cli.errors import CommandFailedError
from cli.files import InputFile
from schemas.campaigns import CampaignDefinition
from schemas.parsing import InvalidDocumentError, parse
from shared.ledger.definitions import DefinitionError, to_domain

Model = TypeVar("Model", bound=BaseModel)


class _Listed(BaseModel):
    """A list of campaigns, wrapped so that it is read, digits and all, like one document."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    campaigns: tuple[CampaignDefinition, ...]


def read_campaigns(file: InputFile) -> list[CampaignDefinition]:
    """The campaigns in `file`, all of which make sense. Raises CommandFailedError naming file, line and field."""
    content = file.content().strip()
    if not content:
        raise CommandFailedError(
            f"{file.name} is empty; write a campaign into it (`couponry example campaign` prints one)."
        )
    if content[:1] == b"[":
        listed = _parse(_Listed, b'{"campaigns":' + content + b"}", file.name).campaigns
        placed = [(f"{file.name}, campaigns[{index}]", definition) for index, definition in enumerate(listed)]
    elif _is_one_a_line(content):
        places = ((f"{file.name}, line {number}", line) for number, line in file.lines())
        placed = [(place, _parse(CampaignDefinition, line, place)) for place, line in places]
    else:
        placed = [(file.name, _parse(CampaignDefinition, content, file.name))]
    for place, definition in placed:
        try:
            to_domain(definition, 0)
        except DefinitionError as error:
            raise CommandFailedError(f"{place} ({definition.campaign_id}): {error}") from None
    return [definition for _, definition in placed]


def _is_one_a_line(content: bytes) -> bool:
    """Whether the first line is a document by itself and more follows it."""
    first, _, rest = content.partition(b"\n")
    try:
        json.loads(first)
    except ValueError:
        return False
    return bool(rest.strip())


def _parse(model: type[Model], document: bytes, place: str) -> Model:
    try:
        return parse(model, document)
    except InvalidDocumentError as error:
        raise CommandFailedError(f"{place}: {error}") from None
