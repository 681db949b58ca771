"""`couponry audit`."""

import typer

from cli.apps import AsJson, new_app
from cli.connect import ledger, run
from cli.output import say, show_json, show_table
from shared.ledger.audit import CHECKS, AuditReport
from shared.ledger.audit import audit as rebuild

app = new_app()


@app.command()
def audit(as_json: AsJson = False) -> None:
    """Rebuild every total from the ledger entries and compare. Safe on a live system.

    Only reads, and takes no lock that a service would wait for. The exit code is 1 when something is wrong.
    """
    report = run(_audit())
    if as_json:
        show_json({"clean": report.clean, "checked": report.checked, "findings": report.findings})
    else:
        show_report(report)
    if not report.clean:
        raise typer.Exit(1)


async def _audit() -> AuditReport:
    async with ledger(role=None) as pool:
        return await rebuild(pool)


def show_report(report: AuditReport) -> None:
    """Print what was checked and what was found."""
    checked = ", ".join(f"{number:,} {what.replace('_', ' ')}" for what, number in report.checked.items())
    if report.clean:
        say(f"The ledger is right: {checked}; {len(CHECKS)} checks, nothing found.")
        return
    say(f"The ledger is wrong ({checked}):")
    show_table(
        ("what must hold", "where", "expected", "found"),
        [(CHECKS.get(one.check, one.check), one.what, one.expected, one.found) for one in report.findings],
    )
