"""Peer: mosec, a stage of processes that decode before one that runs dynamic batches."""

import mosec
import numpy as np

from benchmarks.peers.work import BATCH, WAIT_MS, decode, embed, recogniser


class Decode(mosec.Worker):
    """A key in, pixels out."""

    def forward(self, data: dict) -> object:
        """Read and decode the photo."""
        return decode(data["key"])

    def serialize_ipc(self, data: object) -> bytes:
        """Pixels as they lie in memory: pickling them again would only cost."""
        return data.tobytes()


class Embed(mosec.Worker):
    """Pixels in, vectors out."""

    def deserialize_ipc(self, data: bytes) -> object:
        """Pixels from memory."""
        size = recogniser().bundle.preprocessing.size
        return np.frombuffer(data, np.uint8).reshape(size, size, 3)

    def forward(self, data: list) -> list:
        """One forward for the batch."""
        return [{"vector": vector} for vector in embed(data)]


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Decode, num=2)
    server.append_worker(Embed, num=1, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
