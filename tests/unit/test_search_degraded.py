"""A search's answer is marked where the index may have left photos out of this very search, and only there."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import pytest

from recognition.bundle import load_bundle
from recognition.index import Filters
from tests.worker import bundle_folder
from workers.batching import ItemVectors
from workers.contract import Search, SearchFilters
from workers.search import run_search


class Index:
    """One that is behind with everything but one brand."""

    def nearest(self, queries):
        return [[] for _ in queries]

    def is_behind(self, filters):
        return filters != Filters(filters.merchant_id, brands=("Kiln",))


@pytest.mark.parametrize(("brands", "degraded"), [((), True), (("Kiln",), False)])
def test_an_answer_that_is_whole_is_not_marked(brands, degraded):
    device = SimpleNamespace(
        submit_search=lambda item: item.future.set_result(ItemVectors(words=np.ones(256, np.float32)))
    )
    recogniser = SimpleNamespace(bundle=load_bundle(bundle_folder()))
    line = SimpleNamespace(name="worker", recogniser=recogniser, device=device, index=Index())
    until = datetime.now(UTC) + timedelta(seconds=60)
    search = Search(
        job_id=uuid4(), merchant_id=uuid4(), deadline=until, words="mug", filters=SearchFilters(brands=brands)
    )
    answer = run_search(line, search)
    assert (answer.fault, answer.degraded) == (None, degraded)
