"""`couponry secrets`: create an encryption key, and rotate stored secrets to it."""

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
"""Rows per transaction. One takes some milliseconds, during which no campaign can be saved."""


@app.command("generate")
def generate() -> None:
    """Print a new key for COUPONRY_ENCRYPTION_KEYS. It is not stored: without it, the secrets it encrypts are lost."""
    typer.echo(make_key())


@app.command("rotate")
def rotate_all(
    size: Annotated[int, typer.Option("--batch", min=1, max=5_000, help="Rows per transaction.")] = PIECE,
    as_json: AsJson = False,
) -> None:
    """Encrypt every stored secret under the first key of COUPONRY_ENCRYPTION_KEYS.

    Set the new key before the old one (`new,old`) in every process, then run this command, then remove the old key.
    `none,old` decrypts everything. The command can be stopped and repeated at any time.
    """
    rotated = run(_rotate(size))
    missed = sum(one.missed for one in rotated.values())
    if as_json:
        show_json(rotated)
    else:
        rows = [(name, one.seen, one.changed, one.missed, len(one.damaged)) for name, one in rotated.items()]
        show_table(("secrets of", "checked", "encrypted again", "missed", "damaged"), rows)
        for sentence in (text for one in rotated.values() for text in one.damaged):
            say(sentence)
    if missed:
        raise CommandFailedError(
            f"{missed} secrets were changed by another process while they were being encrypted. Repeat the command "
            "before you remove an old key."
        )


async def _rotate(size: int) -> dict[str, Rotated]:
    async with ledger() as pool:  # also finds the key of a stack in this folder
        if keyring().encrypts is None:
            raise CommandFailedError(
                f"{VARIABLE} is not set. Create a key with `couponry secrets generate`, and set it before the old ones."
            )
        return {
            "webhook endpoints": await rotate(
                lambda after, limit: stored_secrets.rotate_piece(pool, after, limit), size
            ),
            "campaigns": await rotate(lambda after, limit: stored_definitions.rotate_piece(pool, after, limit), size),
        }
