"""How the demo shows where it is: bars on a terminal, a line a phase elsewhere."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.demo.run import PhaseDone
from cli.demo.streams import StreamReader
from cli.demo.waiting import Standing


class Screen:
    """Use it as `with`. `say` prints a line above the bars."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=28),
            TextColumn("{task.completed:>9,.0f} / {task.total:,.0f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._sent: TaskID | None = None
        self._handled: TaskID | None = None
        self._handled_before = 0
        self._handled_now = 0

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def begins(self, name: str, records: int) -> None:
        """A phase begins; it will send `records`."""
        self._handled_before = self._handled_now
        self._sent = self._progress.add_task(f"{name}: sent", total=records, note="")
        self._handled = self._progress.add_task(f"{name}: handled", total=records, note="")

    def sent(self, records: int) -> None:
        """So many more were sent."""
        if self._sent is not None:
            self._progress.update(self._sent, advance=records)

    def stands(self, standing: Standing, reader: StreamReader) -> None:
        """How far the services are, and what the streams said so far."""
        self._handled_now = standing.handled
        if self._handled is not None:
            issued, redeemed = reader.types["coupon.issued"], reader.coupons["coupon.redeemed"]
            note = f"{issued:,} issued, {redeemed:,} redeemed"
            self._progress.update(self._handled, completed=standing.handled - self._handled_before, note=note)

    def ends(self, done: PhaseDone) -> None:
        """A phase is over."""
        for task in (self._sent, self._handled):
            if task is not None:
                self._progress.remove_task(task)
        self._sent = self._handled = None
        self.say(
            f"{done.name:<13} {done.records:>7,} records sent in {done.send_seconds:4.1f} s, "
            f"all handled after {done.seconds:4.1f} s"
        )
