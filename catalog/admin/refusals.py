"""What the services refuse, said to the person as a message on the page they came from."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from catalog.services.errors import Refused
from workers.client import PhotoError, Unavailable

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    AnyAdmin = ModelAdmin[Any]
else:
    AnyAdmin = object


def refusal_text(error: Refused | PhotoError | Unavailable) -> str:
    """The sentence, every single problem, and the code."""
    problems = [each["message"] for each in getattr(error, "problems", [])]
    return f"{' '.join([error.message, *problems])} ({error.code})"


class RefusalsAsMessages(AnyAdmin):
    """For a ``ModelAdmin`` whose rows services save: what they refuse becomes a message, and nothing changed."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Adding and changing."""
        return self._said(request, lambda: super(RefusalsAsMessages, self).changeform_view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Deleting."""
        return self._said(request, lambda: super(RefusalsAsMessages, self).delete_view(request, *args, **kwargs))

    def _said(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return view()
        except (Refused, PhotoError, Unavailable) as error:
            messages.error(request, refusal_text(error))
            return HttpResponseRedirect(request.get_full_path())
