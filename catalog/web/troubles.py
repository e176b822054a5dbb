"""What visitors are told when something is in the way: what happened, and what they can do about it, by stable code.

Read by the views of the search page, whenever a service refused or a part of Vitrine is away.
"""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

_SEND_ANOTHER = _("Choose another photo, or take a new one.")
_AS_JPEG = _("Save it as JPEG or PNG and choose it again.")
_SOON = _("Please try again in a moment.")

# code: what happened, what to do
TROUBLES = {
    "photo_too_large": (_("This photo is too large."), _("Choose a smaller one, or take a screenshot of it.")),
    "photo_too_many_pixels": (_("This photo has too many pixels."), _("Choose a smaller one.")),
    "photo_empty": (_("This file is empty."), _SEND_ANOTHER),
    "photo_not_an_image": (_("This file is not a photo."), _("Choose a JPEG, PNG or WebP file.")),
    "photo_unreadable": (_("This photo is damaged."), _SEND_ANOTHER),
    "photo_truncated": (_("A part of this photo is missing."), _("Load it down again, or choose another one.")),
    "photo_unsupported_type": (_("Photos of this type cannot be read here."), _AS_JPEG),
    "photo_heic_unsupported": (_("HEIC photos cannot be read here."), _AS_JPEG),
    "photo_gone": (_("The photo is no longer here."), _("Choose it again.")),
    "photo_missing": (_("The photo is no longer here."), _("Choose it again.")),
    "search_empty": (_("What are you looking for?"), _("Show a photo, write some words, or both.")),
    "search_not_found": (_("This search is gone."), _("It was made long ago, or elsewhere. Please search again.")),
    "search_cancelled": (_("This search was cancelled."), _("Search again whenever you like.")),
    "deadline_passed": (_("That took too long."), _("Everybody is searching just now. Please try again in a moment.")),
    "throttled": (_("You searched very often just now."), _("Wait a minute, then search again.")),
    "worker_unavailable": (_("Nobody can look at photos just now."), _SOON),
    "broker_unavailable": (_("Nobody can look at photos just now."), _SOON),
    "storage_unavailable": (_("Photos cannot be taken right now."), _SOON),
    "example_without_photo": (_("This product cannot be an example yet."), _("Its photo is still being looked at.")),
    "product_not_found": (_("This product is gone."), _("Search again without it.")),
    "candidate_not_found": (_("This product is gone."), _("Search again to see what there is now.")),
    "explanation_failed": (_("This could not be explained."), _("The search itself is not touched by that.")),
}


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer: what happened, what to do, and the stable code for whoever helps them."""

    title: str
    message: str
    code: str


def trouble_of(code: str, message: str = "") -> Trouble:
    """The trouble with this code; ``message`` is what was said of one that is not in the table."""
    if code in TROUBLES:
        title, advice = TROUBLES[code]
        return Trouble(str(title), str(advice), code)
    return Trouble(str(_("That did not work.")), message or str(_SOON), code)
