"""Webhook endpoints, and the log of what was sent to them. What arrives is checked by ``vitrine.webhooks``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from vitrine._calls import Mode, call, stream
from vitrine._steps import Flow, Stream
from vitrine.models import Page, WebhookDelivery, WebhookEndpoint
from vitrine.params import EndpointChange, Options
from vitrine.resources._base import Calls, request, split


class WebhookEndpoints(Calls[Mode]):
    """Where your server listens."""

    @stream
    def list(self, **options: Unpack[Options]) -> Stream[WebhookEndpoint]:
        """Every endpoint, the newest first."""
        return self._listed(Page[WebhookEndpoint], "webhook-endpoints", options)

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[WebhookEndpoint]:
        """Read an endpoint."""
        return self._send(WebhookEndpoint, request("GET", f"webhook-endpoints/{id}", options))

    @call
    def create(
        self, url: str, events: Sequence[str], *, description: str = "", **options: Unpack[Options]
    ) -> Flow[WebhookEndpoint]:
        """Register an endpoint. Keep the ``secret`` of the answer: it is shown this once."""
        body = {"url": url, "events": events, "description": description}
        return self._send(WebhookEndpoint, request("POST", "webhook-endpoints", options, json=body))

    @call
    def update(self, id: str, **change: Unpack[EndpointChange]) -> Flow[WebhookEndpoint]:
        """Change what is given."""
        body, options = split(change)
        return self._send(WebhookEndpoint, request("PATCH", f"webhook-endpoints/{id}", options, json=body))

    @call
    def delete(self, id: str, **options: Unpack[Options]) -> Flow[None]:
        """Send nothing more to it, and forget its log."""
        return self._done(request("DELETE", f"webhook-endpoints/{id}", options))

    @call
    def rotate_secret(
        self, id: str, *, overlap_seconds: int = 86_400, **options: Unpack[Options]
    ) -> Flow[WebhookEndpoint]:
        """Make a new ``secret``; for so long both sign."""
        body = {"overlap_seconds": overlap_seconds}
        return self._send(WebhookEndpoint, request("POST", f"webhook-endpoints/{id}/rotate-secret", options, json=body))

    @call
    def test(self, id: str, **options: Unpack[Options]) -> Flow[WebhookDelivery]:
        """Send a ``vitrine.test`` event."""
        return self._send(WebhookDelivery, request("POST", f"webhook-endpoints/{id}/test", options))


class WebhookDeliveries(Calls[Mode]):
    """What was sent, and what was answered."""

    @stream
    def list(
        self,
        *,
        endpoint: str | None = None,
        state: str | None = None,
        type: str | None = None,
        **options: Unpack[Options],
    ) -> Stream[WebhookDelivery]:
        """The last 30 days, the newest first."""
        asked = {"endpoint": endpoint, "state": state, "type": type, **options}
        return self._listed(Page[WebhookDelivery], "webhook-deliveries", asked)

    @call
    def get(self, id: str, **options: Unpack[Options]) -> Flow[WebhookDelivery]:
        """Read a delivery, with what is sent and the log of every try."""
        return self._send(WebhookDelivery, request("GET", f"webhook-deliveries/{id}", options))

    @call
    def replay(self, id: str, **options: Unpack[Options]) -> Flow[WebhookDelivery]:
        """Send the same event again, now."""
        return self._send(WebhookDelivery, request("POST", f"webhook-deliveries/{id}/replay", options))
