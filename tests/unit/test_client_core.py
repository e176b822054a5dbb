"""The client's calls, step by step and without a network: what is tried again, when, and what comes out of bytes."""

import time

import pytest

from catalog.services.webhooks.signature import secret_new, signed_headers
from vitrine import Vitrine
from vitrine._flows import Decoder, RawEvent, followed
from vitrine._steps import Answer, Next, Request, Send, Sleep
from vitrine.errors import (
    AnswerInvalid,
    ConnectionFailed,
    Invalid,
    NotFound,
    Problem,
    ServerProblem,
    SignatureInvalid,
    TooManyRequests,
    VitrineError,
)
from vitrine.models import Synonyms
from vitrine.resources.products import Products, _batches
from vitrine.resources.synonyms import SynonymSets
from vitrine.webhooks import verify

SYNONYMS = b'{"id": "1", "words": ["a", "b"], "created_at": "2026-11-23T18:00:00Z", "new": {"in": "2027"}}'


def problem(status, code="x", **headers):
    body = b'{"code": "%s", "detail": "D.", "errors": [{"field": "f", "code": "c", "message": "M."}]}' % code.encode()
    return Answer(status, {"x-request-id": "r1"} | {k.replace("_", "-"): v for k, v in headers.items()}, body)


def played(flow, *outcomes):
    """Run a call against these outcomes: its steps, and its result or what it raised."""
    steps, told = [next(flow)], iter(outcomes)
    try:
        while True:
            if isinstance(steps[-1], Sleep):
                steps.append(flow.send(None))
                continue
            outcome = next(told)
            steps.append(flow.throw(outcome) if isinstance(outcome, Exception) else flow.send(outcome))
    except StopIteration as end:
        return steps, end.value
    except VitrineError as raised:
        return steps, raised


@pytest.fixture
def client():
    with Vitrine("vit_sk_x", "http://127.0.0.1:1", retries=2) as client:
        yield client


def create(client, **options):
    return SynonymSets.create.flow(client.synonyms, ["a", "b"], **options)


def test_one_call_has_one_idempotency_key_however_often_it_is_tried(client):
    steps, found = played(
        create(client), ConnectionFailed("cut"), problem(503, retry_after="3"), Answer(201, {}, SYNONYMS)
    )
    tries = [step.request for step in steps if isinstance(step, Send)]
    assert len(tries) == 3 and tries[0] == tries[1] == tries[2]
    assert len(tries[0].headers["Idempotency-Key"]) == 36
    assert 0.375 <= steps[1].seconds <= 0.5 and steps[3].seconds == 3
    assert (found.words, found.new) == (["a", "b"], {"in": "2027"})
    other, _ = played(create(client), Answer(201, {}, SYNONYMS))
    assert other[0].request.headers["Idempotency-Key"] != tries[0].headers["Idempotency-Key"]
    own, _ = played(create(client, idempotency_key="mine", timeout=3), Answer(201, {}, SYNONYMS))
    assert (own[0].request.headers["Idempotency-Key"], own[0].request.timeout) == ("mine", 3)


@pytest.mark.parametrize(
    ("answer", "tries", "kind"),
    [
        (problem(422, "invalid"), 1, Invalid),
        (problem(404), 1, NotFound),
        (problem(409, "idempotency_key_reused"), 1, Problem),
        (problem(409, "idempotency_in_progress", retry_after="1"), 3, Problem),
        (problem(429, "throttled", retry_after="2"), 3, TooManyRequests),
        (problem(429, "throttled", retry_after="61"), 1, TooManyRequests),
        (problem(500), 3, ServerProblem),
        (Answer(502, {}, b"<h1>Bad gateway</h1>"), 3, ServerProblem),
        (Answer(201, {}, b"<h1>Welcome to our hotel</h1>"), 1, AnswerInvalid),
        (ConnectionFailed("cut"), 3, ConnectionFailed),
    ],
)
def test_what_is_tried_again(client, answer, tries, kind):
    steps, raised = played(create(client), *[answer] * tries)
    assert sum(isinstance(step, Send) for step in steps) == tries
    assert type(raised) is kind or (kind is Problem and isinstance(raised, Problem))


