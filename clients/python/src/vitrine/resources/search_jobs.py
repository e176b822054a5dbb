"""Searches."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Unpack

from pydantic_core import to_jsonable_python

from vitrine._calls import Mode, call, stream
from vitrine._flows import HELD, followed, waited
from vitrine._steps import Flow, Stream
from vitrine.models import Event, Explanation, Hit, Page, SearchJob
from vitrine.params import Created, File, Options, SearchCall
from vitrine.resources._base import Calls, content_of, request, split

IN_JSON = ("filters", "region", "facets", "like", "unlike")  # parts of a form whose text is JSON


class SearchJobs(Calls[Mode]):
    """A shopper's searches, step by step; ``Vitrine.search`` does it in one."""

    @call
    def create(self, *, wait: float = 0, **asked: Unpack[SearchCall]) -> Flow[SearchJob]:
        """Start a search. With ``wait`` it comes back finished when that takes no longer, 30 s at most."""
        body, options = split(asked)
        files = _photos_out(body)
        sending: dict[str, Any] = {"json": body}
        if files:
            form = {
                name: json.dumps(to_jsonable_python(value)) if name in IN_JSON else str(value)
                for name, value in body.items()
                if value is not None
            }
            sending = {"form": form, "files": [(name, content_of(photo)) for name, photo in files]}
        return self._send(SearchJob, request("POST", "search-jobs", options, wait=min(wait, HELD), **sending))

    @call
    def get(self, id: str, *, wait: float = 0, **options: Unpack[Options]) -> Flow[SearchJob]:
        """Read a search, with its hits when it is done."""
        return self._send(SearchJob, request("GET", f"search-jobs/{id}", options, wait=min(wait, HELD)))

    @call
    def wait(self, job: SearchJob | str, *, seconds: float = 60, **options: Unpack[Options]) -> Flow[SearchJob]:
        """The search as soon as it is finished, however it ended. Raises ``StillRunning``."""
        id = job if isinstance(job, str) else job.id
        look = partial(SearchJobs.get.flow, self, id, **options)
        first = (yield from look()) if isinstance(job, str) else job
        return (yield from waited(first, look, seconds))

    @stream
    def list(self, **asked: Unpack[Created]) -> Stream[SearchJob]:
        """Every search that is kept, the newest first, without their hits."""
        return self._listed(Page[SearchJob], "search-jobs", asked)

    @stream
    def hits(self, id: str, **options: Unpack[Options]) -> Stream[Hit]:
        """Every hit of a finished search, the best first, also those beyond its ``limit``."""
        return self._listed(Page[Hit], f"search-jobs/{id}/hits", options)

    @stream
    def events(self, id: str, **options: Unpack[Options]) -> Stream[Event[SearchJob]]:
        """``job.progress`` whenever its place changes, and ``job.finished`` with the hits."""
        return followed(
            lambda name: SearchJob, request("GET", f"search-jobs/{id}/events", options), self._runner.retries
        )

    @call
    def cancel(self, id: str, **options: Unpack[Options]) -> Flow[SearchJob]:
        """Cancel a search that is not finished."""
        return self._send(SearchJob, request("POST", f"search-jobs/{id}/cancel", options))

    @call
    def explain(
        self, id: str, product_id: str, *, seconds: float = 60, **options: Unpack[Options]
    ) -> Flow[Explanation]:
        """Why a search found a product. A worker makes it now; raises ``ServerProblem`` where none can."""
        return self._explained(f"search-jobs/{id}/hits/{product_id}/explanation", options, seconds)


def _photos_out(body: dict[str, Any]) -> list[tuple[str, File]]:
    """The photos of a search, taken out of its body to be parts of a form: an example is left with its part's name."""
    files = [("photo", photo)] if (photo := body.pop("photo", None)) is not None else []
    for side in ("like", "unlike"):
        if side not in body:
            continue
        examples = list(body[side])
        for place, each in enumerate(examples):
            if not isinstance(each, str) and each.get("photo") is not None:
                name = f"{side}_{place}"
                files.append((name, each["photo"]))
                examples[place] = {**each, "photo": name}
        body[side] = examples
    return files
