"""Run another program that ends when the process that started it ends.

Run it as a script: `python -I -S cli/child_process.py PARENT_PID SIGNAL USER -- PROGRAM ARGUMENTS…`. It switches to the
account USER (`-` keeps the current one), asks the kernel to send SIGNAL when the parent dies, and replaces itself with
PROGRAM, so that the pid the parent knows is the program's own. A parent killed with -9 can't clean up; the kernel does.

Linux only (`prctl`). Elsewhere the program is only started; a leftover is found and ended at the next start. The script
uses only the standard library and imports nothing of this package, because it must start in milliseconds and before any
account change.
"""

import os
import pwd
import sys

if sys.platform.startswith("linux"):
    import ctypes  # imported here, because another account may not be able to read the library folder later

PR_SET_PDEATHSIG = 1


def end_with_parent(signal_number: int) -> None:
    """Ask the kernel to send SIGNAL when the thread that started this process dies.

    The request survives exec; a change of account cancels it.
    """
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def take_account(name: str) -> None:
    """Switch from root to the account `name`. Raises KeyError if there is no such account."""
    entry = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(arguments: list[str]) -> None:
    """Parse `PARENT_PID SIGNAL USER -- PROGRAM ARGUMENTS…` and become PROGRAM. Never returns."""
    parent, signal_number, account, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("child_process: PARENT_PID SIGNAL USER -- PROGRAM ARGUMENTS…")
    os.umask(0o077)  # only the owner may read data and logs
    if account != "-":
        take_account(account)
    end_with_parent(int(signal_number))
    if os.getppid() != int(parent):  # the parent died before the request, so no signal would ever come
        sys.exit("child_process: the starting process has ended")
    os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point, and no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
