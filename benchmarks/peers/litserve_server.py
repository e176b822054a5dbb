"""Peer: LitServe, dynamic batching in one worker."""

import litserve

from benchmarks.peers.work import BATCH, PORT, WAIT_MS, decode, embed, recogniser


class Embed(litserve.LitAPI):
    """A key in, a vector out."""

    def setup(self, device: str) -> None:
        """Load the bundle."""
        recogniser()

    def decode_request(self, request: dict) -> object:
        """Read and decode the photo."""
        return decode(request["key"])

    def batch(self, inputs: list) -> list:
        """Pixels are stacked by the bundle."""
        return inputs

    def predict(self, inputs: list) -> list:
        """One forward for the batch."""
        return embed(inputs)

    def unbatch(self, output: list) -> list:
        """A vector for each."""
        return output

    def encode_response(self, output: list) -> dict:
        """JSON."""
        return {"vector": output}


if __name__ == "__main__":
    api = Embed(max_batch_size=BATCH, batch_timeout=WAIT_MS / 1000, api_path="/embed")
    litserve.LitServer(api, accelerator="cpu", timeout=600).run(
        host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning"
    )
