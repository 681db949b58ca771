"""Errors that end a process, and the exit codes for its supervisor."""

EXIT_CLEAN = 0
EXIT_BAD_SETTINGS = 2
"""A setting is missing or wrong: a restart doesn't help."""
EXIT_BUG = 70
"""A bug (sysexits.h, EX_SOFTWARE): nothing was committed; it may occur again after a restart."""
EXIT_RESTART = 75
"""Database or broker unavailable for too long, no progress, or not drained in time (EX_TEMPFAIL): restart."""


class TransientError(Exception):
    """The database, the broker or another system is unavailable; a retry of the same work may succeed.

    The code that calls the system raises it; the service's loop retries with a backoff. After too many attempts the
    process exits with EXIT_RESTART.
    """


class OperatorError(Exception):
    """An error that an operator has to fix. The text says what is wrong and what to do.

    The process exits with EXIT_BAD_SETTINGS and without a traceback.
    """
