"""People in the admin: accounts, and the merchants they act for. Roles replace Django's groups and permissions."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from catalog.admin.scope import may_manage
from catalog.models import Membership

admin.site.unregister(Group)
admin.site.unregister(User)


class PlaceInline(TabularInline):
    """The merchants that a person acts for."""

    model = Membership
    extra = 0
    hide_title = True
    autocomplete_fields = ["merchant"]
    verbose_name = "place in a shop"
    verbose_name_plural = "places in shops"

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """With the account itself."""
        return request.user.is_superuser

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, ModelAdmin):
    """Accounts. Superusers alone open this page; a manager may only look people up to let them into a shop."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "full_name", "email", "shops", "is_staff", "is_superuser", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active"]
    search_fields = ["username", "first_name", "last_name", "email"]
    filter_horizontal = []
    readonly_fields = ["last_login", "date_joined"]
    inlines = [PlaceInline]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "email"]}),
        ("What they may do", {"fields": ["is_active", "is_staff", "is_superuser"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With their shops."""
        return super().get_queryset(request).prefetch_related("memberships__merchant")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Only superusers see the list."""
        return request.user.is_superuser

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers too, while they look a person up by name for their shop."""
        looking_up = request.resolver_match is not None and request.resolver_match.url_name == "autocomplete"
        return request.user.is_superuser or (looking_up and may_manage(request))

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Superusers only."""
        return request.user.is_superuser

    has_change_permission = has_delete_permission = has_add_permission

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> list[type[TabularInline]]:
        """A new account gets its shops in the second step, as it gets everything but its name and password."""
        return self.inlines if obj else []

    @display(description="Name")
    def full_name(self, person: User) -> str:
        """First and last name."""
        return person.get_full_name() or "–"

    @display(description="Shops")
    def shops(self, person: User) -> str:
        """Where they act, and as what."""
        places = [f"{place.merchant.name} ({place.get_role_display().lower()})" for place in person.memberships.all()]
        return ", ".join(places) or "–"
