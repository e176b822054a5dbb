"""Pages by key, not by number: a page stays right while rows are added or deleted, however long the list.

Used by every list of the API. The cursor holds the last row's ordering values, which must end in a unique column.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.utils.timezone import is_naive
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from catalog.selectors.search import Hit
from catalog.services.errors import Refused

PAGE_SIZE = 50
PAGE_LIMIT = 200
NEWEST_FIRST = ("-created_at", "id")

Row = TypeVar("Row", bound=Model)
Cut = TypeVar("Cut")


class Cursor(BasePagination):
    """Cuts a queryset into pages; a view may name its ordering in ``cursor_ordering``."""

    def __init__(self, ordering: tuple[str, ...] = NEWEST_FIRST) -> None:
        self.ordering = ordering

    def paginate_queryset(  # type: ignore[override]  # of querysets alone, not of any sequence
        self, queryset: QuerySet[Row], request: Request, view: APIView | None = None
    ) -> list[Row]:
        """The rows of the page that ``cursor`` names, or of the first one. One query."""
        self.url = request.build_absolute_uri()
        self.ordering = getattr(view, "cursor_ordering", self.ordering)
        size = _page_size(request)
        backwards, values = self._decode(request, queryset.model)
        ordering = tuple(_turned(name) for name in self.ordering) if backwards else self.ordering
        queryset = queryset.order_by(*ordering)
        if values:
            queryset = queryset.filter(_after(ordering, values))
        rows = list(queryset[: size + 1])
        return self._cut(rows, size, backwards=backwards, begun=bool(values), values_of=self._values)

    def _cut(
        self,
        rows: Sequence[Cut],
        size: int,
        *,
        backwards: bool,
        begun: bool,
        values_of: Callable[[Cut], Sequence[Any]],
    ) -> list[Cut]:
        """The page out of rows that may be more, the nearest first, and the cursors that lead away from it."""
        more, page = len(rows) > size, list(rows[:size])
        if backwards:
            page.reverse()
        self.next_cursor = _encode(False, values_of(page[-1])) if page and (more or backwards) else None
        self.previous_cursor = _encode(True, values_of(page[0])) if page and begun and (more or not backwards) else None
        return page

    def page(self, results: list) -> dict[str, Any]:
        """The body of a page."""
        return {
            "next": self._link(self.next_cursor),
            "previous": self._link(self.previous_cursor),
            "next_cursor": self.next_cursor,
            "results": results,
        }

    def get_paginated_response(self, data: list) -> Response:
        """The page as a response."""
        return Response(self.page(data))

    def get_paginated_response_schema(self, schema: dict) -> dict:
        """The page in the OpenAPI document."""
        link = {"type": ["string", "null"], "format": "uri", "description": "Address of the page, or null at the end."}
        cursor = {"type": ["string", "null"], "description": "The value of `cursor` for the next page."}
        return {
            "type": "object",
            "required": ["next", "previous", "next_cursor", "results"],
            "properties": {"next": link, "previous": link, "next_cursor": cursor, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView | None = None) -> list[dict]:
        """The query parameters in the OpenAPI document."""
        size = {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": PAGE_SIZE}
        return [
            {"name": "cursor", "in": "query", "schema": {"type": "string"}, "description": "A page's `next_cursor`."},
            {"name": "page_size", "in": "query", "schema": size, "description": "Rows a page."},
        ]

    def _link(self, cursor: str | None) -> str | None:
        return None if cursor is None else replace_query_param(self.url, "cursor", cursor)

    def _values(self, row: Model) -> list[Any]:
        values = [getattr(row, name.lstrip("-")) for name in self.ordering]
        plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
        return [value if isinstance(value, int) else str(value) for value in plain]

    def _decode(self, request: Request, model: type[Model]) -> tuple[bool, list[Any]]:
        with _cursors_of_others_refused():
            backwards, plain = _decoded(request)
            if not plain:
                return False, []
            if len(plain) != len(self.ordering):
                raise ValueError("not one of our cursors")
            fields = [cast(Field, model._meta.get_field(name.lstrip("-"))) for name in self.ordering]
            values = [field.to_python(value) for field, value in zip(fields, plain, strict=True)]
            if any(value is None or (isinstance(value, datetime) and is_naive(value)) for value in values):
                raise ValueError("not one of our cursors")
        return backwards, values


class HitCursor(Cursor):
    """Cuts the hits of one search into pages. They lie in its row, so what they are ordered by takes a key's place."""

    def paginate_hits(self, hits: Sequence[Hit], request: Request) -> list[Hit]:
        """The hits of the page that ``cursor`` names, or of the first one."""
        self.url = request.build_absolute_uri()
        size = _page_size(request)
        with _cursors_of_others_refused():
            backwards, plain = _decoded(request)
            values = tuple(map(float, plain))
        if backwards:
            hits = [hit for hit in reversed(hits) if hit.order < values]
        elif values:
            hits = [hit for hit in hits if hit.order > values]
        return self._cut(hits, size, backwards=backwards, begun=bool(values), values_of=lambda hit: hit.order)


def _encode(backwards: bool, values: Sequence[Any]) -> str:
    return urlsafe_b64encode(json.dumps([int(backwards), *values]).encode()).decode()


def _decoded(request: Request) -> tuple[bool, list[Any]]:
    """Whether the cursor leads backwards, and its values; none where none was sent."""
    text = request.query_params.get("cursor")
    if not text:
        return False, []
    backwards, *plain = json.loads(urlsafe_b64decode(text.encode()))
    if backwards not in (0, 1) or not plain:
        raise ValueError("not one of our cursors")
    return bool(backwards), plain


@contextmanager
def _cursors_of_others_refused() -> Iterator[None]:
    """Whatever is wrong with a cursor is one problem: nobody is to write them."""
    try:
        yield
    except (TypeError, ValueError, OverflowError, DjangoValidationError) as error:
        raise Refused("cursor_invalid", "This cursor is not valid. Start again without it.") from error


def _page_size(request: Request) -> int:
    text = request.query_params.get("page_size") or str(PAGE_SIZE)
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= PAGE_LIMIT):
        raise ValidationError({"page_size": f"Send a number from 1 to {PAGE_LIMIT}."})
    return int(text)


def _turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _after(ordering: tuple[str, ...], values: list[Any]) -> Q:
    """Rows that come after ``values``: a later first column, or the same one and a later second, and so on.

    That the first column is not an earlier one says nothing new, but it is what a database can find in an index: with
    the alternatives alone it reads every row of the pages before.
    """
    first = ordering[0]
    begin = Q(**{f"{first.lstrip('-')}__{'lte' if first.startswith('-') else 'gte'}": values[0]})
    condition, same = Q(), Q()
    for name, value in zip(ordering, values, strict=True):
        column = name.lstrip("-")
        condition |= same & Q(**{f"{column}__{'lt' if name.startswith('-') else 'gt'}": value})
        same &= Q(**{column: value})
    return begin & condition
