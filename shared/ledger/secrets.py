"""Hide a campaign's secrets from people: its validation code, and the headers of its source.

Definitions for people come from the view `campaign_terms`, where PostgreSQL hides the values; `masked` does the same
for a definition in memory. A definition with hidden values can be saved again: `with_known_secrets` restores the
ledger's values.
"""

from typing import Final
from urllib.parse import urlsplit

from schemas.campaigns import CampaignDefinition
from shared.ledger.definition_values import DefinitionError

HIDDEN: Final = "(hidden)"
"""The text shown in place of a secret; migration 0017 has it too."""


def has_secrets(definition: CampaignDefinition) -> bool:
    """Return whether it contains a secret that isn't hidden."""
    values = [definition.validation_code, *definition.source.headers.values()]
    return any(value is not None and value != HIDDEN for value in values)


def has_hidden(definition: CampaignDefinition) -> bool:
    """Return whether it contains a hidden secret."""
    return definition.validation_code == HIDDEN or HIDDEN in definition.source.headers.values()


def masked(definition: CampaignDefinition) -> CampaignDefinition:
    """Return the definition with its secrets hidden."""
    if not has_secrets(definition):
        return definition
    code = None if definition.validation_code is None else HIDDEN
    return _with(definition, code, dict.fromkeys(definition.source.headers, HIDDEN))


def with_known_secrets(wanted: CampaignDefinition, before: CampaignDefinition | None) -> CampaignDefinition:
    """Return `wanted` with the secrets of `before` for hidden ones. Raises DefinitionError if `before` has none."""
    if not has_hidden(wanted):
        return wanted
    code = wanted.validation_code
    if code == HIDDEN:
        code = None if before is None else before.validation_code
        if code is None:
            raise DefinitionError(f"`validation_code` is {HIDDEN}, but no value is stored; give it, or remove it.")
    known = {} if before is None else before.source.headers
    if before is not None and _origin(wanted) != _origin(before):
        known = {}  # a secret is only sent to the server that it was given for
    unknown = [name for name, value in wanted.source.headers.items() if value == HIDDEN and name not in known]
    if unknown:
        raise DefinitionError(f"`source.headers`: {unknown[0]} is {HIDDEN}, but no value is stored; give its value.")
    headers = {name: known[name] if value == HIDDEN else value for name, value in wanted.source.headers.items()}
    return _with(wanted, code, headers)


def _origin(definition: CampaignDefinition) -> tuple[str, str]:
    """Return scheme, host and port of the source."""
    parts = urlsplit(definition.source.url or "")
    return parts.scheme, parts.netloc


def _with(definition: CampaignDefinition, code: str | None, headers: dict[str, str]) -> CampaignDefinition:
    source = definition.source.model_copy(update={"headers": headers})
    return definition.model_copy(update={"validation_code": code, "source": source})
