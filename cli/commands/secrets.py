"""`couponry secrets`: make a key, encrypt what is stored under another one."""

from typing import Annotated, Final

import typer

from cli.apps import AsJson, new_app
from cli.connect import ledger, run
from cli.errors import CommandFailedError
from cli.output import say, show_json, show_table
from shared.ledger import stored_definitions
from shared.ledger.rotation import Rotated, rotate
from shared.runtime.encryption import VARIABLE, keyring, make_key
from shared.webhooks import stored_secrets

app = new_app("Encrypt webhook secrets and source headers at rest.")

PIECE: Final = 200
"""Rows of one transaction: some milliseconds, in which no campaign is saved."""


@app.command("generate")
def generate() -> None:
    """Print a new key for COUPONRY_ENCRYPTION_KEYS. It is kept nowhere: whoever loses it loses the secrets under it."""
    typer.echo(make_key())


@app.command("rotate")
def rotate_all(
    size: Annotated[int, typer.Option("--batch", min=1, max=5_000, help="Rows of one transaction.")] = PIECE,
    as_json: AsJson = False,
) -> None:
    """Encrypt every stored secret under the first key of COUPONRY_ENCRYPTION_KEYS.

    Give the new key first and keep the old one behind it (`new,old`) in every process; then run this; then remove the
    old key. `none,old` decrypts everything. It can be stopped and given again at any time.
    """
    rotated = run(_rotate(size))
    missed = sum(one.missed for one in rotated.values())
    if as_json:
        show_json(rotated)
    else:
        rows = [(name, one.seen, one.changed, one.missed, len(one.damaged)) for name, one in rotated.items()]
        show_table(("secrets of", "looked at", "encrypted anew", "missed", "damaged"), rows)
        for sentence in (text for one in rotated.values() for text in one.damaged):
            say(sentence)
    if missed:
        raise CommandFailedError(
            f"{missed} secrets were changed by others while they were encrypted anew: give the command again before an "
            "old key is removed."
        )


async def _rotate(size: int) -> dict[str, Rotated]:
    async with ledger() as pool:  # finds the key of a stack in this folder too
        if keyring().encrypts is None:
            raise CommandFailedError(
                f"{VARIABLE} is not set: make a key with `couponry secrets generate`, and set it before the old ones."
            )
        return {
            "webhook endpoints": await rotate(lambda after, most: stored_secrets.rotate_piece(pool, after, most), size),
            "campaigns": await rotate(lambda after, most: stored_definitions.rotate_piece(pool, after, most), size),
        }
