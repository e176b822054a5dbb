"""The way of one question "what does the index hold?" through a worker: ask the engine, lay the page down.

Comes after ``tasks`` unpacked the message and before ``results`` keeps the answer. The device takes no part in it.
"""

from dataclasses import asdict

from recognition.index import StoredPoint
from workers.contract import HeldPoint, Inventory, InventoryPage
from workers.faults import fault_of
from workers.line import Line


def run_inventory(line: Line, question: Inventory) -> InventoryPage:
    """Answer one question. Never raises."""
    page = InventoryPage(token=question.token, worker=line.name, bundle_version=line.recogniser.bundle.version)
    try:
        line.index.remove(question.remove)
        if question.photo_ids:
            points, following = line.index.stored([str(each) for each in question.photo_ids]), None
        else:
            points, following = line.index.points(question.after or None, question.limit)
        return page.model_copy(update={"points": tuple(map(_held, points)), "following": following or ""})
    except Exception as error:
        return page.model_copy(update={"fault": fault_of(error)})


def _held(point: StoredPoint) -> HeldPoint:
    payload = asdict(point.payload)
    payload.pop("attributes")  # the index filters by them and does not give them back
    return HeldPoint(point_id=point.point_id, misplaced=point.misplaced, **payload)
