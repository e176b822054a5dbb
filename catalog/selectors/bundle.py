"""Reads of bundles: which is live, how far the one in the shadow is, and what a comparison says.

Read by whoever sends work to the workers, by the admin's page and by ``manage.py bundle``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from catalog.models import Bundle, BundleState, ComparedPhoto, Comparison, LedgerState, Photo, Product, Purpose

AMONG = 5


def live_version() -> str:
    """The live bundle's version; empty where every worker serves what its settings name. One query."""
    return Bundle.objects.filter(state=BundleState.LIVE).values_list("version", flat=True).first() or ""


def bundle_in(state: BundleState) -> Bundle | None:
    """The live one, or the one in the shadow."""
    return Bundle.objects.filter(state=state).first()


def photos_indexed() -> QuerySet[Photo]:
    """The photos that the live bundle's index holds."""
    return Photo.objects.filter(purpose=Purpose.INDEX, state=LedgerState.DONE)


def photos_missing() -> QuerySet[Photo]:
    """Of these, those that the bundle in the shadow has not embedded."""
    return photos_indexed().exclude(shadow__state=LedgerState.DONE)


@dataclass(frozen=True)
class ShadowProgress:
    """How far the shadow is, in photos."""

    total: int
    done: int
    failed: int

    @property
    def missing(self) -> int:
        """Photos that would not be found were it promoted now."""
        return self.total - self.done

    @property
    def waiting(self) -> int:
        """Of these, the ones that a worker has yet to try."""
        return self.missing - self.failed

    @property
    def part(self) -> float:
        """0 to 1."""
        return self.done / self.total if self.total else 1.0


def shadow_progress() -> ShadowProgress:
    """Counted in one query."""
    counted = photos_indexed().aggregate(
        total=Count("pk"),
        done=Count("pk", filter=Q(shadow__state=LedgerState.DONE)),
        failed=Count("pk", filter=Q(shadow__state=LedgerState.FAILED)),
    )
    return ShadowProgress(**counted)


def shadow_failures() -> list[tuple[str, int]]:
    """The codes that photos failed with in the shadow, and how many did: the most frequent first."""
    failed = photos_missing().filter(shadow__state=LedgerState.FAILED).order_by()
    counted = failed.values_list("shadow__error_code").annotate(photos=Count("pk"))
    return [(code, photos) for code, photos in counted.order_by("-photos", "shadow__error_code")]


@dataclass(frozen=True)
class Opinion:
    """What one bundle says about a photo: its verdict and its products in order. ``product`` is the first of them."""

    verdict: str
    product_ids: tuple[UUID, ...]
    product: Product | None
    probability: float | None

    def finds(self, product_id: UUID, among: int) -> bool:
        """Whether the right product is among the first so many."""
        return product_id in self.product_ids[:among]

    @property
    def decision(self) -> tuple[str, UUID | None]:
        """What would be done: a photo is stored as this product, or a person looks at it."""
        return self.verdict, self.product_ids[0] if self.product_ids else None


@dataclass(frozen=True)
class Pair:
    """One photo, the right product, and what both bundles say."""

    photo: Photo
    product: Product
    reviewed: bool
    live: Opinion
    shadow: Opinion

    @property
    def is_changed(self) -> bool:
        """Whether another decision would be taken."""
        return self.live.decision != self.shadow.decision

    @property
    def gain(self) -> int:
        """1 where only the shadow's first product is right, -1 where only the live one's is, else 0."""
        right = self.product.pk
        return int(self.shadow.finds(right, 1)) - int(self.live.finds(right, 1))


@dataclass(frozen=True)
class Report:
    """A comparison so far; ``pairs`` are the photos that both bundles have answered, of ``asked``."""

    comparison: Comparison
    asked: int
    failed: int
    pairs: Sequence[Pair]

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to come."""
        return len(self.pairs) + self.failed >= self.asked

    @property
    def changed(self) -> list[Pair]:
        """Where another decision would be taken: first what would be lost, then what would be won."""
        return sorted((pair for pair in self.pairs if pair.is_changed), key=lambda pair: pair.gain or 2)

    @property
    def recalls(self) -> list[tuple[int, float, float]]:
        """How often (0 to 1) the right product is among the first 1 and 5: that number, live, shadow."""
        return [(among, self._recall("live", among), self._recall("shadow", among)) for among in (1, AMONG)]

    def _recall(self, which: str, among: int) -> float:
        found = [getattr(pair, which).finds(pair.product.pk, among) for pair in self.pairs]
        return sum(found) / len(found) if found else 0.0


def comparison_latest() -> Comparison | None:
    """The newest comparison of the bundles as they stand now."""
    versions = dict(Bundle.objects.filter(state__in=["live", "shadow"]).values_list("state", "version"))
    if len(versions) < len(("live", "shadow")):
        return None
    return Comparison.objects.filter(live=versions["live"], shadow=versions["shadow"]).first()


def comparison_report(comparison: Comparison) -> Report:
    """What both bundles say, photo by photo. Two queries, however many photos."""
    rows = list(comparison.photos.select_related("photo", "photo__merchant", "product").order_by("photo_id", "pk"))
    products = Product.objects.in_bulk({each["product_id"] for row in rows for each in row.candidates[:1]})
    known = {str(key): product for key, product in products.items()}
    by_photo = [list(both) for _, both in groupby(rows, key=lambda row: row.photo_id)]
    pairs = [_pair(comparison, both, known) for both in by_photo if {row.state for row in both} == {LedgerState.DONE}]
    failed = sum(any(row.state == LedgerState.FAILED for row in both) for both in by_photo)
    return Report(comparison, len(by_photo), failed, pairs)


def _pair(comparison: Comparison, both: list[ComparedPhoto], products: dict[str, Product]) -> Pair:
    said = {row.bundle_version: _opinion(row, products) for row in both}
    row = both[0]
    return Pair(row.photo, row.product, row.reviewed, said[comparison.live], said[comparison.shadow])


def _opinion(row: ComparedPhoto, products: dict[str, Product]) -> Opinion:
    first = row.candidates[0] if row.candidates else {}
    return Opinion(
        verdict=row.verdict,
        product_ids=tuple(UUID(each["product_id"]) for each in row.candidates),
        product=products.get(first.get("product_id", "")),
        probability=first.get("probability"),
    )
