"""Who sees and changes what in the admin: one mixin for every model that belongs to a merchant.

A member of a merchant sees its rows; a manager also changes them; a superuser does both everywhere. Django's own
permission tables are not asked: a person's role in a merchant says it all.
"""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter

from catalog.models import Membership, Merchant, Role

if TYPE_CHECKING:
    from django.contrib.admin.options import BaseModelAdmin

    AnyAdmin = BaseModelAdmin[Any]
else:
    AnyAdmin = object


class AdminRequest(HttpRequest):
    """A request of the admin, as a type: what ``roles_of`` keeps on it."""

    _vitrine_roles: dict[UUID, str]


def person_of(request: HttpRequest) -> User:
    """Who asks: the admin's pages are for people who are logged in."""
    return cast(User, request.user)


def roles_of(request: HttpRequest) -> dict[UUID, str]:
    """The person's role in each of their merchants; read once a request."""
    kept = cast(AdminRequest, request)
    if not hasattr(kept, "_vitrine_roles"):
        rows = Membership.objects.filter(user=person_of(request)).values_list("merchant_id", "role")
        kept._vitrine_roles = dict(rows)
    return kept._vitrine_roles


def may_see(request: HttpRequest, merchant_id: UUID | None = None) -> bool:
    """Whether the person may see rows of this merchant, or of any merchant when none is named."""
    user = request.user
    if not (user.is_active and user.is_staff):
        return False
    roles = {} if user.is_superuser else roles_of(request)
    return user.is_superuser or (merchant_id in roles if merchant_id else bool(roles))


def may_manage(request: HttpRequest, merchant_id: UUID | None = None) -> bool:
    """Whether the person may change rows of this merchant, or of any merchant when none is named."""
    if not may_see(request, merchant_id):
        return False
    if request.user.is_superuser:
        return True
    roles = roles_of(request)
    return roles[merchant_id] == Role.MANAGER if merchant_id else Role.MANAGER in roles.values()


def merchants_managed(request: HttpRequest) -> QuerySet[Merchant]:
    """The merchants whose catalogue the person may change."""
    if request.user.is_superuser:
        return Merchant.objects.all()
    return Merchant.objects.filter(memberships__user=person_of(request), memberships__role=Role.MANAGER)


class MerchantFilter(RelatedDropdownFilter):
    """The list filter by merchant, offering only those that the person belongs to."""

    def field_choices(self, field: Field, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[UUID, str]]:
        """Ids and names; unfold shows the filter when there are several."""
        merchants = Merchant.objects.all()
        if not request.user.is_superuser:
            merchants = merchants.filter(pk__in=list(roles_of(request)))
        return list(merchants.values_list("pk", "name"))


class MerchantScoped(AnyAdmin):
    """Scopes a ``ModelAdmin`` (or an inline) to the person's merchants.

    ``merchant_path`` leads from the model to its merchant's id. ``read_only`` rows are written by services alone.
    """

    merchant_path = "merchant_id"
    read_only = False

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """The rows of the person's merchants."""
        rows = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        return rows.filter(**{f"{self.merchant_path}__in": list(roles_of(request))})

    def merchant_id_of(self, obj: Model | None) -> UUID | None:
        """The merchant of a row; of the row above, for an inline."""
        value: Any = obj
        for name in self.merchant_path.split("__"):
            value = getattr(value, name, None)
        return value

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the model is listed at all."""
        return may_see(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Members see."""
        return may_see(request, self.merchant_id_of(obj))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers change."""
        return not self.read_only and may_manage(request, self.merchant_id_of(obj))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers add."""
        return not self.read_only and may_manage(request, self.merchant_id_of(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers delete."""
        return not self.read_only and may_manage(request, self.merchant_id_of(obj))

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        """Only merchants that the person manages can be chosen."""
        if db_field.name == "merchant":
            kwargs["queryset"] = merchants_managed(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A row never moves to another merchant."""
        fields = tuple(super().get_readonly_fields(request, obj))
        names = {field.name for field in self.model._meta.fields}
        return (*fields, "merchant") if obj and "merchant" in names and "merchant" not in fields else fields
