"""The rules for customers' identifiers, from the settings of a process."""

from functools import lru_cache
from typing import Protocol

from shared.domain.model.customer import EmailPlus, IdentityRules


class IdentitySettings(Protocol):
    """The settings that the rules are built from: `shared.runtime.settings.CustomerSettings`."""

    @property
    def email_plus(self) -> EmailPlus: ...
    @property
    def placeholders(self) -> str: ...


def rules_of(settings: IdentitySettings) -> IdentityRules:
    """Return the rules for identifiers that `settings` say."""
    return _rules(settings.email_plus, settings.placeholders)


@lru_cache(maxsize=16)
def _rules(email_plus: EmailPlus, placeholders: str) -> IdentityRules:
    return IdentityRules.of(email_plus, placeholders.split(","))
