"""What the demo prints: progress, the table of hits with the right answers beside them, rates, addresses."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

WIDTH_WITHOUT_TERMINAL = 110


@dataclass(frozen=True)
class Found:
    """One search and what came back: skus in order, beside the right answer."""

    query: str
    answer: str
    job: dict[str, Any]

    @property
    def skus(self) -> list[str]:
        """What was found, the best first."""
        return [hit["product"]["sku"] for hit in self.job.get("hits", [])]

    @property
    def is_first(self) -> bool:
        """Whether the right product came first."""
        return self.skus[:1] == [self.answer]


def console() -> Console:
    """A console that is wide enough for the tables where there is no terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)


@contextmanager
def progress(out: Console) -> Iterator[Progress]:
    """Bars in a terminal; without one a line when each is finished."""
    columns = (TextColumn("  {task.description:<34}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=out, disable=not out.is_terminal)
    with bars:
        yield bars
    if not out.is_terminal:
        for task in bars.tasks:
            out.print(f"  {task.description:<34} {task.completed:.0f}/{task.total:.0f} in {task.elapsed or 0:.1f} s")


def rate(found: Sequence[Found], best: int) -> float:
    """The part of the searches whose right product is among the ``best`` first ones."""
    return sum(each.answer in each.skus[:best] for each in found) / len(found)


def hits_table(found: Iterable[Found], title: str) -> Table:
    """Searches with what they found first and the right answer."""
    table = _table(title)
    table.add_column("search", max_width=24)
    table.add_column("right answer", min_width=12)
    table.add_column("found first", max_width=44)
    for name in ("price", "score"):
        table.add_column(name, justify="right", min_width=6)
    table.add_column("", min_width=1)
    for each in found:
        hits = each.job.get("hits", [])
        first = hits[0] if hits else None
        table.add_row(
            Text(each.query, no_wrap=True, overflow="ellipsis"),
            each.answer,
            _named(first["product"]) if first else f"({each.job['state']})",
            f"{first['product']['price']} {first['product']['currency']}" if first else "",
            _score(first),
            "[green]✓[/]" if each.is_first else "[red]✗[/]",
        )
    return table


def _named(product: dict[str, Any]) -> Text:
    """Sku and title on one line, cut where the column ends."""
    return Text(f"{product['sku']}  {product['title']}", no_wrap=True, overflow="ellipsis")


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    table.pad_edge = False
    return table


def _score(hit: dict[str, Any] | None) -> str:
    """The probability where the query had a photo, the ranking score otherwise."""
    if hit is None:
        return ""
    return f"{hit['probability']:.0%}" if hit["probability"] is not None else f"{hit['scores']['rank']:.2f}"


def items_table(items: Iterable[dict[str, Any]], answers: dict[str, str]) -> Table:
    """Recognised items with their verdicts and the right answers."""
    table = _table("Recognised")
    for name in ("photo", "right answer", "verdict"):
        table.add_column(name, min_width=8)
    table.add_column("first candidate", max_width=44)
    table.add_column("probability", justify="right", min_width=11)
    for item in items:
        best = item["candidates"][0]["product"] if item["candidates"] else None
        name = item["photo"]["name"]
        table.add_row(
            name,
            answers[name],
            item["verdict"],
            _named(best) if best else "",
            "" if item["probability"] is None else f"{item['probability']:.0%}",
        )
    return table
