"""The addresses of the search page, of the widget for shops' pages, and of photos."""

from django.urls import path, register_converter
from django.views.i18n import set_language

from catalog.web import overlays, photos, search, why, widget


class SizeConverter:
    """The four sizes that a photo is served in."""

    regex = "full|large|medium|thumb"

    def to_python(self, value: str) -> str:
        """As it stands in the address."""
        return value

    def to_url(self, value: str) -> str:
        """As it will stand in the address."""
        return value


register_converter(SizeConverter, "photo_size")

urlpatterns = [
    path("", search.page, name="search"),
    path("search", search.submit, name="search-submit"),
    path("search/<str:token>", search.poll, name="search-poll"),
    path("search/<str:token>/events", search.events, name="search-events"),
    path("search/<str:token>/why/<uuid:product_id>", why.why, name="search-why"),
    path("language", set_language, name="set-language"),
    path("widget/v1.js", widget.loader, name="widget"),
    path("photos/<uuid:photo_id>/<photo_size:size>", photos.photo_view, name="photo"),
    path("photos/searches/<uuid:job_id>/<photo_size:size>", photos.job_photo_view, name="job-photo"),
    path("photos/<uuid:photo_id>/heat", overlays.photo_heat_view, name="photo-heat"),
    path("photos/searches/<uuid:job_id>/heat", overlays.job_photo_heat_view, name="job-photo-heat"),
]
