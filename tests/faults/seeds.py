"""The seed of random faults: constant in `make test`, different in each round of `make faults`."""

import os
from typing import Final

VARIABLE: Final = "COUPONRY_FAULTS_SEED"


def seed(default: int) -> int:
    """Return the seed of this run; `default` unless `make faults` gave another."""
    return int(os.environ.get(VARIABLE) or default)
