"""The messages: frozen, strict, and the same after a trip over the wire."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recognition import decide
from workers.contract import (
    CHUNK_LIMIT,
    REASONS,
    AttributeFilter,
    Candidate,
    Chunk,
    ChunkResult,
    Example,
    Explain,
    Explanation,
    Fault,
    FoundItem,
    HeatGrid,
    PhotoOutcome,
    PhotoWork,
    ProductFacts,
    ScorePart,
    Scores,
    ScoreSplit,
    Search,
    SearchFilters,
    SearchResult,
    WorkerCard,
)

ID = UUID(int=7)
NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
WORK = PhotoWork(photo_id=ID, key="ab/cd/abcd", product=ProductFacts(product_id=ID, title="Tasse „Blau“", price=1.5))
CANDIDATE = Candidate(product_id=ID, photo_id=ID, scores=Scores(rank=0.5, image=0.5), probability=0.25, match="similar")
FOUND = FoundItem(
    box=(0.1, 0.2, 0.5, 0.9), cut=(0.0, 0.2, 0.7, 0.9), verdict="REVIEW", reason="weak_match", candidates=(CANDIDATE,)
)
FAULT = Fault(code="photo_truncated", message="cut off", kind="client")
PART = ScorePart(share=0.5, cosine=0.25, contribution=0.125)
MESSAGES = [
    Chunk(chunk_id=ID, merchant_id=ID, purpose="index", photos=(WORK,)),
    Chunk(
        chunk_id=ID,
        merchant_id=ID,
        purpose="recognise",
        photos=(PhotoWork(photo_id=ID, key="ab/cd/abcd", region=(0.0, 0.1, 0.5, 1.0), items="many"),),
    ),
    Search(
        job_id=ID,
        merchant_id=ID,
        deadline=NOW,
        key="ab/cd/abcd",
        words="blue",
        region=(0.0, 0.1, 0.5, 1.0),
        filters=SearchFilters(categories=("mugs",), price_max=9.5, currency="EUR", in_stock=True),
    ),
    ChunkResult(
        chunk_id=ID,
        worker="w",
        bundle_version="1",
        calibrated=True,
        purpose="recognise",
        outcomes=(PhotoOutcome(photo_id=ID, verdict="SURE", reason="clear_match", candidates=(CANDIDATE,)),),
        seconds=0.5,
    ),
    ChunkResult(
        chunk_id=ID,
        worker="w",
        bundle_version="1",
        calibrated=True,
        purpose="recognise",
        outcomes=(PhotoOutcome(photo_id=ID, items=(FOUND,)), PhotoOutcome(photo_id=ID, items=())),
        seconds=0.5,
    ),
    SearchResult(job_id=ID, worker="w", bundle_version="1", calibrated=False, fault=FAULT, box=(0.0, 0.5, 1.0, 1.0)),
    Explain(
        token="a1" * 32,
        merchant_id=ID,
        deadline=NOW,
        key="ab/cd/abcd",
        region=(0.0, 0.1, 0.5, 1.0),
        matched_key="cd/ab/cdab",
        product=ProductFacts(product_id=ID, title="Tasse „Blau“"),
    ),
    Explanation(
        token="a1" * 32,
        worker="w",
        bundle_version="1",
        image=0.5,
        fused=0.25,
        split=ScoreSplit(image=PART, words=PART, price=PART),
        query_map=HeatGrid(rows=1, columns=2, values=(0.0, 1.0), box=(0.0, 0.25, 1.0, 0.75)),
        no_map="",
    ),
    WorkerCard(
        name="w",
        bundle_version="1",
        calibrated=True,
        device="cpu",
        engine="embedded",
        points=1,
        photos_done=2,
        searches_done=3,
        started_at=NOW,
        notes=("outgrown",),
    ),
    Search(
        job_id=ID,
        merchant_id=ID,
        deadline=NOW,
        filters=SearchFilters(
            attributes=(AttributeFilter(name="colour", values=("red",)), AttributeFilter(name="ml", min=300.0))
        ),
        like_photos=(Example(key="ab/cd/abcd", region=(0.0, 0.1, 0.5, 1.0)),),
        unlike_photos=(Example(key="cd/ab/cdab"),),
        grouped=False,
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_the_same_after_its_trip(message):
    wire = json.loads(json.dumps(message.to_wire()))
    assert type(message).model_validate(wire) == message
    assert wire["version"] == 1


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("change", [{"version": 2}, {"unheard_of": 1}], ids=["version", "field"])
def test_another_version_or_an_unknown_field_is_refused(message, change):
    with pytest.raises(ValidationError) as error:
        type(message).model_validate(message.to_wire() | change)
    assert [problem["loc"] for problem in error.value.errors()] == [tuple(change)]


# Messages as the release before knew them, with every field that it had: photos had no region and no items, what was
# found had no box, and nothing was left out for being a default.
UUID_7 = "00000000-0000-0000-0000-000000000007"
STORED_CANDIDATE = f"""{{"product_id": "{UUID_7}", "photo_id": "{UUID_7}",
  "scores": {{"rank": 0.5, "image": 0.5, "fused": null, "text": null}}, "probability": 0.25, "match": "similar",
  "votes": 1}}"""
STORED = {
    "chunk": f"""{{"version": 1, "chunk_id": "{UUID_7}", "merchant_id": "{UUID_7}", "purpose": "index", "photos": [
      {{"photo_id": "{UUID_7}", "key": "ab/cd/abcd", "product": {{"product_id": "{UUID_7}", "title": "Tasse „Blau“",
       "brand": "", "category": "", "description": "", "price": 1.5, "currency": null, "in_stock": true}}}}]}}""",
    "search": f"""{{"version": 1, "job_id": "{UUID_7}", "merchant_id": "{UUID_7}", "deadline": "2026-11-01T12:30:00Z",
      "key": "ab/cd/abcd", "words": "blue", "region": [0.0, 0.1, 0.5, 1.0], "filters": {{"categories": ["mugs"],
      "brands": [], "price_min": null, "price_max": 9.5, "currency": "EUR", "in_stock": true}}, "limit": 10}}""",
    "chunk result": f"""{{"version": 1, "chunk_id": "{UUID_7}", "worker": "w", "bundle_version": "1",
      "calibrated": true, "purpose": "recognise", "seconds": 0.5, "outcomes": [{{"photo_id": "{UUID_7}", "fault": null,
      "width": null, "height": null, "verdict": "SURE", "reason": "clear_match",
      "candidates": [{STORED_CANDIDATE}]}}]}}""",
    "search result": f"""{{"version": 1, "job_id": "{UUID_7}", "worker": "w", "bundle_version": "1",
      "calibrated": false, "candidates": [], "verdict": null, "reason": "", "fault": {{"code": "photo_truncated",
      "message": "cut off", "kind": "client", "trace": ""}}, "expired": false, "seconds": 0.0}}""",
}
NO_NEWS = {
    "chunk": MESSAGES[0],
    "search": MESSAGES[2],
    "chunk result": MESSAGES[3],
    "search result": MESSAGES[5].model_copy(update={"box": None}),
}


def only_what(known, sent):
    """Whether all that was sent is in what the other side knows, with the same value."""
    if isinstance(sent, dict):
        return set(sent) <= set(known) and all(only_what(known[name], value) for name, value in sent.items())
    if isinstance(sent, list):
        return len(sent) == len(known) and all(map(only_what, known, sent))
    return sent == known


@pytest.mark.parametrize("name", STORED)
def test_a_message_of_the_release_before_is_read(name):
    assert type(NO_NEWS[name]).model_validate_json(STORED[name]) == NO_NEWS[name]


@pytest.mark.parametrize("name", STORED)
def test_a_message_without_new_wishes_is_read_by_the_release_before(name):
    """It refuses every field that it does not know, and says itself what a missing one means."""
    stored, wire = json.loads(STORED[name]), json.loads(json.dumps(NO_NEWS[name].to_wire()))
    assert only_what(stored, wire)
    assert wire["version"] == 1


def test_a_new_wish_is_told_to_whoever_can_read_it():
    (work,) = MESSAGES[1].to_wire()["photos"]
    assert work == {"photo_id": UUID_7, "key": "ab/cd/abcd", "region": [0.0, 0.1, 0.5, 1.0], "items": "many"}
    nothing = MESSAGES[4].to_wire()["outcomes"][1]
    assert nothing == {"photo_id": UUID_7, "items": []}  # no default: none at all is an answer


def test_a_message_cannot_be_changed():
    with pytest.raises(ValidationError):
        MESSAGES[0].purpose = "forget"


@pytest.mark.parametrize("count", [0, CHUNK_LIMIT + 1])
def test_a_chunk_has_one_to_32_photos(count):
    with pytest.raises(ValidationError):
        Chunk(chunk_id=ID, merchant_id=ID, purpose="index", photos=(WORK,) * count)


@pytest.mark.parametrize("limit", [0, 101])
def test_a_search_asks_for_one_to_100_products(limit):
    with pytest.raises(ValidationError):
        Search(job_id=ID, merchant_id=ID, deadline=NOW, words="x", limit=limit)


@given(
    words=st.text(max_size=50),
    region=st.none() | st.tuples(*[st.floats(0, 1)] * 4),
    price=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    limit=st.integers(1, 100),
    deadline=st.datetimes(timezones=st.just(UTC)),
)
def test_any_search_survives_the_wire(words, region, price, limit, deadline):
    search = Search(
        job_id=ID,
        merchant_id=ID,
        deadline=deadline,
        words=words,
        region=region,
        filters=SearchFilters(price_min=price),
        limit=limit,
    )
    assert Search.model_validate(json.loads(json.dumps(search.to_wire()))) == search


@pytest.mark.parametrize("token", ["", "a1", "A1" * 32, "../" * 21 + "x"])
def test_a_question_why_names_its_answer_by_a_hash(token):
    """The token becomes a part of a Redis key."""
    question = next(message for message in MESSAGES if isinstance(message, Explain))
    with pytest.raises(ValidationError):
        Explain.model_validate(question.to_wire() | {"token": token})


def test_every_reason_of_a_verdict_has_a_sentence():
    assert set(REASONS) == decide.REASONS
