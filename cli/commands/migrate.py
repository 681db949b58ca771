"""`couponry migrate`."""

from cli.apps import new_app
from cli.locations import find_settings
from cli.output import say
from shared.ledger.migrate import migrate as bring_up_to_date
from shared.runtime.settings import DatabaseSettings

app = new_app()


@app.command()
def migrate() -> None:
    """Create the ledger's tables, or bring them up to date.

    Safe to run at any time and by several processes at once. COUPONRY_DATABASE_URL must log in as the owner of the
    database, with the right to create roles.
    """
    applied = bring_up_to_date(find_settings(DatabaseSettings).database_url.get_secret_value(), say)
    for name in applied:
        say(f"applied  {name}")
    say("The ledger's tables are up to date." if applied else "Nothing to do: the ledger's tables are up to date.")
