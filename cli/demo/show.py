"""Show the demo's progress: bars on a terminal, otherwise one line per phase."""

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from cli.demo.run import PhaseDone
from cli.demo.streams import StreamReader
from cli.demo.waiting import Progress


class Screen:
    """The progress on standard error. Use it as `with Screen(console) as screen`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
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
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def begins(self, name: str, records: int) -> None:
        """Show that a phase begins, which sends `records`."""
        self._handled_before = self._handled_now
        self._sent = self._bars.add_task(f"{name}: sent", total=records, note="")
        self._handled = self._bars.add_task(f"{name}: handled", total=records, note="")

    def sent(self, records: int) -> None:
        """Add `records` to those sent."""
        if self._sent is not None:
            self._bars.update(self._sent, advance=records)

    def progressed(self, progress: Progress, reader: StreamReader) -> None:
        """Show how far the services are, and how many coupons were issued and redeemed."""
        self._handled_now = progress.handled
        if self._handled is not None:
            issued, redeemed = reader.types["coupon.issued"], reader.coupons["coupon.redeemed"]
            note = f"{issued:,} issued, {redeemed:,} redeemed"
            self._bars.update(self._handled, completed=progress.handled - self._handled_before, note=note)

    def ends(self, done: PhaseDone) -> None:
        """Show that a phase is finished."""
        for task in (self._sent, self._handled):
            if task is not None:
                self._bars.remove_task(task)
        self._sent = self._handled = None
        self.say(
            f"{done.name:<13} {done.records:>7,} records sent in {done.send_seconds:4.1f} s, "
            f"all handled after {done.seconds:4.1f} s"
        )
