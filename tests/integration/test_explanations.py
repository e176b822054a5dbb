"""Explanations with a real Redis and no worker: who may ask, how long is waited, what is said when nobody answers.

What a worker would keep is kept here by hand; a real one explains in test_explanation_line.py.
"""

import io
import json
import threading
import time

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from jsonschema import Draft202012Validator, FormatChecker
from PIL import Image

from catalog.models import Membership, Role
from catalog.selectors.explanation import item_comparison
from catalog.services.explanation import _question
from catalog.services.photo import photos_delete
from catalog.services.result import search_result_store
from catalog.services.review import item_accept
from catalog.web.explained import explained
from catalog.web.overlays import draw, heat_address, pack, unpack
from tests.api_support import API, candidate, jpeg, problem, search_result
from workers import client, explanations
from workers.contract import EXPLANATION_KEY_PREFIX, SEARCH_QUEUE, Explanation, Fault, HeatGrid, ScorePart, ScoreSplit

BUNDLE = "test-1"
HEAT = HeatGrid(rows=2, columns=2, values=(1.0, 0.0, 0.0, 0.0), box=(0.0, 0.25, 1.0, 0.75))
SPLIT = ScoreSplit(
    image=ScorePart(share=0.5, cosine=0.8, contribution=0.5),
    words=ScorePart(share=0.4, cosine=0.25, contribution=0.125),
    price=ScorePart(share=0.1, cosine=-0.2, contribution=-0.025),
)


@pytest.fixture
def item(shop):
    return shop.item(shop.product("MUG-1"), shop.product("CUP-1"), reason="weak_match", probability=0.87)


def address(item, product=None):
    return f"{API}/review-items/{item.pk}/explanation" + (f"?product_id={product}" if product else "")


def token_of(item):
    return _question(item_comparison(item=item), [BUNDLE]).token


def answer(token, **changes):
    """What a worker keeps."""
    values = {"image": 0.8, "fused": 0.6, "split": SPLIT, "query_map": HEAT, "matched_map": HEAT}
    return Explanation(token=token, worker="worker-1", bundle_version=BUNDLE, **values | changes)


def keep(redis_server, explanation):
    with redis_server.client() as server:
        explanations.keep(server, explanation)


def fault(item, code, kind):
    return answer(token_of(item), split=None, fused=None, fault=Fault(code=code, message="It is so.", kind=kind))


def test_an_explanation_says_all(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    keep(redis_server, answer(token_of(item)))
    body = shop.client.get(address(item)).json()
    first = item.candidates[0]
    assert body["product"]["sku"] == "MUG-1"
    assert (body["verdict"], body["probability"], body["match"]) == ("REVIEW", 0.87, "same")
    assert body["reason"] == "The first product may be right, but not surely: a person should look."
    assert (
        body["sentence"]
        == "Of the similarity of 0.60, 0.50 comes from the photo, 0.12 from the words and −0.03 from the price."
    )
    assert body["similarity"] == {"image": 0.8, "fused": 0.6, "parts": SPLIT.model_dump()}
    assert (body["query"]["photo_id"], body["matched"]["photo_id"]) == (str(item.photo_id), first["photo_id"])
    for seen in (body["query"], body["matched"]):
        assert seen["heat_map"] == {"rows": 2, "columns": 2, "values": [1, 0, 0, 0], "box": [0.0, 0.25, 1.0, 0.75]}
        assert seen["photo_url"].startswith(f"http://testserver/photos/{seen['photo_id']}/full?")
        assert seen["overlay_url"].startswith(f"http://testserver/photos/{seen['photo_id']}/heat?map=")
    assert (body["no_heat_map"], body["bundle_version"]) == ("", BUNDLE)
    with redis_server.client() as server:
        assert 3500 < server.ttl(EXPLANATION_KEY_PREFIX + token_of(item)) <= 3600


@pytest.mark.parametrize("by_words", [False, True], ids=["photo", "words"])
def test_an_explanation_is_what_the_document_says(shop, item, redis_server, by_words):
    less = {"image": None, "query_map": None, "matched_map": None, "no_map": "no_photo"} if by_words else {}
    keep(redis_server, answer(token_of(item), **less))
    schema = shop.client.get("/api/schema?format=json").json()
    described = schema["paths"][f"{API}/review-items/{{id}}/explanation"]["get"]["responses"]
    assert {"200", "202", "401", "403", "404", "410", "422", "429", "500", "503"} == set(described)
    assert set(described["202"]["headers"]) == {
        *("Location", "Retry-After", "X-Request-ID", "RateLimit-Policy", "RateLimit"),
    }
    shape = described["200"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**shape, "components": schema["components"]}, format_checker=FormatChecker())
    assert [error.message for error in validator.iter_errors(shop.client.get(address(item)).json())] == []


