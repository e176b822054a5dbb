"""What the search page's script says, in the visitor's language; the rest of its texts stand in the templates.

Goes into the page as data (a JSON block, which no browser runs), so that the policy needs no inline script.
"""

from django.utils.translation import gettext as _


def page_texts() -> dict[str, str]:
    """The sentences by the names that the script knows them by; ``{…}`` is filled in there."""
    return {
        "your_photo": _("Your photo: {name}"),
        "uploading": _("Sending your photo …"),
        "waiting": _("Waiting for a worker …"),
        "searching": _("Looking …"),
        "ahead": _("{count} searches are before yours."),
        "unreachable_title": _("The site cannot be reached."),
        "unreachable": _("Check your connection and search again."),
        "categories": _("Category"),
        "brands": _("Brand"),
        "all": _("Show all {count}"),
        "between": _("{low} to {high} in these results"),
        "like": _("Like"),
        "unlike": _("Not like"),
        "forget": _("Without {name}"),
        "more": _("Show {count} more"),
        "filters": _("Filters"),
        "filters_set": _("Filters, {count} set"),
        "frame": _("The part of the photo that is searched. Arrow keys move it, with Shift they resize it."),
        "left": _("Left edge"),
        "top": _("Top edge"),
        "right": _("Right edge"),
        "bottom": _("Bottom edge"),
        "camera_denied": _("The camera may not be used. Allow it in the browser’s settings, or choose a photo."),
        "camera_missing": _("No camera was found. Choose a photo instead."),
        "explaining": _("A worker is looking at both photos …"),
        "similar_to": _("Find what is like {name}"),
    }
