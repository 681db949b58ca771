"""A ledger in memory for rehearsals: it decides as the real one does and stores nothing.

The data that the real one reads from tables (customers, codes, redemptions) is kept in a few dicts. Its clock is the
script's, so that future events can be rehearsed.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

import orjson

from cli.rehearsal.script import Script, ScriptError
from cli.rehearsal.words import PublishedEvent
from schemas.campaigns import CampaignDefinition
from shared.domain.coupons import code_patterns as codes
from shared.domain.coupons.issue import referred_key
from shared.domain.decide import decide, evolve
from shared.domain.model.commands import Command, CreateCoupons, ExpireLock, IssueCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer, Identifier, identifiers
from shared.domain.model.ids import derived_id
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import State, Supply
from shared.ledger.definitions import to_domain
from shared.ledger.events import events_of


class MemoryLedger:
    """The campaigns of a script with the state of their coupons."""

    def __init__(self, script: Script) -> None:
        self.state = State(identity=script.identity)
        self._customer_keys: dict[Identifier, str] = {}
        self._pools: dict[str, list[tuple[str, str]]] = {}
        for definition in script.campaigns:
            self.load(definition)

    def load(self, definition: CampaignDefinition) -> None:
        """Add or change a campaign. Uses stay counted; a new limit counts from when it was first set."""
        campaign = to_domain(definition, 0)
        self.state.campaigns[campaign.campaign_id] = campaign
        for coupon in self.state.coupons.values():
            if coupon.campaign_id == campaign.campaign_id:
                coupon.uses_limit = campaign.limits.uses_per_coupon
        shared = campaign.code.shared_code
        if shared is not None:
            self._share(shared, campaign.campaign_id)

    def import_codes(self, campaign_id: str, listed: Sequence[str]) -> None:
        """Add codes to a campaign's pool, without those that exist already."""
        new = {
            code_key(code): code for code in listed if code_key(code) not in self.state.taken | self.state.coupon_ids
        }
        pooled = [(derived_id("pooled", campaign_id, key), code) for key, code in new.items()]
        self._pools[campaign_id] = sorted(
            [*self._pools.get(campaign_id, ()), *pooled]
        )  # in the order of the real ledger
        self.state.taken |= dict.fromkeys(new, campaign_id)

    def execute(self, commands: Sequence[Command], now: datetime) -> list[PublishedEvent]:
        """Decide the commands one after another and return the events they publish."""
        events = self._expire(now) if commands else []
        for command in commands:
            customer_key = self._customer_key(command.customer)
            self.state.customers[command.command_id] = customer_key
            if customer_key is not None and isinstance(command, RedeemCoupons):
                self.state.orders_of.setdefault(customer_key, set())
            if isinstance(command, IssueCoupons):
                self.state.customers[referred_key(command.command_id)] = self._customer_key(command.referred)
                self._supply(command)
            elif isinstance(command, CreateCoupons):
                self._use_codes_of(command)
            events += self._decide(command, now)
        return events

    def _decide(self, command: Command, now: datetime) -> list[PublishedEvent]:
        verdict = decide(command, self.state, now)
        evolve(self.state, verdict)
        return [(event.type, orjson.loads(event.data)) for event in events_of(command, verdict, self.state)]

    def _share(self, code: str, campaign_id: str) -> None:
        key = code_key(code)
        coupon = self.state.coupons.get(self.state.coupon_ids.get(key, ""))
        owner = self.state.taken.get(key) if coupon is None else coupon.campaign_id
        archived = self._is_archived(campaign_id)
        if owner is None or (not archived and owner != campaign_id and self._is_archived(owner)):
            self._add(Coupon(derived_id("shared", campaign_id, key), code, campaign_id))
        elif owner != campaign_id and not archived:
            raise ScriptError(
                f"The code {code!r} already belongs to campaign {owner!r}; give {campaign_id!r} another one."
            )

    def _add(self, coupon: Coupon) -> None:
        """Add a coupon under its code. One that lost its code to a later campaign gets it back if it is added again."""
        coupon = self.state.coupons.get(coupon.coupon_id, coupon)
        coupon.uses_limit = self.state.campaigns[coupon.campaign_id].limits.uses_per_coupon
        self.state.coupons[coupon.coupon_id] = coupon
        self.state.coupon_ids[code_key(coupon.code)] = coupon.coupon_id

    def _is_archived(self, campaign_id: str) -> bool:
        return self.state.campaigns[campaign_id].status == "archived"

    def _expire(self, now: datetime) -> list[PublishedEvent]:
        expired = [
            one.lock_reference for one in self.state.locks.values() if one.status == "open" and one.expires_at <= now
        ]
        return [event for one in expired for event in self._decide(ExpireLock(f"expire {one}", one), now)]

    def _customer_key(self, customer: Customer | None) -> str | None:
        """Return the key of the customer who has one of the identifiers.

        Not supported in a rehearsal: merging two customers that turn out to be the same.
        """
        names = () if customer is None else identifiers(customer, self.state.identity)
        if not names:
            return None
        known = [self._customer_keys[name] for name in names if name in self._customer_keys]
        key = known[0] if known else f"{names[0][0]} {names[0][1]}"
        self._customer_keys |= {name: self._customer_keys.get(name, key) for name in names}
        listed = sorted(name for name, owner in self._customer_keys.items() if owner == key)
        self.state.known_customers[key] = dict(reversed(listed))
        return key

    def _supply(self, command: IssueCoupons) -> None:
        for campaign_id in command.campaign_ids:
            if campaign_id in self.state.campaigns:
                for number in range(command.coupons_of(campaign_id)):
                    supply = self._supply_of(command, campaign_id, number)
                    if supply is not None:
                        self.state.supplies[command.command_id, campaign_id, number] = supply

    def _use_codes_of(self, command: CreateCoupons) -> None:
        for number, code in enumerate(command.codes):
            coupon_id = derived_id("coupon", command.command_id, str(number))
            self.state.supplies[command.command_id, command.campaign_id, number] = Supply(coupon_id, code.strip())

    def _supply_of(self, command: IssueCoupons, campaign_id: str, number: int) -> Supply | None:
        campaign = self.state.campaigns[campaign_id]
        coupon_id = derived_id("coupon", command.command_id, campaign_id, str(number))
        if campaign.code.shared_code is not None:
            code = campaign.code.shared_code
            coupon = self.state.coupons.get(self.state.coupon_ids.get(code_key(code), ""))
            return None if coupon is None or coupon.campaign_id != campaign_id else Supply(coupon.coupon_id, code)
        if campaign.source.kind == "pool":
            left = [one for one in self._pools.get(campaign_id, ()) if one[0] not in self.state.coupons]
            return Supply(*left[number]) if number < len(left) else None
        if campaign.source.kind == "external":
            external_code = dict(command.external_codes).get(campaign_id)
            if external_code is None or code_key(external_code) in self.state.coupon_ids:
                return None
            return Supply(coupon_id, external_code or None)
        return Supply(coupon_id, codes.render(campaign.code.pattern, campaign.code.charset, secrets.token_bytes))
