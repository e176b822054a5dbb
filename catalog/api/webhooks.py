"""The webhooks in the OpenAPI document: what is sent to a merchant's server, and what it should answer.

Read by drf-spectacular (``SPECTACULAR_SETTINGS``); sent by ``services.webhooks``, explained in docs/webhooks.md.
"""

from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema

from catalog.api.shapes.webhook_events import EVENT_SHAPES, EventShape
from catalog.models import TEST_EVENT, EventType

SUMMARIES: dict[str, str] = {
    EventType.UPLOAD_FINISHED: "An upload is done, failed or was cancelled",
    EventType.JOB_FINISHED: "A search or a recognition is done, failed, expired or was cancelled",
    EventType.ITEM_DECIDED: "A reviewer decided on an item",
    TEST_EVENT: "You asked for a test",
}
DESCRIPTION = (
    "Sent to every endpoint that listens, at least once, signed as Standard Webhooks 1.0 says: the headers "
    "`webhook-id`, `webhook-timestamp` and `webhook-signature`. An event arrives again with the same `webhook-id`."
)
RESPONSES = {
    "2XX": OpenApiResponse(description="Taken. Answer within 15 seconds and do the work afterwards."),
    "410": OpenApiResponse(description="Never send here again: the endpoint is disabled."),
    "default": OpenApiResponse(description="Not taken: it is sent again, ten times in three days at most."),
}


def _described(kind: str, shape: type[EventShape]) -> OpenApiWebhook:
    described = extend_schema(
        summary=SUMMARIES[kind],
        description=DESCRIPTION,
        tags=["webhooks"],
        request={"application/json": shape},
        responses=RESPONSES,
    )
    return OpenApiWebhook(str(kind), described)


WEBHOOKS = [_described(kind, shape) for kind, shape in EVENT_SHAPES.items()]
