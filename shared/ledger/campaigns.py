"""Save campaign definitions, and cache them for batches."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from schemas.campaigns import CampaignDefinition, stored_campaign
from shared.domain.model.campaign import Campaign
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import Connection, Pool
from shared.ledger.definitions import DefinitionError, to_domain
from shared.ledger.period_metering import rebuild_period_meters
from shared.ledger.reminding import plan_changed_campaigns, reminder_facts
from shared.ledger.secrets import has_hidden, with_known_secrets
from shared.ledger.shared_codes import WantedCode, add_shared_coupons
from shared.ledger.sql import sql
from shared.ledger.stored_definitions import readable, stored_texts
from shared.runtime import telemetry
from shared.runtime.logging import get_logger

log = get_logger("ledger")

Change = Literal["created", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Saved:
    """The outcome of saving one campaign."""

    campaign_id: str
    change: Change


class CampaignExistsError(ValueError):
    """A campaign that had to be new exists already."""


async def save(pool: Pool, definitions: Sequence[CampaignDefinition], *, new: bool = False) -> list[Saved]:
    """Create or change campaigns, all of them or none. Saving the same twice changes nothing.

    Runs between batches (it takes the definitions lock exclusively), so a batch sees the campaigns before or after the
    change. New limits of a live campaign apply at once: a raised limit makes exhausted coupons usable again, a lowered
    one refuses further uses and keeps earlier ones. `new`: none of them may exist yet.

    Raises DefinitionError for an invalid definition, or one that contradicts what the campaign has given already;
    CampaignExistsError; EncryptionError if source headers can't be encrypted; CodeTakenError (or, a moment later,
    asyncpg.UniqueViolationError) if another coupon has a code.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        saved = await _save(connection, await with_secrets(connection, definitions))
        existing = [campaign.campaign_id for campaign in saved if campaign.change != "created"]
        if new and existing:
            raise CampaignExistsError(
                f"Campaign {existing[0]!r} exists already; change it, or choose another campaign_id."
            )
    return saved


async def change(
    pool: Pool, campaign_id: str, to: Callable[[CampaignDefinition], CampaignDefinition]
) -> tuple[CampaignDefinition, Saved] | None:
    """Apply `to` to a campaign's definition under the definitions lock; None if the campaign doesn't exist.

    Raises what `save` and `to` raise.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        before = (await definitions_of(connection, [campaign_id])).get(campaign_id)
        if before is None:
            return None
        changed = with_known_secrets(to(before), before)
        [saved] = await _save(connection, [changed])
    return changed, saved


async def definitions_of(connection: Connection, campaign_ids: Sequence[str]) -> dict[str, CampaignDefinition]:
    """Return definitions by campaign id, with their secrets. Never show them to people."""
    records = await connection.fetch(sql("campaigns_definitions"), campaign_ids)
    return {record["campaign_id"]: readable(stored_campaign(record["definition"])) for record in records}


async def with_secrets(connection: Connection, definitions: Sequence[CampaignDefinition]) -> list[CampaignDefinition]:
    """Return the definitions with hidden secrets replaced by the ledger's. Raises DefinitionError if it has none."""
    hidden = [definition.campaign_id for definition in definitions if has_hidden(definition)]
    known = await definitions_of(connection, hidden) if hidden else {}
    return [with_known_secrets(definition, known.get(definition.campaign_id)) for definition in definitions]


async def _save(connection: Connection, definitions: Sequence[CampaignDefinition]) -> list[Saved]:
    for definition in definitions:
        to_domain(definition, 0)
    if len({definition.campaign_id for definition in definitions}) != len(definitions):
        raise DefinitionError("The same campaign_id occurs twice; give each campaign its own.")
    ordered = sorted(definitions, key=lambda definition: definition.campaign_id)
    reminding = [one.campaign_id for one in ordered if one.window.remind_days is not None]
    facts = await reminder_facts(connection, reminding) if reminding else {}
    records = await connection.fetch(
        sql("campaigns_save"),
        [definition.campaign_id for definition in ordered],
        [definition.status for definition in ordered],
        await stored_texts(connection, ordered),
    )
    saved = {record["campaign_id"]: "created" if record["created"] else "changed" for record in records}
    touched = [definition for definition in ordered if definition.campaign_id in saved]
    if touched:
        campaigns = [to_domain(definition, 0) for definition in touched]
        await _check_currency(connection, campaigns)
        await _apply_limits(connection, campaigns)
        await rebuild_period_meters(connection, campaigns)
        await plan_changed_campaigns(connection, campaigns, facts)
    return [Saved(definition.campaign_id, saved.get(definition.campaign_id, "unchanged")) for definition in definitions]  # type: ignore[arg-type]


