"""`couponry customers`: show, export, erase, split, rejoin, normalise."""

import asyncio
import getpass
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from cli.apps import AsJson, new_app
from cli.commands.dlq import document, name_of, queues
from cli.connect import broker, identity_rules, ledger, reading, run
from cli.errors import BrokerUnavailableError, CommandFailedError, UsageProblemError
from cli.executing import check_identifier, checked_text
from cli.output import count, day, moment, say, show_facts, show_json, show_table
from schemas.topics import EVENT_TOPICS, KEEP_DEAD_LETTERS_MS
from shared.domain.model.customer import Identifier, possible_identifiers
from shared.ledger import erasing, exporting, normalising, splitting, wallets
from shared.ledger.personal_data import Traces
from shared.messaging.dead_letters import DeadLetter, list_dead_letters
from shared.messaging.tail import MAX_LISTED
from shared.runtime.errors import OperatorError
from shared.runtime.settings import SettingsError

CustomerName = Annotated[str, typer.Argument(metavar="WHO", help="An id, an email address, or a +phone number.")]
UNKNOWN: Final = "a customer is known from the first reward, sign-up or order with a coupon"

KEPT: Final = "references_kept"

app = new_app("Show a customer's wallet; export or erase the data kept about a customer; undo a wrong merge.")


@app.command()
def show(
    who: CustomerName,
    as_json: AsJson = False,
) -> None:
    """Show a customer's identifiers and the coupons they hold.

    Examples: `couponry customers show customer_123`, `couponry customers show john.smith@email.com`
    """
    wallet = run(_wallet(who))
    if as_json:
        show_json(wallet)
        return
    show_facts([("customer", "\n".join(wallet.identifiers)), ("known since", f"{moment(wallet.known_since)} UTC")])
    if not wallet.coupons:
        say("No coupons.")
        return
    show_table(
        ("code", "campaign", "is", "uses", "valid from", "until (UTC)"),
        [
            (
                coupon.code or "(no code)",
                coupon.campaign_id,
                coupon.state,
                f"{coupon.used_uses}/{'∞' if coupon.uses_limit is None else coupon.uses_limit}",
                day(coupon.starts_at),
                day(coupon.ends_at),
            )
            for coupon in wallet.coupons
        ],
        right=("uses",),
    )
    more = ", and there are more" if wallet.cut else ""
    say(f"{count(len(wallet.coupons), 'coupon')}{more}")


async def _wallet(who: str) -> wallets.Wallet:
    async with reading() as connection:
        found = await wallets.wallet(connection, names_of(who))
    if found is None:
        raise CommandFailedError(_unknown(who))
    return found


@app.command()
def export(who: CustomerName) -> None:
    """Print everything that the ledger keeps about a customer, as one JSON document (GDPR Art. 15).

    Example: `couponry customers export customer_123 > customer_123.json`
    """
    run(_export(who))


async def _export(who: str) -> None:
    async with ledger(role=None) as pool:
        customer_key = await exporting.find_customer(pool, names_of(who))
        if customer_key is None:
            raise CommandFailedError(_unknown(who))
        async for part in exporting.document(pool, customer_key, identity_rules()):
            sys.stdout.buffer.write(part)
        sys.stdout.flush()


