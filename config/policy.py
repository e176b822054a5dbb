"""What browsers may do with our pages: one Content-Security-Policy for every answer that names none of its own.

Comes last in an answer's way. No page of ours runs an inline script, so ``script-src`` never allows one: not even an
``<img onerror=…>`` that slipped through every escape runs. Two concessions, both to others' pages. The admin's theme
(unfold) evaluates the expressions in its own attributes (Alpine), which takes ``'unsafe-eval'`` there; it and the API's
page to try it (Swagger) set styles on elements. Django has a policy of its own from 6.0 on.
"""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

HEADER = "Content-Security-Policy"
COMMON = (
    "default-src 'none'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
)
STRICT = COMMON + "script-src 'self'; style-src 'self'"
ADMIN = COMMON + "script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
DOCS = COMMON + "script-src 'self'; style-src 'self' 'unsafe-inline'"
POLICIES = (("/admin/", ADMIN), ("/api/docs", DOCS))


class PolicyMiddleware(MiddlewareMixin):
    """Sets the policy of an answer's address."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The first policy whose beginning fits, else the strict one."""
        policy = next((policy for start, policy in POLICIES if request.path.startswith(start)), STRICT)
        response.headers.setdefault(HEADER, policy)
        return response