def test_a_problem_says_what_vitrine_said(client):
    _, raised = played(create(client), problem(422, "invalid"))
    assert (raised.status, raised.code, raised.detail, raised.request_id) == (422, "invalid", "D.", "r1")
    assert [(each.field, each.code, each.message) for each in raised.errors] == [("f", "c", "M.")]
    assert str(raised) == "422 invalid: D. [f: M.]"


def test_what_a_lost_answer_deleted_is_deleted(client):
    def delete():
        return Products.delete.flow(client.products, "1")

    assert played(delete(), ConnectionFailed("cut"), problem(404, "not_found"))[1] is None
    assert type(played(delete(), problem(404, "not_found"))[1]) is NotFound


def test_events_out_of_bytes_cut_anywhere():
    text = 'retry: 250\n\nid: 1\nevent: job.progress\ndata: {"a": "ü: \\n"}\n\n'
    text += ": still here\n\nid: end\nevent: x\ndata: {}\n\n"
    for size in (1, 7, 1000):
        decoder, data = Decoder(), text.encode()
        events = [event for at in range(0, len(data), size) for event in decoder.feed(data[at : at + size])]
        assert events == [RawEvent("1", "job.progress", '{"a": "ü: \\n"}'), RawEvent("end", "x", "{}")]
        assert decoder.retry == 0.25


def test_a_stream_that_is_cut_off_goes_on_after_the_last_event(client):
    def event(ident, name):
        return b'id: %s\nevent: %s\ndata: {"id": "1", "words": [], "created_at": "2026-11-23T18:00:00Z"}\n\n' % (
            ident.encode(), name.encode()
        )  # fmt: skip

    flow = followed(lambda name: Synonyms, Request("GET", "x/events"), 2)
    opened = next(flow)
    assert opened.request.headers == {} and flow.send(Answer(200, {})) == Next()
    assert flow.send(b"retry: 100\n\n" + event("7", "x.progress")).value.name == "x.progress"
    assert next(flow) == Next()
    assert flow.throw(ConnectionFailed("cut")) == Sleep(0.1)
    assert next(flow).request.headers == {"Last-Event-ID": "7"}
    assert flow.send(Answer(200, {})) == Next()
    assert flow.send(None) == Sleep(2.0)  # it ended without the last event: come again
    assert next(flow).request.headers == {"Last-Event-ID": "7"}
    assert flow.send(Answer(200, {})) == Next()
    last = flow.send(event("end", "x.finished"))
    assert (last.value.id, last.value.data.id) == ("end", "1")
    with pytest.raises(StopIteration):
        next(flow)


def test_a_bulk_call_is_cut_into_batches():
    assert [len(batch) for batch in _batches({"sku": str(n)} for n in range(2001))] == [1000, 1000, 1]
    large = list(_batches({"sku": str(n), "title": "x" * 400_000} for n in range(5)))
    assert [len(batch) for batch in large] == [2, 2, 1]
    with pytest.raises(ValueError, match="'A'"):
        list(_batches([{"sku": "A", "title": "x" * 1_000_000}]))


def test_a_webhook_is_believed_when_it_is_signed():
    secret, now = secret_new(), int(time.time())
    body = '{"type":"vitrine.test","timestamp":"2026-11-23T18:00:00Z","data":{"message":"你好"}}'.encode()

    def headers(*keys, at=now):
        signed = signed_headers(keys=keys, message_id="0b0e", timestamp=at, body=body)
        return {name.title(): value for name, value in signed.items()}

    event = verify(secret, headers(secret_new(), secret), body)
    assert (event.id, event.type, event.data) == ("0b0e", "vitrine.test", {"message": "你好"})
    for wrong in [
        lambda: verify(secret, headers(secret_new()), body),
        lambda: verify(secret, headers(secret), body + b" "),
        lambda: verify(secret, headers(secret, at=now - 301), body),
        lambda: verify(secret, headers(secret) | {"Webhook-Id": "0b0f"}, body),
        lambda: verify(secret, {}, body),
        lambda: verify("whsec_?", headers(secret), body),
    ]:
        with pytest.raises(SignatureInvalid):
            wrong()
