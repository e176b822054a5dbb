"""The way of one question "why?" through a worker: open and decode both photos, compare on the device, answer.

Comes after ``tasks`` unpacked the message and before ``results`` keeps the answer; the science is in
``recognition.explain``.
"""

import time
from datetime import UTC, datetime

from recognition import explain as science
from recognition.photos import Box
from recognition.text import ProductText
from workers.batching import DeadlinePassed, DeviceCall
from workers.contract import Explain, Explanation, HeatGrid, ScorePart, ScoreSplit
from workers.faults import fault_of
from workers.line import Line
from workers.metrics import stage
from workers.translate import to_text

_DECIMALS = 4  # of a heat map: what a colour can show


def run_explain(line: Line, question: Explain) -> Explanation:
    """Answer one question, unless its deadline passes before the device is free. Never raises."""
    started = time.perf_counter()
    answer = Explanation(token=question.token, worker=line.name, bundle_version=line.recogniser.bundle.version)
    try:
        answer = answer.model_copy(update=_explain(line, question))
    except DeadlinePassed:
        answer = answer.model_copy(update={"expired": True})
    except Exception as error:
        answer = answer.model_copy(update={"fault": fault_of(error)})
    return answer.model_copy(update={"seconds": time.perf_counter() - started})


def _explain(line: Line, question: Explain) -> dict:
    """The fields of the answer."""
    if datetime.now(UTC) > question.deadline:
        raise DeadlinePassed
    matched = _look(line, question.matched_key, question.matched_region)
    query = _look(line, question.key, question.region) if question.key else None
    call = DeviceCall(
        lambda: science.explain(
            line.recogniser,
            query=query,
            words=ProductText(title=question.words),
            matched=matched,
            product=to_text(question.product),
        ),
        deadline=question.deadline,
    )
    found = line.device.submit_call(call).result()
    return {
        "image": found.image,
        "fused": found.fused,
        "split": _split(found),
        "query_map": _grid(found.query_map),
        "matched_map": _grid(found.matched_map),
        "no_map": found.no_map,
    }


def _look(line: Line, key: str, region: Box | None) -> science.Look:
    """The photo as it was compared: all of it, or a part."""
    data = line.store.read(key)
    with stage("decode"):
        return science.look(line.recogniser, data, region, line.limits)


def _split(found: science.Explained) -> ScoreSplit:
    parts = {
        name: ScorePart(share=part.share, cosine=part.cosine, contribution=part.contribution)
        for name, part in found.parts.items()
    }
    return ScoreSplit(image=parts["image"], words=parts["words"], price=parts["price"])


def _grid(heat: science.HeatMap | None) -> HeatGrid | None:
    if heat is None:
        return None
    rows, columns = heat.values.shape
    values = tuple(round(float(value), _DECIMALS) for value in heat.values.flat)
    return HeatGrid(rows=rows, columns=columns, values=values, box=heat.box)
