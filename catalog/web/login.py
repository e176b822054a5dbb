"""Logging in, guarded: whoever guesses passwords waits longer than guessing pays.

Comes before Django looks at a password. The admin loads this form while it makes itself, so it is no part of it. Tries
are counted in Redis (``services.budget``): of one visitor, of one visitor at one name, and of one name from everywhere.
The last is wide, so that nobody is locked out by a stranger's few tries.
"""

from hashlib import sha256
from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from catalog.services.budget import Budget, budgets_spend
from catalog.services.visitor import visitor_of

WINDOW = 300  # seconds
VISITOR_TRIES = 30
NAME_TRIES = 10
EVERYWHERE_TRIES = 200
ACCOUNT = "vitrine:budget:{login}"


class GuardedLogInForm(AuthenticationForm):
    """The theme's form; a try past a budget is refused before its password is looked at."""

    def clean(self) -> dict[str, Any]:
        """Raises ``ValidationError("throttled")`` with the minutes to wait."""
        visitor = visitor_of(self.request)
        name = sha256(str(self.cleaned_data.get("username", "")).casefold().encode()).hexdigest()
        spent = budgets_spend(
            [
                Budget("visitor", f"{ACCOUNT}:visitor:{visitor}", VISITOR_TRIES, WINDOW),
                Budget("name", f"{ACCOUNT}:name:{visitor}:{name}", NAME_TRIES, WINDOW),
                Budget("everywhere", f"{ACCOUNT}:everywhere:{name}", EVERYWHERE_TRIES, WINDOW),
            ]
        )
        if spent.wait:
            minutes = -(-spent.wait // 60)
            raise ValidationError(f"Too many tries. Wait {minutes} min and try again.", code="throttled")
        return super().clean()