def test_nobody_answers_in_time(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    for _ in range(2):
        response = shop.client.get(address(item), headers={"Prefer": "wait=0"})
        assert (response.status_code, response.json()) == (202, {"state": "pending"})
        assert response.headers["Location"] == f"http://testserver{address(item)}"
        assert (response.headers["Retry-After"], response.headers["Preference-Applied"]) == ("2", "wait=0")
    with redis_server.client() as server:
        assert server.llen(SEARCH_QUEUE) == 1  # the same question is sent once


def test_who_waits_is_told_at_once(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    late = threading.Timer(0.5, keep, (redis_server, answer(token_of(item))))
    late.start()
    started = time.monotonic()
    response = shop.client.get(address(item), headers={"Prefer": "wait=20"})
    late.join()
    assert (response.status_code, response.headers["Preference-Applied"]) == (200, "wait=20")
    assert time.monotonic() - started < 18


def test_no_worker_is_running(shop, item, redis_server):
    response = shop.client.get(address(item))
    problem(response, 503, "worker_unavailable")
    assert response.headers["Retry-After"] == "5"
    with redis_server.client() as server:
        assert server.llen(SEARCH_QUEUE) == 0


def test_what_is_known_is_told_without_a_worker(shop, item, redis_server):
    keep(redis_server, answer(token_of(item)))
    assert shop.client.get(address(item)).status_code == 200


def test_redis_is_away(shop, item):
    response = shop.client.get(address(item))
    problem(response, 503, "broker_unavailable")
    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("code", "kind", "status", "told"),
    [
        ("photo_missing", "bug", 410, "photo_gone"),
        ("photo_truncated", "client", 422, "photo_truncated"),
        ("storage_unavailable", "retry", 503, "storage_unavailable"),
        ("internal_error", "bug", 500, "explanation_failed"),
    ],
)
def test_a_fault_is_told_by_whose_it_is_and_soon_forgotten(
    shop, item, redis_server, live_worker, code, kind, status, told
):
    live_worker(BUNDLE)
    keep(redis_server, fault(item, code, kind))
    response = shop.client.get(address(item))
    problem(response, status, told)
    assert ("Retry-After" in response.headers) == (status == 503)
    with redis_server.client() as server:
        assert 0 < server.ttl(EXPLANATION_KEY_PREFIX + token_of(item)) <= 10


def test_the_deadline_passed(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    keep(redis_server, answer(token_of(item), split=None, fused=None, expired=True))
    problem(shop.client.get(address(item)), 503, "deadline_passed")


def test_a_fault_lets_the_question_be_sent_again(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    shop.client.get(address(item), headers={"Prefer": "wait=0"})
    keep(redis_server, fault(item, "storage_unavailable", "retry"))
    with redis_server.client() as server:
        assert 0 < server.ttl(claim_of(item)) <= 10
        ten_seconds_later(server, item)
        shop.client.get(address(item), headers={"Prefer": "wait=0"})
        assert server.llen(SEARCH_QUEUE) == 2


def claim_of(item):
    return f"{EXPLANATION_KEY_PREFIX}{token_of(item)}:asked"


def ten_seconds_later(server, item):
    """Faults, and the claims of questions that ended, are forgotten by then."""
    server.delete(EXPLANATION_KEY_PREFIX + token_of(item), claim_of(item))


def test_a_question_that_nobody_answers_ends_with_its_deadline(shop, item, redis_server, live_worker, setting):
    """The worker is alive, but lost the message or cannot read it."""
    setting("VITRINE_SEARCH_DEADLINE_SECONDS", "1")
    live_worker(BUNDLE)
    assert shop.client.get(address(item), headers={"Prefer": "wait=0"}).status_code == 202
    started = time.monotonic()
    response = shop.client.get(address(item), headers={"Prefer": "wait=20"})
    assert time.monotonic() - started < 18  # the deadline ends the wait
    problem(response, 503, "deadline_passed")
    assert response.headers["Retry-After"] == "5"
    problem(shop.client.get(address(item), headers={"Prefer": "wait=0"}), 503, "deadline_passed")
    with redis_server.client() as server:
        assert server.llen(SEARCH_QUEUE) == 1  # it was not sent again
        ten_seconds_later(server, item)
        assert shop.client.get(address(item), headers={"Prefer": "wait=0"}).status_code == 202
        assert server.llen(SEARCH_QUEUE) == 2


def test_an_answer_of_another_release_is_none(shop, item, redis_server, live_worker, setting):
    """It is kept for an hour; the question must not be sent anew at every poll because of it."""
    setting("VITRINE_SEARCH_DEADLINE_SECONDS", "1")
    live_worker(BUNDLE)
    assert shop.client.get(address(item), headers={"Prefer": "wait=0"}).status_code == 202
    keep(redis_server, answer(token_of(item)))
    key = EXPLANATION_KEY_PREFIX + token_of(item)
    with redis_server.client() as server:
        server.set(key, json.dumps(json.loads(server.get(key)) | {"unheard_of": 1}))
        problem(shop.client.get(address(item), headers={"Prefer": "wait=20"}), 503, "deadline_passed")
        assert server.llen(SEARCH_QUEUE) == 1


def test_an_answer_that_came_late_is_an_answer(shop, item, redis_server, live_worker, setting):
    setting("VITRINE_SEARCH_DEADLINE_SECONDS", "0.2")
    live_worker(BUNDLE)
    problem(shop.client.get(address(item), headers={"Prefer": "wait=5"}), 503, "deadline_passed")
    keep(redis_server, answer(token_of(item)))
    assert shop.client.get(address(item)).status_code == 200


def test_another_product_text_is_another_question(shop, item, redis_server):
    before, product = token_of(item), item.best_product
    assert token_of(item) == before
    product.title = "Another mug"
    product.save()
    assert token_of(item) != before


def test_others_see_nothing(shop, other, item, redis_server, live_worker):
    live_worker(BUNDLE)
    keep(redis_server, answer(token_of(item)))
    problem(other.client.get(address(item)), 404, "not_found")
    problem(shop.public.get(address(item)), 403, "permission_denied")


def test_only_what_was_found_is_explained(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    problem(shop.client.get(address(item, shop.product("LAMP-1").pk)), 404, "candidate_not_found")
    problem(shop.client.get(address(shop.item())), 404, "candidate_not_found")
    problem(shop.client.get(address(item, "x")), 422, "invalid")
    waiting = shop.search()
    hit = f"{API}/search-jobs/{waiting.pk}/hits/{item.best_product_id}/explanation"
    problem(shop.client.get(hit), 404, "candidate_not_found")


def test_a_deleted_photo_cannot_be_looked_at(shop, item, redis_server, live_worker):
    live_worker(BUNDLE)
    item_accept(item=item, reviewer=None, reviewer_name="rita")  # an open item goes with its photo
    photos_delete(photos=[item.photo])
    problem(shop.client.get(address(item)), 410, "photo_gone")


def test_a_search_by_words_has_no_heat(shop, redis_server, live_worker):
    live_worker(BUNDLE)
    product, job = shop.product(), shop.search(words="blue mug")
    search_result_store(
        result=search_result(job, candidate(product, shop.photo(product), image=None, probability=None))
    )
    hit = f"{API}/search-jobs/{job.pk}/hits/{product.pk}/explanation"
    assert shop.client.get(hit, headers={"Prefer": "wait=0"}).status_code == 202
    with redis_server.client() as server:
        (key,) = server.scan_iter(match=f"{EXPLANATION_KEY_PREFIX}*:asked")
    token = key.decode().removeprefix(EXPLANATION_KEY_PREFIX).removesuffix(":asked")
    keep(redis_server, answer(token, image=None, query_map=None, matched_map=None, no_map="no_photo"))
    body = shop.client.get(hit).json()
    assert (body["query"], body["probability"], body["matched"]["heat_map"], body["matched"]["overlay_url"]) == (
        None,
    ) * 4
    assert body["no_heat_map"] == "This was a search by words: there is no photo to look at."
    assert body["similarity"]["image"] is None


@pytest.mark.parametrize(
    ("contributions", "sentence", "widths"),
    [
        ((0.45, 0.0, 0.0), "Of the similarity of 0.45, 0.45 comes from the photo.", [100, 0, 0]),
        ((0.1, 0.3, 0.0), "Of the similarity of 0.40, 0.30 comes from the words and 0.10 from the photo.", [25, 75, 0]),
        ((0.0, 0.0, 0.0), "The similarity of 0.00 comes from nothing in particular.", [0, 0, 0]),
    ],
)
def test_the_split_in_words_and_as_a_bar(item, contributions, sentence, widths):
    parts = [ScorePart(share=0.3, cosine=0.5, contribution=each) for each in contributions]
    split = ScoreSplit(image=parts[0], words=parts[1], price=parts[2])
    shown = explained(item_comparison(item=item), answer("0" * 64, split=split, fused=sum(contributions)))
    assert shown.sentence == sentence
    assert [each.width for each in shown.slices] == pytest.approx(widths)
    assert [each.start for each in shown.slices] == pytest.approx([0, widths[0], widths[0] + widths[1]])


# The panel in the admin


@pytest.fixture
def rita(db, client):
    client.force_login(User.objects.create(username="rita", is_staff=True, is_superuser=True))
    return client


def panel(item):
    return reverse("admin:catalog_item_explanation", args=[item.pk, item.best_product_id])


def test_the_page_offers_the_panel_and_waits_for_nobody(rita, item):
    html = rita.get(reverse("admin:catalog_item_change", args=[item.pk])).content.decode()
    assert f'hx-get="{panel(item)}"' in html
    assert html.count("Where the network looked") == 2


def test_the_panel_shows_heat_and_split(rita, item, redis_server, live_worker):
    live_worker(BUNDLE)
    keep(redis_server, answer(token_of(item)))
    html = rita.get(panel(item)).content.decode()
    assert "Of the similarity of 0.60, 0.50 comes from the photo" in html
    assert f"/photos/{item.photo_id}/heat?map=" in html
    assert html.count("<rect") == 2  # a part that takes something away has no width
    assert "87 % probable" in html


def test_the_panel_asks_again_while_a_worker_is_at_it(rita, item, redis_server, live_worker, monkeypatch):
    live_worker(BUNDLE)
    monkeypatch.setattr("catalog.admin.explanations.WAIT_SECONDS", 0)
    html = rita.get(panel(item)).content.decode()
    assert f'hx-get="{panel(item)}"' in html
    assert 'hx-trigger="load delay:1s"' in html


def test_the_panel_stops_asking_when_nobody_answered(rita, item, redis_server, live_worker, setting):
    setting("VITRINE_SEARCH_DEADLINE_SECONDS", "0.5")
    live_worker(BUNDLE)
    html = rita.get(panel(item)).content.decode()
    assert "No worker answered in time." in html
    assert "deadline_passed" in html
    assert "hx-trigger" not in html
    assert "Try again" in html  # by a person


def test_the_panel_says_what_is_in_the_way(rita, item, redis_server):
    html = rita.get(panel(item)).content.decode()
    assert "No worker is running" in html
    assert "Try again" in html
    item_accept(item=item, reviewer=None, reviewer_name="rita")  # an open item goes with its photo
    photos_delete(photos=[item.photo])
    html = rita.get(panel(item)).content.decode()
    assert "photo_gone" in html
    assert "Try again" not in html


def test_the_panel_of_a_search(rita, shop, redis_server):
    product, job = shop.product(), shop.search(photo=jpeg())
    search_result_store(result=search_result(job, candidate(product, shop.photo(product))))
    page = rita.get(reverse("admin:catalog_job_change", args=[job.pk])).content.decode()
    place = reverse("admin:catalog_job_explanation", args=[job.pk, product.pk])
    assert f'hx-get="{place}"' in page
    assert "No worker is running" in rita.get(place).content.decode()


def test_members_of_another_merchant_get_no_panel(client, shop, other, item):
    person = User.objects.create(username="olaf", is_staff=True)
    Membership.objects.create(user=person, merchant=other.merchant, role=Role.MANAGER)
    client.force_login(person)
    assert client.get(panel(item)).status_code == 404
    job = shop.search()
    assert client.get(reverse("admin:catalog_job_explanation", args=[job.pk, item.best_product_id])).status_code == 404


# The pictures


@pytest.fixture
def photo(shop):
    """A photo whose bytes are stored."""
    photo = shop.photo()
    stored = client.photo_store().write(jpeg((120, 120, 120), side=200))
    photo.key, photo.sha256 = stored.key, stored.sha256
    photo.save()
    return photo


def test_an_overlay_is_a_picture_that_is_cached(client, photo):
    place = heat_address(photo.pk, HEAT)
    response = client.get(place)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/webp")
    assert response.headers["Cache-Control"] == "private, max-age=3600"
    assert Image.open(io.BytesIO(response.content)).size == (200, 200)
    again = client.get(place, headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_an_overlay_is_for_those_who_hold_its_address(client, photo):
    place = heat_address(photo.pk, HEAT)
    colder = HEAT.model_copy(update={"values": (0.0,) * 4})
    assert client.get(place.replace(pack(HEAT), pack(colder))).status_code == 403
    assert client.get(place.partition("?")[0]).status_code == 403
    assert client.get(place.replace("sign=", "sign=x")).status_code == 403


def test_an_overlay_of_a_deleted_photo_is_a_placeholder(client, shop, photo):
    place = heat_address(photo.pk, HEAT)
    photos_delete(photos=[photo])
    response = client.get(place)
    assert (response.status_code, response.headers["Cache-Control"]) == (404, "private, no-store")


def test_a_map_survives_its_address():
    grid = HeatGrid(rows=3, columns=2, values=(0.0, 1.0, 0.5, 0.25, 0.125, 1.0), box=(0.1, 0.0, 0.9, 1.0))
    back = unpack(pack(grid))
    assert (back.rows, back.columns) == (3, 2)
    assert back.values == pytest.approx(grid.values, abs=1 / 255)
    assert back.box == pytest.approx(grid.box, abs=1e-4)


def test_the_heat_is_drawn_where_it_belongs():
    picture = Image.open(io.BytesIO(draw(jpeg((120, 120, 120), side=200), HEAT))).convert("RGB")
    hot, cold, outside = (picture.getpixel(at) for at in ((30, 80), (170, 120), (30, 10)))
    assert hot[0] > 150 and hot[0] > hot[2] + 60  # yellow
    for dark in (cold, outside):
        assert max(dark) < 90
