"""Campaign definitions in the ledger: saving them as a whole, and a cache that knows when it is stale."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from schemas.campaigns import CampaignDefinition, stored_campaign
from shared.domain.model.campaign import Campaign
from shared.domain.model.coupon import code_key
from shared.domain.model.ids import derived_id
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import Connection, Pool
from shared.ledger.definitions import DefinitionError, to_domain
from shared.ledger.period_metering import rebuild_period_meters
from shared.ledger.secrets import has_hidden, kept
from shared.ledger.sql import sql
from shared.ledger.stored_definitions import readable, stored_texts
from shared.runtime import telemetry
from shared.runtime.logging import get_logger

log = get_logger("ledger")

Change = Literal["created", "changed", "unchanged"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving did to one campaign."""

    campaign_id: str
    change: Change


class CampaignExistsError(ValueError):
    """A campaign that was to be new is there already."""


async def save(pool: Pool, definitions: Sequence[CampaignDefinition], *, new: bool = False) -> list[Saved]:
    """Create or change campaigns, all of them or none. Loading the same twice changes nothing.

    Runs between batches (it takes the definitions lock alone), so every batch sees the campaigns before or after, never
    amid. Limits of a live campaign take effect at once: raised ones revive exhausted coupons, lowered ones refuse what
    comes and break nothing that stands. `new`: none of them may exist yet.

    Raises DefinitionError for a definition that makes no sense, alone or after what the campaign has given already;
    CampaignExistsError; EncryptionError where source headers can't be encrypted;
    asyncpg.UniqueViolationError where a shared code is another coupon's.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        saved = await _save(connection, await with_secrets(connection, definitions))
        there = [one.campaign_id for one in saved if one.change != "created"]
        if new and there:
            raise CampaignExistsError(
                f"There is a campaign {there[0]!r} already; change that one, or name it otherwise."
            )
    return saved


async def change(
    pool: Pool, campaign_id: str, to: Callable[[CampaignDefinition], CampaignDefinition]
) -> tuple[CampaignDefinition, Saved] | None:
    """Change a campaign to what `to` makes of it, with nobody changing it meanwhile; None where there is none.

    Raises as `save`, and what `to` raises.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        before = (await definitions_of(connection, [campaign_id])).get(campaign_id)
        if before is None:
            return None
        changed = kept(to(before), before)
        [saved] = await _save(connection, [changed])
    return changed, saved


async def definitions_of(connection: Connection, campaign_ids: Sequence[str]) -> dict[str, CampaignDefinition]:
    """campaign id → definition, with its secrets. Nothing that people are told may come from here."""
    records = await connection.fetch(sql("campaigns_definitions"), campaign_ids)
    return {record["campaign_id"]: readable(stored_campaign(record["definition"])) for record in records}


async def with_secrets(connection: Connection, definitions: Sequence[CampaignDefinition]) -> list[CampaignDefinition]:
    """The definitions, their hidden secrets as the ledger has them. Raises DefinitionError where it has none."""
    hidden = [definition.campaign_id for definition in definitions if has_hidden(definition)]
    known = await definitions_of(connection, hidden) if hidden else {}
    return [kept(definition, known.get(definition.campaign_id)) for definition in definitions]


async def _save(connection: Connection, definitions: Sequence[CampaignDefinition]) -> list[Saved]:
    for definition in definitions:
        to_domain(definition, 0)
    if len({definition.campaign_id for definition in definitions}) != len(definitions):
        raise DefinitionError("The same campaign_id stands twice in what is to be loaded; give each campaign its own.")
    ordered = sorted(definitions, key=lambda definition: definition.campaign_id)
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
    return [Saved(definition.campaign_id, saved.get(definition.campaign_id, "unchanged")) for definition in definitions]  # type: ignore[arg-type]


async def _check_currency(connection: Connection, campaigns: Sequence[Campaign]) -> None:
    """A budget counts in one currency. Raises DefinitionError where the campaign has given discounts in another."""
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
            f"Campaign {campaign_id!r} has given discounts in {currency}, which a `limits.spend_total` in another "
            f"currency can't count; keep {currency}, leave the budget null, or begin a new campaign."
        )


async def _apply_limits(connection: Connection, campaigns: Sequence[Campaign]) -> None:
    """Carry limits to where CHECK constraints repeat them, and begin the meters that new limits need."""
    shared = [(campaign, campaign.code.shared_code) for campaign in campaigns if campaign.code.shared_code is not None]
    if shared:
        await connection.execute(
            sql("coupons_add_shared"),
            [derived_id("shared coupon", campaign.campaign_id, code_key(code)) for campaign, code in shared],
            [code.strip() for _, code in shared],
            [code_key(code) for _, code in shared],
            [campaign.campaign_id for campaign, _ in shared],
            [campaign.limits.uses_per_coupon for campaign, _ in shared],
        )
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
    )


class UnreadableCampaignError(Exception):
    """A stored campaign can't be read by this version. Commands that need it fail alone; load the campaign again."""


class _Campaigns(dict[str, Campaign]):
    """Campaigns by id, some of which can't be read: looking one of these up raises UnreadableCampaignError."""

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
    """All campaigns, as the ledger knows them. One index look-up tells whether anything changed.

    Headers of sources stay as they are stored, encrypted: `stored_definitions.decrypted_headers` reads them.
    """

    def __init__(self) -> None:
        self._campaigns: dict[str, Campaign] = {}
        self._unreadable: set[str] = set()
        self.version = 0
        """Grows with every change of any campaign; 0 before the first refresh, and where there are none."""

    async def refresh(self, connection: Connection) -> dict[str, Campaign]:
        """Return the campaigns as of now, by campaign id. Inside a batch's transaction they stay so until its end.

        A definition that can't be read is logged. Commands that need its campaign then raise UnreadableCampaignError,
        and all others are executed.
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