async def _check_currency(connection: Connection, campaigns: Sequence[Campaign]) -> None:
    """Raise DefinitionError if a campaign with a budget has given discounts in a currency other than the budget's."""
    budgets = [campaign for campaign in campaigns if campaign.limits.spend_total_minor is not None]
    if not budgets:
        return
    record = await connection.fetchrow(
        sql("campaigns_other_currency"),
        [campaign.campaign_id for campaign in budgets],
        [campaign.currency for campaign in budgets],
    )
    if record is not None:
        campaign_id, currency = record
        raise DefinitionError(
            f"Campaign {campaign_id!r} has given discounts in {currency}, and a `limits.spend_total` in another "
            f"currency can't count them; keep {currency}, leave the budget null, or create a new campaign."
        )


async def _apply_limits(connection: Connection, campaigns: Sequence[Campaign]) -> None:
    """Copy limits to the rows whose CHECK constraints need them, and create the meters that new limits need."""
    shared = [
        WantedCode(campaign.campaign_id, code, campaign.status == "archived", campaign.limits.uses_per_coupon)
        for campaign in campaigns
        if (code := campaign.code.shared_code) is not None
    ]
    active = [campaign.campaign_id for campaign in campaigns if campaign.status != "archived"]
    await add_shared_coupons(connection, shared, active)
    ids = [campaign.campaign_id for campaign in campaigns]
    await connection.execute(
        sql("coupons_apply_limit"), ids, [campaign.limits.uses_per_coupon for campaign in campaigns]
    )
    metered = (
        [campaign.meters_campaign for campaign in campaigns],
        [campaign.meters_customers for campaign in campaigns],
    )
    await connection.execute(sql("meters_drop"), ids, *metered)
    await connection.execute(
        sql("meters_rebuild"),
        ids,
        *metered,
        [campaign.limits.coupons_total for campaign in campaigns],
        [campaign.limits.uses_total for campaign in campaigns],
        [campaign.limits.coupons_per_customer for campaign in campaigns],
        [campaign.limits.uses_per_customer for campaign in campaigns],
        [campaign.limits.spend_total_minor for campaign in campaigns],
        None,
    )


class UnreadableCampaignError(Exception):
    """A stored campaign can't be read by this version. Only commands that need it fail; load the campaign again."""


class _Campaigns(dict[str, Campaign]):
    """Campaigns by id. Looking up one that can't be read raises UnreadableCampaignError."""

    def __init__(self, campaigns: Mapping[str, Campaign], unreadable: Collection[str]) -> None:
        super().__init__(campaigns)
        self.unreadable = frozenset(unreadable)

    def get(self, campaign_id: str, default: Any = None, /) -> Any:
        self._check(campaign_id)
        return super().get(campaign_id, default)

    def __contains__(self, campaign_id: object) -> bool:
        self._check(campaign_id)
        return super().__contains__(campaign_id)

    def __missing__(self, campaign_id: str) -> Campaign:
        self._check(campaign_id)
        raise KeyError(campaign_id)

    def _check(self, campaign_id: object) -> None:
        if campaign_id in self.unreadable:
            raise UnreadableCampaignError(
                f"The stored definition of campaign {campaign_id!r} can't be read by this version of Couponry. "
                "Load the campaign again with `couponry campaigns load`."
            )


class CampaignCache:
    """All campaigns of the ledger. One index look-up shows whether anything changed.

    Source headers stay encrypted, as they are stored; `stored_definitions.decrypted_headers` decrypts them.
    """

    def __init__(self) -> None:
        self._campaigns: dict[str, Campaign] = {}
        self._unreadable: set[str] = set()
        self.version = 0
        """Grows with every change of any campaign; 0 before the first refresh and without campaigns."""

    async def refresh(self, connection: Connection) -> dict[str, Campaign]:
        """Return the current campaigns by id. Within a batch's transaction they don't change.

        A definition that can't be read is logged. Commands that need its campaign then raise UnreadableCampaignError;
        all others are executed.
        """
        version: int = await connection.fetchval(sql("campaigns_version"))
        if version != self.version:
            campaigns, unreadable = dict(self._campaigns), set(self._unreadable)
            since = self.version
            if version < self.version:
                campaigns, unreadable, since = {}, set(), 0
            for record in await connection.fetch(sql("campaigns_changed_since"), since):
                campaign_id = record["campaign_id"]
                campaigns.pop(campaign_id, None)
                unreadable.discard(campaign_id)
                try:
                    definition = stored_campaign(record["definition"])
                    campaigns[campaign_id] = to_domain(definition, record["version"])
                except Exception:
                    unreadable.add(campaign_id)
                    telemetry.BUGS.labels("campaign").inc()
                    log.exception("bug: a stored campaign can't be read", campaign_id=campaign_id)
            self._campaigns = _Campaigns(campaigns, unreadable) if unreadable else campaigns
            self._unreadable, self.version = unreadable, version
        return self._campaigns
