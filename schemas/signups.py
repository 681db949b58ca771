"""Topic `signups`: the events of a sign-up flow. Key: customer id."""

from schemas.common import Event, IdentifiedCustomer, Identifier, Metadata, Moment, metadata_problem


class CustomerSignedUp(Event):
    """A customer signed up. `referred_by` is another customer's id, `channel` is where they signed up ("web")."""

    customer: IdentifiedCustomer
    signed_up_at: Moment
    referred_by: Identifier | None = None
    channel: Identifier | None = None
    metadata: Metadata | None = None

    def problem(self) -> str | None:
        return metadata_problem(self.metadata)
