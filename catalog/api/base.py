"""What every view of the API shares: one merchant's rows only, an id for each request, limits before reading a body.

``get_queryset`` is the one place where rows are scoped: a view names a selector, and the key's merchant goes into it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import IO, Any, cast

from django.db.models import QuerySet
from django.http import HttpResponseBase
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from catalog.api.authentication import key_of
from catalog.api.budgets import budget_headers, budgets_of
from catalog.api.held import Held
from catalog.api.idempotency import HEADER, Handler, answer_once
from catalog.api.requests import REQUEST_ID, name_of
from catalog.api.schema import Schema
from catalog.api.scopes import EVERYTHING, Scopes
from catalog.models import ApiKey, Merchant
from catalog.services.budget import Spent, budgets_spend
from catalog.services.errors import Refused

JSON_LIMIT = 1_000_000


class NamedRequest(Request):
    """A request with its id, as a type."""

    request_id: str


class AlwaysJson(BaseContentNegotiation):
    """Answers JSON whatever is accepted: there is nothing else to choose from."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The parser of the request's content type."""
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The only renderer."""
        only = next(iter(renderers))
        return only, only.media_type


class PlainJson(JSONParser):
    """JSON that is not nested without end."""

    def parse(self, stream: IO, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The value that the body holds."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise exceptions.ParseError("The JSON is nested too deeply.") from error


class ApiView(GenericViewSet):
    """The base of every view. ``selector`` takes the merchant; ``scopes`` says what a secret key needs to read and to
    change, ``publishable`` names the actions open to such keys.
    """

    schema: Schema | None = Schema()
    content_negotiation_class = AlwaysJson
    parser_classes: tuple[type[BaseParser], ...] = (PlainJson,)
    metadata_class = None
    lookup_url_kwarg = "id"
    selector: Callable[..., QuerySet]
    scopes: Scopes = EVERYTHING
    publishable: frozenset[str] = frozenset()
    spent: Spent | None = None
    post: Handler  # where the address has one

    @property
    def key(self) -> ApiKey:
        """The key that the caller sent."""
        return key_of(self.request)

    @property
    def merchant(self) -> Merchant:
        """Whose key it is. While the schema is drawn there is no key, and nobody's rows are looked at."""
        return Merchant() if getattr(self, "swagger_fake_view", False) else self.key.merchant

    def get_queryset(self) -> QuerySet:
        """This merchant's rows, and no others."""
        return type(self).selector(merchant=self.merchant)

    def body_limit(self) -> int:
        """The largest body that this view reads, in bytes."""
        return JSON_LIMIT

    def refuse_body(self) -> Refused:
        """What is said about a body over the limit."""
        return Refused("body_too_large", f"Send at most {self.body_limit() / 1e6:g} MB at once.", status=413)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As in DRF; a request that is held ends in the same way, after its wait."""
        try:
            response = super().dispatch(request, *args, **kwargs)
            del self.response  # a circle: an event stream's place would be taken until the collector comes round
            return response
        except Held as held:
            held.rest = partial(self._dispatch_rest, held.rest)
            raise

    def _dispatch_rest(self, rest: Callable[[], Response]) -> HttpResponseBase:
        try:
            response = rest()
        except Exception as error:
            response = self.handle_exception(error)
        return cast(HttpResponseBase, self.finalize_response(self.request, response, *self.args, **self.kwargs))

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> NamedRequest:
        """Give the request its id, as it was named on arrival."""
        named = cast(NamedRequest, super().initialize_request(request, *args, **kwargs))
        named.request_id = name_of(request)
        return named

    def perform_authentication(self, request: Request) -> None:
        """The key, then its budget: what the key may not do counts too."""
        super().perform_authentication(request)
        if isinstance(request.auth, ApiKey):
            self.spent = budgets_spend(budgets_of(request, request.auth))
            if self.spent.wait:
                raise exceptions.Throttled(self.spent.wait)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After key, budget and permission were checked: the size of the body, then once-only for a POST."""
        super().initial(request, *args, **kwargs)
        length = request.headers.get("Content-Length", "")
        if "Transfer-Encoding" in request.headers and not length:
            raise Refused("length_required", "Send a Content-Length; chunked bodies are not taken.", status=411)
        if length.isdecimal() and int(length) > self.body_limit():
            raise self.refuse_body()
        if request.method == "POST" and HEADER in request.headers and hasattr(self, "post"):
            self.post = partial(answer_once, handler=self.post)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        """Every answer names its request and says how the key's budget stands, errors included."""
        response.headers[REQUEST_ID] = cast(NamedRequest, request).request_id
        for name, value in (budget_headers(self.spent) if self.spent else {}).items():
            response.headers[name] = value
        return super().finalize_response(request, cast(Response, response), *args, **kwargs)  # DRF takes Django's too

    def get_serializer_context(self) -> dict[str, Any]:
        """What shapes know of the request; a dictionary that may be added to."""
        return dict(super().get_serializer_context())

    def listed(self, rows: QuerySet, **context: Any) -> Response:
        """One page of rows in the view's shape."""
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.shaped(page, many=True, **context))

    def shaped(self, rows: Any, *, many: bool = False, **context: Any) -> Any:
        """Rows in the view's shape."""
        shape = self.get_serializer_class()
        return shape(rows, many=many, context=self.get_serializer_context() | context).data


class NothingHere(ApiView):
    """Any other address under ``/api``: a 404 like all others, whoever asks and with whatever method."""

    schema = None
    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse before anything is looked at."""
        raise exceptions.NotFound("There is nothing here.")
