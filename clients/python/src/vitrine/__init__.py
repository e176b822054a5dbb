"""The client of Vitrine, self-hosted product recognition and visual product search.

    from vitrine import Vitrine

    with Vitrine("vit_sk_…", "https://vitrine.example.com") as client:
        for hit in client.search(photo="street.jpg", words="blue mug").hits:
            print(hit.product.title, hit.why)

``AsyncVitrine`` has the same calls, awaited.
"""

from vitrine import errors, models, params, webhooks
from vitrine._client import AsyncVitrine, Vitrine
from vitrine.errors import VitrineError

__all__ = ["AsyncVitrine", "Vitrine", "VitrineError", "errors", "models", "params", "webhooks"]
