"""Audit the ledger: compare every meter with the sum of its ledger entries. Safe on a live system.

All queries read one snapshot, so batches that commit during the audit can't cause findings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.model.ids import readable
from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql

FINDINGS_PER_CHECK: Final = 100
"""Findings reported per check. More of one kind usually have the same cause."""

AUDIT_SECONDS: Final = 600.0

CHECKS: Final[Mapping[str, str]] = {
    "audit_coupons": "a coupon's held and used uses equal the sum of its ledger entries",
    "audit_meters": "a meter equals the sum of the ledger entries of its campaign or customer",
    "audit_meters_missing": "a limit that needs a meter has one",
    "audit_period_meters": "a cap's period equals the sum of the ledger entries that count in it",
    "audit_locks": "the uses a coupon has held equal what open locks hold",
    "audit_limits": "no coupon, campaign or period is used beyond the limit on its row",
    "audit_orders": "an order has one use of a coupon or none, and never got more discount back than it was given",
    "audit_orphans": "every ledger entry names an existing coupon, its campaign and a recorded command",
}
"""Query → what it checks. Each returns one row per finding: what, expected, found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference that an audit found."""

    check: str
    what: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of an audit. `checked` counts the rows that were checked: coupons, meters, ledger entries."""

    checked: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        return not self.findings


async def audit(pool: Pool) -> AuditReport:
    """Compute every meter from the ledger entries and compare. Read only; no batch waits for it."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute("SET LOCAL statement_timeout = '10min'")
        counted: dict[str, Any] = dict(await connection.fetchrow(sql("audit_counts"), timeout=AUDIT_SECONDS) or {})
        findings: list[Finding] = []
        for check in CHECKS:
            findings.extend(await _check(connection, check))
    return AuditReport(counted, tuple(findings))


async def _check(connection: Connection, check: str) -> list[Finding]:
    records = await connection.fetch(sql(check), FINDINGS_PER_CHECK, timeout=AUDIT_SECONDS)
    return [Finding(check, *[readable(str(text)) for text in record]) for record in records]
