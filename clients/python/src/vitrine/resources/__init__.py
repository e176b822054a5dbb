"""The resources of the API, one module each: they write calls (``_steps``) and read answers (``models``)."""

import time
from typing import Unpack

from vitrine._calls import Mode, Runner, call
from vitrine._steps import Flow
from vitrine.errors import JobFailed
from vitrine.models import SearchJob
from vitrine.params import SearchCall
from vitrine.resources._base import Calls, split
from vitrine.resources.keys import Keys
from vitrine.resources.products import Products
from vitrine.resources.recognition_jobs import RecognitionJobs
from vitrine.resources.review_items import ReviewItems
from vitrine.resources.search_jobs import SearchJobs
from vitrine.resources.synonyms import SynonymSets
from vitrine.resources.uploads import Uploads
from vitrine.resources.webhooks import WebhookDeliveries, WebhookEndpoints


class Resources(Calls[Mode]):
    """Everything that a client has."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner)
        self.search_jobs: SearchJobs[Mode] = SearchJobs(runner)
        self.recognition_jobs: RecognitionJobs[Mode] = RecognitionJobs(runner)
        self.uploads: Uploads[Mode] = Uploads(runner)
        self.products: Products[Mode] = Products(runner)
        self.synonyms: SynonymSets[Mode] = SynonymSets(runner)
        self.review_items: ReviewItems[Mode] = ReviewItems(runner)
        self.webhook_endpoints: WebhookEndpoints[Mode] = WebhookEndpoints(runner)
        self.webhook_deliveries: WebhookDeliveries[Mode] = WebhookDeliveries(runner)
        self.keys: Keys[Mode] = Keys(runner)

    @call
    def search(self, *, wait: float = 30, **asked: Unpack[SearchCall]) -> Flow[SearchJob]:
        """Search by photo, by words or by both, and wait for the hits, ``wait`` seconds at most.

        Raises ``JobFailed`` when the search ended without an answer, ``StillRunning`` when it was not finished in time.
        """
        until = time.monotonic() + wait
        job = yield from SearchJobs.create.flow(self.search_jobs, wait=wait, **asked)
        _, options = split(asked)
        job = yield from SearchJobs.wait.flow(self.search_jobs, job, seconds=until - time.monotonic(), **options)
        if job.state != "done":
            raise JobFailed(job)
        return job
