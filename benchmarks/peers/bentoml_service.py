"""Peer: BentoML, a batchable method of one worker."""

import bentoml

from benchmarks.peers.work import BATCH, decode, embed, recogniser


@bentoml.service(workers=1, traffic={"timeout": 600, "max_concurrency": 1000})
class Embed:
    """Keys in, vectors out."""

    def __init__(self) -> None:
        recogniser()

    @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
    def embed(self, keys: list[str]) -> list[list[float]]:
        """Read, decode and run a batch. BentoML learns by itself how long to wait for one."""
        return embed([decode(key) for key in keys])
