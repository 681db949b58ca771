"""Become another program that ends when the process that started it ends.

Run as a script, never imported for its effect: `python -I -S cli/attached.py PARENT_PID SIGNAL USER -- PROGRAM
ARGUMENTS…`. It takes the account USER (`-` keeps the present one), asks the kernel to send SIGNAL when the parent
dies, and replaces itself with PROGRAM, so that the pid the parent knows is the program's own. A parent that is killed
with -9 can tidy nothing; the kernel then does.

Linux only (`prctl`); elsewhere the program is merely started, and a leftover is found and ended at the next start. It
uses the standard library alone and imports nothing of this package: it must start in milliseconds and before any
account change.
"""

import os
import pwd
import sys

if sys.platform.startswith("linux"):
    import ctypes  # here, because another account may not be able to read the library folder any more

PR_SET_PDEATHSIG = 1


def end_with_parent(signal_number: int) -> None:
    """Ask the kernel for SIGNAL at the death of the thread that started this process; kept across exec, lost by a
    change of account.
    """
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def take_account(name: str) -> None:
    """Give up root for the account `name`; raises KeyError when there is none."""
    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(arguments: list[str]) -> None:
    """Parse `PARENT_PID SIGNAL USER -- PROGRAM ARGUMENTS…` and become PROGRAM; never returns."""
    parent, signal_number, account, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("attached: PARENT_PID SIGNAL USER -- PROGRAM ARGUMENTS…")
    os.umask(0o077)  # data and logs are their owner's alone
    if account != "-":
        take_account(account)
    end_with_parent(int(signal_number))
    if os.getppid() != int(parent):  # the parent died before the kernel was asked: nobody would ever tell us
        sys.exit("attached: the starting process is gone")
    os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point, and no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
