"""An explanation as people and programs see it: photos with heat maps, the split of the score, a plain sentence.

Comes after ``services.explanation`` found it; before the API's shape and the admin's panel, which only place it.
"""

from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

from django.utils.text import get_text_list
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.selectors.explanation import Comparison
from catalog.web.cards import percent
from catalog.web.overlays import heat_address, job_heat_address
from catalog.web.photos import job_photo_address, photo_address
from workers.contract import Explanation, HeatGrid, ScorePart, ScoreSplit

PARTS = {"image": _("photo"), "words": _("words"), "price": _("price")}
NO_MAPS = {
    "no_photo": _("This was a search by words: there is no photo to look at."),
    "no_feature_map": _("This network keeps no map of the photo, so where it looked cannot be shown."),
}
SMALL = 0.005  # contributions that would be shown as 0.00


@dataclass(frozen=True)
class SeenPhoto:
    """One of the two photos: relative signed addresses, of the photo and with its heat over it (empty without)."""

    photo_id: UUID | None
    address: str
    medium: str
    overlay: str
    heat: HeatGrid | None


@dataclass(frozen=True)
class Slice:
    """One part of the fused similarity. On the bar it begins at ``start`` and is ``width`` wide, in per cent; it has
    no width where it takes something away."""

    name: str
    label: str
    part: ScorePart
    start: float
    width: float

    @property
    def share(self) -> str:
        """What the network let it count, for people."""
        return percent(self.part.share)


@dataclass(frozen=True)
class Explained:
    """Everything that can be said about one hit. ``query`` is ``None`` for a search by words."""

    comparison: Comparison
    found: Explanation
    query: SeenPhoto | None
    matched: SeenPhoto
    slices: tuple[Slice, ...]
    sentence: str
    no_map: str

    @property
    def probability(self) -> str:
        """Of this very product, for people; empty for a search by words."""
        chance = self.comparison.hit.candidate.probability
        return "" if chance is None else percent(chance)

    @property
    def other_bundle(self) -> bool:
        """Whether another model answered then than the one that explains now."""
        return self.found.bundle_version != self.comparison.bundle_version


def explained(comparison: Comparison, found: Explanation) -> Explained:
    """Put an explanation together with what it is about. It holds no fault: the service has raised that."""
    split, total = found.split, found.fused
    if split is None or total is None:
        raise ValueError(f"explanation {found.token} has neither a split nor a fault")
    slices = _slices(split)
    return Explained(
        comparison=comparison,
        found=found,
        query=_query(comparison, found.query_map),
        matched=_photo(comparison.matched.pk, found.matched_map),
        slices=slices,
        sentence=_sentence(slices, total),
        no_map=str(NO_MAPS.get(found.no_map, "")),
    )


def _slices(split: ScoreSplit) -> tuple[Slice, ...]:
    parts = {name: getattr(split, name) for name in PARTS}
    given = [max(part.contribution, 0.0) for part in parts.values()]
    widths = [100 * each / (sum(given) or 1.0) for each in given]
    starts = [0.0, *accumulate(widths)]
    return tuple(
        Slice(name, str(PARTS[name]), part, start, width)
        for (name, part), start, width in zip(parts.items(), starts, widths, strict=False)
    )


def _query(comparison: Comparison, heat: HeatGrid | None) -> SeenPhoto | None:
    if comparison.photo_id:
        return _photo(comparison.photo_id, heat)
    job_id = comparison.job_id
    if job_id is None:
        return None
    overlay = job_heat_address(job_id, heat) if heat else ""
    return SeenPhoto(None, job_photo_address(job_id), job_photo_address(job_id, size="medium"), overlay, heat)


def _photo(photo_id: UUID, heat: HeatGrid | None) -> SeenPhoto:
    overlay = heat_address(photo_id, heat) if heat else ""
    return SeenPhoto(photo_id, photo_address(photo_id), photo_address(photo_id, size="medium"), overlay, heat)


def _sentence(slices: tuple[Slice, ...], total: float) -> str:
    """Who gave how much, the largest first; a part that takes something away has a minus."""
    given = sorted(((each.part.contribution, each.label) for each in slices), reverse=True)
    known = [(f"{value:.2f}".replace("-", "−"), label) for value, label in given if abs(value) >= SMALL]
    if not known:
        return gettext("The similarity of %(total).2f comes from nothing in particular.") % {"total": total}
    first, rest = gettext("%(value)s comes from the %(part)s"), gettext("%(value)s from the %(part)s")
    told = [(rest if number else first) % {"value": value, "part": part} for number, (value, part) in enumerate(known)]
    listed = get_text_list(told, gettext("and"))
    total_told = f"{total:.2f}".replace("-", "−")
    return gettext("Of the similarity of %(total)s, %(parts)s.") % {"total": total_told, "parts": listed}
