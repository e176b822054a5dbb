"""Shows an upload's progress in a terminal: bars where there is one, plain lines where there is none.

Used by ``manage.py upload``; reads nothing itself.
"""

import time
from types import TracebackType
from typing import Protocol, Self

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from catalog.models import Upload
from catalog.selectors.upload import UploadProgress

LINE_SECONDS = 2.0


class Display(Protocol):
    """Shows how far an upload is, for as long as the ``with`` block lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: UploadProgress) -> None:
        """Draw the present state."""


def display(out: OutputWrapper) -> Display:
    """Bars on a terminal's error stream, so that output can be piped; else lines on ``out``."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines(out)


class Bars:
    """A bar for rows and one for photos."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._rows: TaskID = self._bars.add_task("rows", total=None, more="")
        self._photos: TaskID = self._bars.add_task("photos", total=None, more="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, progress: UploadProgress) -> None:
        """See ``Display.show``."""
        refused = f"{progress.rows_refused} refused" if progress.rows_refused else ""
        self._bars.update(self._rows, total=progress.rows_total or None, completed=progress.rows_done, more=refused)
        finished = progress.photos_done + progress.photos_failed
        rate = f"{progress.photos_per_second:g}/s" if progress.photos_per_second else ""
        self._bars.update(self._photos, total=progress.photos_total or None, completed=finished, more=rate)


class Lines:
    """A line now and then where something has changed, and one at the end."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._now = self._written = ""
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def show(self, progress: UploadProgress) -> None:
        """See ``Display.show``."""
        finished = progress.photos_done + progress.photos_failed
        self._now = (
            f"{progress.percent:5.1f} %  {progress.state}: "
            f"{progress.rows_done} of {progress.rows_total} rows, {finished} of {progress.photos_total} photos"
        )
        if time.monotonic() >= self._next:
            self._write()

    def _write(self) -> None:
        if self._now != self._written:
            self._out.write(self._now)
            self._written, self._next = self._now, time.monotonic() + LINE_SECONDS


def summary(upload: Upload, progress: UploadProgress, problems: list[tuple[str, int, str]]) -> str:
    """The tables at the end: rows by verdict, photos by state, and every kind of problem with an example."""
    console = Console(width=120, no_color=True)
    counts = Table(title=f"Upload {upload.name}: {upload.get_state_display()}", title_justify="left")
    for heading in ("rows", "created", "updated", "unchanged", "refused", "photos done", "waiting", "failed"):
        counts.add_column(heading, justify="right")
    waiting = progress.photos_pending + progress.photos_dispatched
    numbers = (
        progress.rows_total,
        progress.rows_created,
        progress.rows_updated,
        progress.rows_unchanged,
        progress.rows_refused,
        progress.photos_done,
        waiting,
        progress.photos_failed,
    )
    counts.add_row(*map(str, numbers))
    with console.capture() as captured:
        console.print(counts)
        if problems:
            console.print(_problem_table(problems))
    return captured.get()


def _problem_table(problems: list[tuple[str, int, str]]) -> Table:
    table = Table(title="Problems", title_justify="left")
    table.add_column("code", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("for example")
    for code, count, example in problems:
        table.add_row(code, str(count), example.replace("[", "\\["))
    return table
