"""The photo of a decided item as a reference of its product: made by a decision, and taken back when it is undone.

Called by the review verbs inside their transaction, with the product locked; before ``dispatch``, which brings the
index up to date within seconds.
"""

from typing import Any

from catalog.models import Decision, Item, Photo, PhotoOrigin, Product, Purpose
from catalog.services.photo import photo_cut_out, photo_remove, photo_take_back, photos_owe

ADDED, HELD, GONE = "added", "held", "gone"  # what became of the reference; kept in the decision
TURNED, CUT, TAKEN_BACK = "turned", "cut", "taken_back"  # how it was added, which says how it is taken back
KEPT = ("purpose", "origin", "region", "bundle_version")


def reference_make(*, item: Item, product: Product) -> tuple[dict[str, Any], dict[str, Any]]:
    """Owe the photo, or the part of it that was recognised, to the index as one of the product's.

    The very same bytes are a reference of a product only once; a row that failed, or is about to be forgotten, is
    taken back for it. A photo of many things stays what it is: each of them that a reviewer confirms becomes a photo
    of its own, with the same bytes and its region. Returns what to keep of before and after.
    """
    photo = item.photo
    if photo is None:
        return {}, {"reference": GONE}
    part = {"origin": PhotoOrigin.REVIEW, "region": item.compared, "bundle_version": ""}
    was = Photo.objects.filter(product=product, sha256=photo.sha256).values_list("purpose", flat=True).first()
    held, owed = photo_take_back(product=product, sha256=photo.sha256, retry=True, **part)
    if held and held != photo:
        if not owed:
            return {}, {"reference": HELD}
        return {"reference_purpose": was}, _added(held, TAKEN_BACK)
    if item.is_one_of_many:
        return {}, _added(photo_cut_out(photo=photo, region=item.compared, product=product), CUT)
    before = {"photo": {name: getattr(photo, name) for name in KEPT}}
    photos_owe(Photo.objects.filter(pk=photo.pk), product=product, purpose=Purpose.INDEX, **part)
    return before, _added(photo, TURNED)


def reference_take_back(*, decision: Decision) -> None:
    """Undo what ``reference_make`` did; the index forgets the photo within seconds, its row is what it was before."""
    how = decision.after.get("how")
    photo = Photo.objects.select_for_update().filter(pk=decision.after.get("photo")).first() if how else None
    if photo is None:
        return
    if how == TURNED:
        before = decision.before["photo"] | {"purpose": Purpose.WITHDRAW}
        photos_owe(Photo.objects.filter(pk=photo.pk), product=None, **before)
    elif how == CUT or decision.before.get("reference_purpose") == Purpose.FORGET:
        photo_remove(photo=photo)


def _added(photo: Photo, how: str) -> dict[str, Any]:
    return {"reference": ADDED, "photo": str(photo.pk), "how": how}
