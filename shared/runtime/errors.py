"""Errors that decide how a process ends, and the exit codes that say so to its supervisor."""

EXIT_CLEAN = 0
EXIT_BAD_SETTINGS = 2
"""A setting is missing or wrong: starting again changes nothing."""
EXIT_BUG = 70
"""A bug (sysexits.h, EX_SOFTWARE): nothing was committed; starting again may meet it again."""
EXIT_RESTART = 75
"""Database or broker away for too long, no progress, or not drained in time (EX_TEMPFAIL): start again."""


class TransientError(Exception):
    """The database, the broker or another system is away: the same work may succeed later and must not be given up.

    Raised by whoever talks to that system; the loop that asked backs off and tries again. When it has tried often
    enough the process leaves with EXIT_RESTART.
    """


class OperatorError(Exception):
    """Only a person can put this right; the text is one sentence that says what is wrong and what to do.

    The process leaves with EXIT_BAD_SETTINGS and without a traceback.
    """
