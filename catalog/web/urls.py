"""The addresses of the search page and of photos."""

from django.urls import path, register_converter

from catalog.web import overlays, photos, search


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
    path("photos/<uuid:photo_id>/<photo_size:size>", photos.photo_view, name="photo"),
    path("photos/searches/<uuid:job_id>/<photo_size:size>", photos.job_photo_view, name="job-photo"),
    path("photos/<uuid:photo_id>/heat", overlays.photo_heat_view, name="photo-heat"),
    path("photos/searches/<uuid:job_id>/heat", overlays.job_photo_heat_view, name="job-photo-heat"),
]
