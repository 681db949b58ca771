"""Topic `rewards`: the events of a loyalty engine. Key: customer id."""

from typing import Annotated

from pydantic import Field

from schemas.common import Event, IdentifiedCustomer, Identifier, Metadata, Moment, Text, metadata_problem
from schemas.limits import MAX_INTEGER


class RewardEarned(Event):
    """A customer earned a reward. It names a rule, a campaign, or neither; campaigns match it with `issues_on`."""

    reward_id: Identifier
    rule_id: Identifier | None = None
    campaign_id: Identifier | None = None
    customer: IdentifiedCustomer
    points: Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)] | None = None
    earned_at: Moment
    metadata: Metadata | None = None

    def problem(self) -> str | None:
        return metadata_problem(self.metadata)


class RewardRevoked(Event):
    """A reward was revoked. It may arrive before its `reward.earned`, which then issues nothing."""

    reward_id: Identifier
    revoked_at: Moment
    reason: Text | None = None