@app.command()
def erase(
    who: CustomerName,
    *,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="TEXT", help="Who requested it, for the log. Default: the name of your account."),
    ] = None,
    free_text: Annotated[
        bool,
        typer.Option(
            "--free-text/--no-free-text",
            help="Also search the free text of other customers' requests, which reads the whole journal.",
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Remove what identifies a customer; the totals are kept under a pseudonym (GDPR Art. 17). It can't be undone.

    After an interruption, the same command or a gateway finishes it. Kafka topics can't be changed: dead letters that
    name the customer are listed, with the time until which they are kept.

    Example: `couponry customers erase customer_123 --by "request 4711"`
    """
    erasure, letters = run(_erase(who, _requester(by, "erase"), free_text))
    if as_json:
        show_json(
            {
                "erasure_id": erasure.erasure_id,
                "pseudonym": erasure.pseudonym,
                "requested_by": erasure.requested_by,
                "requested_at": erasure.requested_at,
                "finished_at": erasure.finished_at,
                "changed": erasure.counts,
                "dead_letters": None if letters is None else [document(letter) for letter in letters],
            }
        )
        return
    show_facts(
        [
            ("erasure", erasure.erasure_id),
            ("pseudonym", erasure.pseudonym),
            *[
                (name.replace("_", " ") + ("" if name == KEPT else " changed"), number)
                for name, number in sorted(erasure.counts.items())
            ],
        ]
    )
    days = {topic.name: topic.retention_ms // 86_400_000 for topic in EVENT_TOPICS}
    say("Kafka keeps published events, by default for " + ", ".join(f"{days[name]} days ({name})" for name in days))
    if letters is None:
        say("The broker couldn't be reached, so dead letters were not searched; `couponry dlq list` shows them.")
    elif letters:
        say(f"{count(len(letters), 'dead letter')} name the customer. Don't replay them:")
        show_table(
            ("letter", "kept until (UTC), by default"),
            [(name_of(letter), moment(_until(letter))) for letter in letters],
            whole=("letter",),
        )


async def _erase(who: str, by: str, free_text: bool) -> tuple[erasing.Erasure, list[DeadLetter] | None]:
    async with ledger() as pool:
        try:
            erasure_id = await erasing.begin(pool, names_of(who), by, free_text=free_text)
        except erasing.ErasureRefusedError as error:
            raise CommandFailedError(str(error)) from None
        if erasure_id is None:
            raise CommandFailedError(_unknown(who))
        rules = identity_rules()
        # The erasure removes the names that the search needs.
        traces = await erasing.traces_of(pool, erasure_id, rules)
        letters = None if traces is None else await _letters(traces)
        await erasing.run(pool, erasure_id, rules=rules)
        erasure = await erasing.find(pool, erasure_id)
    if erasure is None:
        raise CommandFailedError(f"Erasure {erasure_id} is finished, but its row has been pruned already.")
    return erasure, letters


@app.command()
def split(
    who: CustomerName,
    *,
    separate: Annotated[
        list[str], typer.Option("--separate", metavar="WHO", help="An identifier of another customer; repeatable.")
    ],
    keep_separate: Annotated[
        bool,
        typer.Option(
            "--keep-separate/--may-merge-again",
            help="Never merge them again, even if an event names both: its strongest identifier counts.",
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="TEXT", help="Who requested it, for the journal. Default: your account's name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Split a customer that was merged by mistake: the identifiers after --separate become a customer of their own.

    Name all identifiers of the other person: what was theirs before the merge then goes back to them. What was written
    since the merge stays.

    Example: `couponry customers split customer_123 --separate customer_456 --separate mary.jones@email.com`
    """
    if as_json and not (dry_run or yes):
        raise UsageProblemError("--json can't ask whether to split the customer; add --yes, or --dry-run.")
    others = [names_of(one) for one in separate]
    wanted = splitting.Wanted(names_of(who), others, _requester(by, "split"), keep_separate, dry_run=True)
    if dry_run or not yes:
        planned = run(_split(wanted))
        _show_split(planned, as_json=as_json, done=False)
        if dry_run:
            return
        typer.confirm("Split the customer?", abort=True, err=True)
    _show_split(run(_split(replace(wanted, dry_run=False))), as_json=as_json, done=True)


async def _split(wanted: splitting.Wanted) -> splitting.Split:
    async with ledger() as pool:
        try:
            return await splitting.split(pool, wanted)
        except splitting.SplitRefusedError as error:
            raise CommandFailedError(str(error)) from None


def _show_split(made: splitting.Split, *, as_json: bool, done: bool) -> None:
    if as_json:
        show_json(made)
        return
    say("The customer was split:" if done else "The split would be:")
    show_facts(
        [
            ("stays", " ".join(made.stays)),
            ("leaves", "\n".join(" ".join(one) for one in made.leaves)),
            *[(f"{name.replace('_', ' ')} that go back", number) for name, number in made.moved.items()],
            *[(f"{name.replace('_', ' ')} that stay", _counted(number)) for name, number in made.left.items()],
            ("recorded as", made.command_id if done else None),
        ]
    )
    if made.incomplete:
        say(
            f"Of {count(made.incomplete, 'merged customer')} only some identifiers leave, so what was theirs stays: "
            "`couponry customers show` lists the others."
        )
    if not made.kept_separate:
        say("The next event that names both merges them again.")


def _counted(number: int) -> str:
    return f"{number:,} or more" if number >= splitting.COUNTED else f"{number:,}"


@app.command()
def rejoin(who: CustomerName, other: CustomerName) -> None:
    """Let two customers that were split be merged again by the next event that names both.

    Example: `couponry customers rejoin customer_123 mary.jones@email.com`
    """
    if run(_rejoin(who, other)):
        say("The next event that names both merges them.")
    else:
        say("Nothing to do: nothing keeps these customers separate.")


async def _rejoin(who: str, other: str) -> bool:
    async with ledger() as pool:
        try:
            return await splitting.rejoin(pool, names_of(who), names_of(other))
        except splitting.SplitRefusedError as error:
            raise CommandFailedError(str(error)) from None


@app.command()
def normalise(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add the current form of identifiers that are stored in another form, and merge customers who are the same.

    Run it once after an upgrade to this version, and after a change of COUPONRY_EMAIL_PLUS. A second run
    changes nothing.

    Example: `couponry customers normalise --dry-run`
    """
    found = run(_normalise(dry_run))
    if as_json:
        show_json(found)
        return
    would = "would be " if dry_run else ""
    show_facts(
        [
            ("identifiers", f"{found.read:,}"),
            (f"current forms {would}added", f"{found.added:,}"),
            (f"customers {would}merged", f"{found.merged:,}"),
            ("kept separate by a split", f"{found.separate:,}" if found.separate else None),
            ("placeholders", f"{found.placeholders:,}"),
            ("invalid", f"{found.invalid:,}"),
        ]
    )
    if found.placeholders or found.invalid:
        say("Placeholders and invalid identifiers stay stored, and no event is matched by them.")


async def _normalise(dry_run: bool) -> normalising.Normalised:
    async with ledger() as pool:
        return await normalising.normalise(pool, identity_rules(), dry_run=dry_run)


async def _letters(traces: Traces) -> list[DeadLetter] | None:
    """Return the dead letters that name the customer, None if the broker can't be reached."""
    found: list[DeadLetter] = []
    try:
        async with broker() as settings:
            for topic in queues(settings, None):
                with suppress(OperatorError):  # the topic doesn't exist, so it has no dead letters
                    found += await list_dead_letters(settings, topic, limit=MAX_LISTED)
    except (BrokerUnavailableError, SettingsError):
        return None
    return [letter for letter in found if await asyncio.to_thread(_names, traces, letter)]


def _names(traces: Traces, letter: DeadLetter) -> bool:
    parts = [letter.record.key, letter.record.value, letter.error_text.encode()]
    return any(part is not None and traces.is_named_in(part.decode("utf-8", "replace")) for part in parts)


def _until(letter: DeadLetter) -> datetime:
    return letter.failed_at + timedelta(milliseconds=KEEP_DEAD_LETTERS_MS)


def _requester(by: str | None, command: str) -> str:
    """Return who requested the command: `--by`, else the account's name."""
    return checked_text("--by", by) or f"couponry customers {command}, {getpass.getuser()}"


def _unknown(who: str) -> str:
    return f"No customer is known as {who!r}; {UNKNOWN}."


def names_of(who: str) -> tuple[Identifier, ...]:
    """Return the identifiers that `who` may mean: an id first, then an email address or number that it looks like."""
    check_identifier(who)
    return possible_identifiers(who, identity_rules())
