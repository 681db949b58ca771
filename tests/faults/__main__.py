"""`python -m tests.faults --seconds 600 --seed 1`: run the fault tests repeatedly, each round with another seed."""

import argparse
import os
import subprocess
import sys
import time

from tests.faults.seeds import VARIABLE


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=600.0, help="begin no round after so long")
    arguments.add_argument("--seed", type=int, default=1, help="of the first round; each further round has the next")
    given = arguments.parse_args()
    started, seed, failed = time.monotonic(), given.seed, list[int]()
    while seed == given.seed or time.monotonic() - started < given.seconds:
        sys.stdout.write(f"round with seed {seed}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "pytest", "-q", "-m", "faults", "tests/faults", "tests/integration"]
        if subprocess.run(command, env={**os.environ, VARIABLE: str(seed)}, check=False).returncode:
            failed.append(seed)
        seed += 1
    sys.stdout.write(f"{seed - given.seed} rounds, failed with these seeds: {failed or 'none'}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
