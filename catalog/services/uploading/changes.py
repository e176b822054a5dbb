"""What a batch of rows changes in the catalogue: first judged in memory, then written in a few statements.

Between ``catalogue`` (which calls it, inside the transaction of the batch) and the tables. The products of the batch
are locked, so what is judged is what is written.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from django.utils import timezone

from catalog.models import LedgerState, Photo, PhotoOrigin, Product, Purpose, RowVerdict, Upload, UploadRow
from catalog.services.photo import NAME_LENGTH, photos_owe
from catalog.services.problems import Problem, problem
from catalog.services.product_values import FIELDS, INDEXED, apply_values, values_lacking
from catalog.services.uploading.manifest import Row, merged_attributes
from catalog.services.uploading.photos import Outcome, Taken, photo_row

MISSING = "photo_missing_in_archive"


@dataclass
class Judgement:
    """What becomes of one row, and which product it is about (``None`` for a refused row)."""

    verdict: RowVerdict
    product: Product | None = None
    problems: list[Problem] = field(default_factory=list)


class Changes:
    """The changes of one batch."""

    def __init__(self, merchant_id: UUID, rows: Sequence[Row], *, upload: Upload | None) -> None:
        self._merchant_id = merchant_id
        self._upload = upload
        skus = {row.sku for row in rows if row.sku}
        locked = Product.objects.select_for_update().filter(merchant_id=merchant_id, sku__in=skus)
        self._products = {product.sku: product for product in locked.order_by("pk")}
        self._photos: dict[UUID, list[Photo]] = defaultdict(list)
        # Locked as well: one that a worker has just forgotten is waited for, and then not taken for one that is there.
        held = Photo.objects.select_for_update().filter(product__in=self._products.values()).order_by("pk")
        for photo in sorted(held, key=lambda photo: (photo.position, photo.created_at)):
            self._photos[cast(UUID, photo.product_id)].append(photo)
        self._new_products: list[Product] = []
        self._changed_products: list[Product] = []
        self._changed_fields: set[str] = set()
        self._new_photos: list[tuple[int, Photo]] = []
        self._owed_photos: dict[UUID, tuple[int, Photo]] = {}
        self._moved_photos: dict[UUID, Photo] = {}
        self._dropped_photos: set[UUID] = set()

    def judge(self, row: Row, taken: Mapping[str, Outcome]) -> Judgement:
        """Compare a row with the catalogue and remember what it changes."""
        held = self._products.get(row.sku)
        if row.refused:
            return Judgement(RowVerdict.REFUSED, None, self._photo_problems(row, held, taken))
        if row.is_partial and (lacking := values_lacking(row.values, held)):
            return Judgement(RowVerdict.REFUSED, None, [*lacking, *self._photo_problems(row, held, taken)])
        if held is None or held.deleted_at:
            product = self._made(row, held)
            return Judgement(RowVerdict.CREATED, product, self._judge_photos(row, product, taken)[1])
        values = dict(row.values)
        if "attributes" in values and not row.whole_attributes:
            values["attributes"] = merged_attributes(held.attributes, values["attributes"])
        changed = apply_values(held, values)
        if changed:
            self._changed_products.append(held)
            self._changed_fields |= changed
        photos_changed, problems = self._judge_photos(row, held, taken)
        if changed & INDEXED:
            self._owe_all(row, held)
        verdict = RowVerdict.UPDATED if changed or photos_changed else RowVerdict.UNCHANGED
        return Judgement(verdict, held, problems)

    def _made(self, row: Row, held: Product | None) -> Product:
        """A new product, or a deleted one that comes back with exactly the row's values."""
        given = row.values.get("attributes", {})
        values = dict(row.values, attributes=given if row.whole_attributes else merged_attributes({}, given))
        product = Product(merchant_id=self._merchant_id, **values)
        if held is None:
            self._new_products.append(product)
            return product
        product.pk, product.created_at = held.pk, held.created_at
        self._changed_products.append(product)
        self._changed_fields |= {*FIELDS, "deleted_at"}
        return product

    def _photo_problems(self, row: Row, held: Product | None, taken: Mapping[str, Outcome]) -> list[Problem]:
        """A refused row still says which of its photos cannot be used."""
        names = self._held_names(held) if held else {}
        outcomes = ((name, taken.get(name)) for name in row.images or ())
        return [
            outcome
            for name, outcome in outcomes
            if isinstance(outcome, dict) and not (outcome["code"] == MISSING and _name(name) in names)
        ]

    def _judge_photos(self, row: Row, product: Product, taken: Mapping[str, Outcome]) -> tuple[bool, list[Problem]]:
        """Match the row's photos with the product's: whether any comes, goes or moves, and what is wrong."""
        if row.images is None:
            return False, []
        problems: list[Problem] = []
        listed: list[Photo] = []
        by_bytes = {photo.sha256: photo for photo in self._photos[product.pk]}
        by_name = self._held_names(product)
        changed = False
        for name in row.images:
            outcome = taken[name]
            photo = by_bytes.get(outcome.sha256) if isinstance(outcome, Taken) else by_name.get(_name(name))
            if isinstance(outcome, Taken) and photo is None:
                photo = by_bytes[outcome.sha256] = self._new_photo(row, product, outcome, name)
                changed = True
            elif photo and photo.purpose == Purpose.FORGET:
                self._owed_photos[photo.pk] = (row.number, photo)
                changed = True
            elif photo and photo.state == LedgerState.FAILED:
                problems.append(problem(photo.error_code, photo.error_message, field="images", photo=name))
            # A photo that the catalogue holds under this name need not be sent again.
            if isinstance(outcome, dict) and not (photo and outcome["code"] == MISSING):
                problems.append(outcome)
            if photo and photo not in listed:
                listed.append(photo)
        moved = self._move(listed)
        dropped = self._drop(product, listed)
        return changed or moved or dropped, problems

    def _held_names(self, product: Product) -> dict[str, Photo]:
        return {_name(photo.name): photo for photo in self._photos[product.pk] if photo.purpose == Purpose.INDEX}

    def _new_photo(self, row: Row, product: Product, taken: Taken, name: str) -> Photo:
        photo = photo_row(taken, name=name, merchant_id=self._merchant_id, product=product, upload=self._upload)
        self._new_photos.append((row.number, photo))
        return photo

    def _move(self, listed: Sequence[Photo]) -> bool:
        """Number the listed photos in their order; whether one that was there before moved."""
        moved = [(place, photo) for place, photo in enumerate(listed) if photo.position != place]
        for place, photo in moved:
            photo.position = place
            if not photo._state.adding:
                self._moved_photos[photo.pk] = photo
        return any(not photo._state.adding for _, photo in moved)

    def _drop(self, product: Product, listed: Sequence[Photo]) -> bool:
        """Photos of earlier uploads that the row does not list any more are to be forgotten."""
        dropped = {
            photo.pk
            for photo in self._photos[product.pk]
            if photo.origin == PhotoOrigin.UPLOAD and photo.purpose == Purpose.INDEX and photo not in listed
        }
        self._dropped_photos |= dropped
        return bool(dropped)

    def _owe_all(self, row: Row, product: Product) -> None:
        """The product's text or price changed: its photos are fused anew. Failed ones stay failed."""
        for photo in self._photos[product.pk]:
            again = photo.purpose == Purpose.INDEX and photo.state != LedgerState.FAILED
            if again and photo.pk not in self._dropped_photos:
                self._owed_photos[photo.pk] = (row.number, photo)

    def write_products(self) -> None:
        """Write the products, before the rows that point at them."""
        Product.objects.bulk_create(self._new_products)
        if self._changed_products:
            now = timezone.now()
            for product in self._changed_products:
                product.updated_at = now
            Product.objects.bulk_update(self._changed_products, sorted({*self._changed_fields, "updated_at"}))

    def write_photos(self, report: Mapping[int, UploadRow]) -> None:
        """Write the photos, after the rows they belong to; of rows that are not in the report they keep theirs."""
        for number, photo in (*self._new_photos, *self._owed_photos.values()):
            if number in report:
                photo.upload_row = report[number]
        Photo.objects.bulk_create([photo for _, photo in self._new_photos])
        touched = self._moved_photos | {pk: photo for pk, (_, photo) in self._owed_photos.items()}
        if touched:
            Photo.objects.bulk_update(touched.values(), ["position", "upload_row"])
        self._owe(self._owed_photos, Purpose.INDEX)
        self._owe(self._dropped_photos, Purpose.FORGET)

    def _owe(self, photos: Mapping[UUID, object] | set[UUID], purpose: Purpose) -> None:
        if photos:
            followed = {"upload": self._upload} if self._upload else {}
            photos_owe(Photo.objects.filter(pk__in=photos), purpose=purpose, **followed)


def _name(name: str) -> str:
    """File names are compared as they are stored, in any case."""
    return name[-NAME_LENGTH:].casefold()
