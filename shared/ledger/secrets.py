"""What a campaign keeps secret: its validation code, and the headers for its source. People are told that they are set.

Definitions for people come from the view `campaign_terms`, where PostgreSQL has hidden them; `masked` does the same for
one at hand. A definition with hidden values can be saved again: `kept` puts the values of the ledger back.
"""

from typing import Final
from urllib.parse import urlsplit

from schemas.campaigns import CampaignDefinition
from shared.ledger.definition_values import DefinitionError

HIDDEN: Final = "(hidden)"
"""Stands for a secret that isn't told; migration 0017 has it too."""


def has_secrets(definition: CampaignDefinition) -> bool:
    """Whether it says a secret that isn't hidden."""
    values = [definition.validation_code, *definition.source.headers.values()]
    return any(value is not None and value != HIDDEN for value in values)


def has_hidden(definition: CampaignDefinition) -> bool:
    """Whether a secret of it is hidden."""
    return definition.validation_code == HIDDEN or HIDDEN in definition.source.headers.values()


def masked(definition: CampaignDefinition) -> CampaignDefinition:
    """The definition with its secrets hidden."""
    if not has_secrets(definition):
        return definition
    code = None if definition.validation_code is None else HIDDEN
    return _with(definition, code, dict.fromkeys(definition.source.headers, HIDDEN))


def kept(wanted: CampaignDefinition, before: CampaignDefinition | None) -> CampaignDefinition:
    """`wanted`, its hidden secrets as they are in `before`. Raises DefinitionError where `before` has none."""
    if not has_hidden(wanted):
        return wanted
    code = wanted.validation_code
    if code == HIDDEN:
        code = None if before is None else before.validation_code
        if code is None:
            raise DefinitionError(f"`validation_code` is {HIDDEN}, and none is known; give its value, or leave it out.")
    known = {} if before is None else before.source.headers
    if before is not None and _origin(wanted) != _origin(before):
        known = {}  # a secret goes to the server that it was given for, and to no other
    unknown = [name for name, value in wanted.source.headers.items() if value == HIDDEN and name not in known]
    if unknown:
        raise DefinitionError(f"`source.headers`: {unknown[0]} is {HIDDEN}, and its value isn't known; give it.")
    headers = {name: known[name] if value == HIDDEN else value for name, value in wanted.source.headers.items()}
    return _with(wanted, code, headers)


def _origin(definition: CampaignDefinition) -> tuple[str, str]:
    """Return scheme, host and port of the source."""
    parts = urlsplit(definition.source.url or "")
    return parts.scheme, parts.netloc


def _with(definition: CampaignDefinition, code: str | None, headers: dict[str, str]) -> CampaignDefinition:
    source = definition.source.model_copy(update={"headers": headers})
    return definition.model_copy(update={"validation_code": code, "source": source})
