"""`python -m tests.fuzz --seconds 60 --seed 1`: fuzz every interface; exit 1 if anything did harm."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from tests.backends import Folders, start_kafka, start_postgres
from tests.fuzz.run import MAX_ROUNDS, fuzz, summary

FORMATS = ("json", "avro")
"""The formats in which the relay writes, in turn."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0, help="begin no round after so long, in all")
    arguments.add_argument("--seed", type=int, default=int(time.time()), help="the same seed sends the same inputs")
    arguments.add_argument("--rounds", type=int, default=2 * MAX_ROUNDS, help="at most so many rounds, in all")
    arguments.add_argument("--folder", type=Path, default=Path(".fuzz"), help="for logs and figures")
    given = arguments.parse_args()
    Folders.in_memory()
    failed = False
    with start_kafka() as broker, start_postgres() as postgres:
        for number, event_format in enumerate(FORMATS):
            folder = given.folder / f"{given.seed}-{event_format}"
            folder.mkdir(parents=True, exist_ok=True)
            report = asyncio.run(
                fuzz(
                    broker,
                    postgres,
                    folder,
                    seed=given.seed + number,
                    event_format=event_format,
                    rounds=max(1, given.rounds // len(FORMATS)),
                    seconds=given.seconds / len(FORMATS),
                )
            )
            text = json.dumps(summary(report), indent=2)
            (folder / "report.json").write_text(text + "\n", encoding="utf-8")
            sys.stdout.write(text + "\n")
            failed = failed or bool(report.problems)
    sys.stdout.write(f"{'Something did harm: see above' if failed else 'Nothing did harm'}. Logs: {given.folder}/\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
