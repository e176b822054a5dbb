"""The search page's server side: who may search what, the way of a search, and every way it can end."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from catalog.models import Job, JobState, Membership, Merchant, Product
from catalog.services.job import job_cancel
from catalog.services.product import product_delete
from catalog.services.result import search_result_store
from tests.api_support import Shop, candidate, search_result
from tests.drawing import jpeg
from tests.uploads import bad_photos
from workers.contract import Fault

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Polls are not held open, and menus are read anew."""
    monkeypatch.setattr("catalog.web.search.WAIT_SECONDS", 0)
    cache.clear()


@pytest.fixture
def shop():
    shop = Shop("harbour")
    Merchant.objects.filter(pk=shop.merchant.pk).update(public_search=True)
    return shop


@pytest.fixture
def closed():
    return Shop("closed")


def ask(client, merchant="harbour", photo=None, **fields):
    files = {"photo": SimpleUploadedFile("a.jpg", photo, "image/jpeg")} if photo is not None else {}
    return client.post("/search", {"merchant": merchant, "words": "", **fields, **files})


def asked(client, **fields):
    """A search that was taken: the address to follow, and its job."""
    response = ask(client, **fields)
    assert response.status_code == 202, response.json()
    return response.json()["address"], Job.objects.latest("created_at")


def test_page_names_the_shop_and_its_menus(client, shop):
    shop.product("A", brand="Acme", category="Mugs", price="4.00", currency="EUR")
    shop.product("B", brand="Zen", category="Lamps")
    response = client.get("/")
    html = response.content.decode()
    assert response.status_code == 200
    assert "<strong>Harbour</strong>" in html
    start = json.loads(re.search(r'<script id="start" type="application/json">(.*?)</script>', html)[1])
    assert start["facets"] == {
        "categories": [{"value": "Lamps", "count": 1}, {"value": "Mugs", "count": 1}],
        "brands": [{"value": "Acme", "count": 1}, {"value": "Zen", "count": 1}],
        "prices": [{"value": "EUR", "count": 1, "min": "4.00", "max": "4.00"}],
    }
    assert 'name="currency" value="EUR"' in html


def test_page_brings_nothing_from_elsewhere_and_nothing_inline(client, shop):
    response = client.get("/")
    html = response.content.decode()
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in response.headers["Content-Security-Policy"]
    assert "http://" not in html
    assert "https://" not in html
    assert "style=" not in html
    assert "onclick" not in html
    assert html.count("<script") == 2  # the module from our files, and data that no browser runs
    assert html.count('<script type="module" src="/static/') == html.count('type="application/json"') == 1


def test_page_without_a_public_shop_says_so(client, closed):
    html = client.get("/").content.decode()
    assert "Nothing to search yet." in html
    assert "Closed" not in html


def test_members_search_their_own_shop(client, shop, closed):
    user = User.objects.create(username="ana")
    Membership.objects.create(user=user, merchant=closed.merchant)
    client.force_login(user)
    html = client.get("/?merchant=closed").content.decode()
    assert '<option value="closed" selected>' in html
    assert '<option value="harbour">' in html
    assert ask(client, merchant="closed", words="mug").status_code == 202


def test_closed_shop_is_not_searched_by_strangers(client, shop, closed):
    response = ask(client, merchant="closed", words="mug")
    assert response.status_code == 422
    assert response.json()["code"] == "search_invalid"
    assert not Job.objects.exists()


def test_search_carries_its_filters(client, shop):
    _, job = asked(
        client,
        words=" red mug ",
        category="Mugs",
        brand="Acme",
        price_min="5",
        price_max="9,50",
        currency="EUR",
        in_stock="true",
    )
    assert job.request["words"] == "red mug"
    assert job.request["filters"] | {"version": 1} == {
        "version": 1, "categories": ["Mugs"], "brands": ["Acme"], "price_min": 5.0, "price_max": 9.5, "currency": "EUR",
        "in_stock": True, "attributes": [],
    }  # fmt: skip


def test_search_without_filters_is_not_narrowed(client, shop):
    _, job = asked(client, photo=jpeg(1), currency="EUR")
    assert job.key
    assert not any(job.request["filters"].values())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"words": "x", "price_min": "9", "price_max": "5"}, "The lowest price is above the highest one."),
        ({"words": "x", "price_min": "cheap"}, "Write prices as plain numbers, for example 49.90."),
        ({"words": "x", "price_max": "1e400"}, "Write prices as plain numbers, for example 49.90."),
        ({"words": "x" * 501}, "These are too many words: at most 500 characters are read."),
        ({}, "Show a photo, write some words, or both."),
        ({"words": "x", "region": "0.5,0,0.2,1"}, "The frame lies outside of the photo. Draw it anew."),
        ({"words": "x", "region": "all of it"}, "The frame lies outside of the photo. Draw it anew."),
        ({"like": ["no id"]}, "This product is gone."),
        ({"words": "x", "unlike": [str(uuid.uuid4())]}, "Show a photo, or choose a product to be like, first."),
        ({"words": "x", "brand": [str(number) for number in range(51)]}, "These are too many at once."),
    ],
)
def test_wrong_questions_are_refused_in_a_sentence(client, shop, fields, sentence):
    response = ask(client, **fields)
    assert response.status_code == 422
    assert response.json()["message"] == sentence
    assert sentence in response.json()["html"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", [name for name in bad_photos() if not name.endswith("zip") and name != "hidden.jpg"])
def test_bad_photos_are_refused_with_their_code(client, shop, name):
    data, code = bad_photos()[name]
    response = ask(client, photo=data)
    body = response.json()
    assert (response.status_code, body["code"], body["ended"]) == (422, code, True)
    assert code in body["html"]
    assert not Job.objects.exists()


def test_post_needs_the_csrf_token(shop):
    strict = Client(enforce_csrf_checks=True)
    assert ask(strict, words="mug").status_code == 403
    strict.get("/")
    token = strict.cookies["csrftoken"].value
    assert ask(strict, words="mug", csrfmiddlewaretoken=token).status_code == 202


def test_running_search_says_where_it_is(client, shop):
    address, job = asked(client, words="mug")
    for state, step in ((JobState.PENDING, "waiting"), (JobState.DISPATCHED, "searching")):
        Job.objects.filter(pk=job.pk).update(state=state)
        body = client.get(address).json()
        assert (body["ended"], body["step"]) == (False, step)


def test_waiting_search_says_what_is_in_the_way(client, shop):
    address, job = asked(client, words="mug")
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(seconds=5))
    assert "cannot be reached right now" in client.get(address).json()["notice"]


def test_missing_workers_are_told(client, shop, redis_server):
    address, job = asked(client, words="mug")
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(seconds=5))
    assert "search workers are not running" in client.get(address).json()["notice"]


def test_answer_shows_products_with_their_reasons(client, shop):
    mug = shop.product("MUG-1", title="Red & round mug", price="1234.50", currency="EUR")
    lamp = shop.product("LAMP-1", title="Lamp", in_stock=False)
    address, job = asked(client, photo=jpeg(1))
    search_result_store(
        result=search_result(
            job,
            candidate(mug, shop.photo(mug), probability=0.934),
            candidate(lamp, shop.photo(lamp), probability=0.021, match="similar", votes=1),
            verdict="SURE",
        )
    )
    body = client.get(address).json()
    assert body["ended"]
    html = body["html"]
    for part in (
        "Found it.", "2 products", "Red &amp; round mug", "€1,234.50", "Same product", "Looks similar", "<b>93 %</b>",
        "probability, calibrated", "No price", "out of stock", "Photo alone", "With text and price",
        "Its photos among the nearest",
    ):  # fmt: skip
        assert part in html
    assert html.index("Red &amp; round mug") < html.index("Lamp")


def test_uncalibrated_scores_are_not_called_probabilities(client, shop):
    mug = shop.product()
    address, job = asked(client, photo=jpeg(1))
    search_result_store(result=search_result(job, candidate(mug, shop.photo(mug)), calibrated=False))
    html = client.get(address).json()["html"]
    assert "<b>0.87</b> score, not calibrated" in html
    assert "probability, calibrated" not in html


def test_words_have_a_score_of_their_own(client, shop):
    mug = shop.product()
    address, job = asked(client, words="mug")
    found = candidate(mug, shop.photo(mug), image=None, text=7.25, probability=None, match="other")
    search_result_store(result=search_result(job, found))
    html = client.get(address).json()["html"]
    assert "<b>7.2</b> words score" in html
    assert "This matches your words." in html


def test_empty_answers_say_what_to_try(client, shop):
    address, job = asked(client, words="zeppelin")
    search_result_store(result=search_result(job))
    assert "No product carries these words." in client.get(address).json()["html"]
    address, job = asked(client, words="mug", brand="Acme")
    search_result_store(result=search_result(job))
    assert "No product passes these filters." in client.get(address).json()["html"]


def test_failed_search_shows_sentence_and_code_but_no_trace(client, shop):
    address, job = asked(client, photo=jpeg(1))
    fault = Fault(code="internal_error", message="Something broke.", kind="bug", trace="Traceback: secret")
    search_result_store(result=search_result(job, fault=fault))
    html = client.get(address).json()["html"]
    assert "Something broke." in html
    assert "internal_error" in html
    assert "secret" not in html


def test_search_past_its_deadline_has_ended(client, shop):
    address, job = asked(client, words="mug")
    Job.objects.filter(pk=job.pk).update(deadline=timezone.now() - timedelta(seconds=10))
    body = client.get(address).json()
    assert body["ended"]
    assert "That took too long." in body["html"]


def test_cancelled_search_has_ended(client, shop):
    address, job = asked(client, words="mug")
    job_cancel(job=job)
    assert "This search was cancelled." in client.get(address).json()["html"]


def test_search_is_shown_to_the_browser_that_asked_only(client, shop):
    address, _ = asked(client, words="mug")
    stranger = Client()
    assert stranger.get(address).status_code == 404
    asked(stranger, words="lamp")
    response = stranger.get(address)
    assert (response.status_code, response.json()["code"]) == (404, "search_not_found")
    assert client.get(address).status_code == 200
    assert client.get(f"{address}x").status_code == 404


def test_answer_needs_the_same_queries_for_one_hit_and_for_many(client, shop, django_assert_max_num_queries):
    products = [shop.product(f"P-{number}") for number in range(20)]
    address, job = asked(client, photo=jpeg(1))
    search_result_store(result=search_result(job, *(candidate(each, shop.photo(each)) for each in products)))
    with django_assert_max_num_queries(4):  # session, job, products, photos
        assert client.get(address).json()["html"].count('class="card"') == 20


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://shop.example/mugs/1?a=1&b=2", "https://shop.example/mugs/1?a=1&amp;b=2"),
        ("HTTP://shop.example/茶杯", "HTTP://shop.example/茶杯"),
        ("javascript:alert(1)", ""),
        (" javascript:alert(1)", ""),
        ("data:text/html,<script>alert(1)</script>", ""),
        ("//shop.example/mug", ""),
        ("/mugs/1", ""),
        ('https://shop.example/"onclick="x', "https://shop.example/&quot;onclick=&quot;x"),
        ("https://shop.example/a b", ""),
        ("https://", ""),
        (["https://shop.example"], ""),
        (7, ""),
        (None, ""),
    ],
)
def test_a_card_leads_to_the_shop_by_a_web_address_only(client, shop, address, shown):
    product = shop.product("A", title="Mug", attributes={"url": address})
    place, job = asked(client, words="mug")
    search_result_store(result=search_result(job, candidate(product, shop.photo(product))))
    links = re.findall(
        r'<a class="to-shop" href="(.*?)" target="_blank" rel="noopener">', client.get(place).json()["html"]
    )
    assert links == ([shown] if shown else [])


def test_variants_are_told_apart_by_what_they_are_not_by_their_addresses(client, shop):
    for number, colour in enumerate(("red", "blue")):
        facts = {"colour": colour, "url": f"https://shop.example/{number}"}
        shop.product(f"P-{number}", variant_group="G", attributes=facts)
    product = Product.objects.get(sku="P-0")
    place, job = asked(client, words="mug")
    search_result_store(result=search_result(job, candidate(product, shop.photo(product))))
    html = client.get(place).json()["html"]
    assert re.findall(r'<span class="variant-told">(.*?)</span>', html) == ["red", "blue"]
    assert re.findall(r'data-shop="(.*?)"', html) == ["https://shop.example/0", "https://shop.example/1"]


def test_photo_of_an_earlier_search_is_meant_again(client, shop):
    first = ask(client, photo=jpeg(1)).json()
    address, job = asked(client, again=first["token"], region="0.1,0.2,0.8,0.9", words="red")
    assert job.key == Job.objects.earliest("created_at").key
    assert job.request["region"] == [0.1, 0.2, 0.8, 0.9]
    assert address != first["address"]


def test_photo_of_another_browsers_search_is_not(client, shop):
    theirs = ask(client, photo=jpeg(1)).json()["token"]
    asked(stranger := Client(), words="mug")
    response = ask(stranger, again=theirs)
    assert (response.status_code, response.json()["code"]) == (410, "photo_gone")
    assert Job.objects.count() == 2


def test_filters_sort_and_examples_become_the_search(client, shop):
    mug, lamp = shop.product("MUG-1"), shop.product("LAMP-1")
    shop.photo(mug), shop.photo(lamp)
    _, job = asked(
        client,
        photo=jpeg(1),
        words="red",
        brand=["Acme", "Zen"],
        category=["Mugs"],
        currency="EUR",
        sort="price_asc",
        photo_weight="0.75",
        like=[str(mug.pk)],
        unlike=[str(lamp.pk)],
    )
    wanted = {
        "sort": "price_asc", "photo_weight": 0.75, "like": [str(mug.pk)], "unlike": [str(lamp.pk)],
        "facets": ["categories", "brands", "in_stock", "prices"],
    }  # fmt: skip
    assert job.request | wanted == job.request
    assert (job.request["filters"]["brands"], job.request["filters"]["currency"]) == (["Acme", "Zen"], "EUR")


def test_answer_counts_and_shows_where_was_looked(client, shop):
    mug = shop.product("MUG-1", brand="Acme", price="4.00", currency="EUR")
    lamp = shop.product("LAMP-1", brand="Acme")
    address, job = asked(client, photo=jpeg(1))
    found = [candidate(mug, shop.photo(mug)), candidate(lamp, shop.photo(lamp), match="similar")]
    search_result_store(result=search_result(job, *found, verdict="SURE", box=(0.1, 0.2, 0.8, 0.9)))
    body = client.get(address).json()
    assert body["box"] == [0.1, 0.2, 0.8, 0.9]
    assert body["said"] == "Found it. 2 products"
    assert body["facets"]["brands"] == [{"value": "Acme", "count": 2}]
    assert body["facets"]["prices"] == [{"value": "EUR", "count": 1, "min": "4.00", "max": "4.00"}]
    headings = re.findall(r"<h2>(.*?)</h2>", body["html"])
    assert headings == ["Found it.", "Similar products"]


def test_stream_is_offered_where_it_would_come_through(client, shop):
    assert ask(client, words="mug").json()["events"] is None  # this client speaks WSGI: threads hold a stream back


def begins_with(client, token, **query):
    """The search that the page begins with at this address."""
    html = client.get("/", {"search": token, **query}).content.decode()
    return json.loads(re.search(r'<script id="start" type="application/json">(.*?)</script>', html)[1])["search"]


def test_the_page_begins_with_the_search_in_its_address(client, shop):
    mug = shop.product("MUG-1", brand="Acme", title="Red <mug>")
    photo = shop.photo(mug)
    token = ask(client, photo=jpeg(1), words="red").json()["token"]
    job = Job.objects.get()
    running = begins_with(client, token)
    assert (running["ended"], running["token"], running["address"]) == (False, token, f"/search/{token}")
    search_result_store(result=search_result(job, candidate(mug, photo), verdict="SURE"))
    answered = begins_with(client, token)
    assert answered | client.get(f"/search/{token}").json() == answered
    assert client.get(answered["question"]["photo"]).status_code == 200
    assert answered["question"]["fields"] == {"words": ["red"], "sort": ["relevance"]}


def test_a_question_is_told_as_the_form_sends_it(client, shop):
    sizes = {"A": "S", "B": "M", "C": "S"}
    mug, lamp, gone = (shop.product(sku, attributes={"size": size}) for sku, size in sizes.items())
    photos = [shop.photo(each) for each in (mug, lamp, gone)]
    fields = {
        "words": "red", "brand": ["Hearth", "Zen"], "category": ["Mugs"], "price_min": "9,50", "price_max": "50",
        "currency": "EUR", "in_stock": "true", "every_variant": "true", "sort": "price_asc", "photo_weight": "0.75",
        "attribute.size": ["S", "M"],
    }  # fmt: skip
    response = ask(client, photo=jpeg(1), region="0.1,0.2,0.8,0.9", like=[mug.pk, gone.pk], unlike=[lamp.pk], **fields)
    product_delete(product=gone)
    question = begins_with(client, response.json()["token"])["question"]
    assert question["fields"] == {
        name: [value] if isinstance(value, str) else value for name, value in (fields | {"price_min": "9.5"}).items()
    }
    assert question["region"] == [0.1, 0.2, 0.8, 0.9]
    assert [(each["id"], each["name"]) for each in question["like"]] == [(str(mug.pk), mug.title)]
    assert [each["id"] for each in question["unlike"]] == [str(lamp.pk)]
    assert f"/photos/{photos[0].pk}/medium?" in question["like"][0]["photo"]


def test_ranges_are_told_by_their_ends(client, shop):
    for number in range(9):
        shop.product(f"P-{number}", attributes={"volume_ml": 100 + number})
    ends = {"attribute_min.volume_ml": "102", "attribute_max.volume_ml": "104,5"}
    token = ask(client, words="mug", **ends).json()["token"]
    assert begins_with(client, token)["question"]["fields"] == {
        "words": ["mug"], "sort": ["relevance"],
        "attribute_min.volume_ml": ["102"], "attribute_max.volume_ml": ["104.5"],
    }  # fmt: skip


@pytest.mark.parametrize("who", ["a stranger", "somebody with a search of their own", "who made it up"])
def test_the_page_begins_with_nobody_elses_search(client, shop, who):
    token = ask(client, photo=jpeg(1), words="secret").json()["token"]
    other = client if who == "who made it up" else Client()
    if who == "somebody with a search of their own":
        ask(other, words="mug")
    begun = begins_with(other, f"{token}x" if who == "who made it up" else token)
    assert (begun["code"], begun["ended"], begun.keys() & {"question", "token", "address"}) == (
        "search_not_found", True, set(),
    )  # fmt: skip


def test_the_page_begins_with_no_search_of_a_shop_that_was_closed(client, shop):
    open_one = Shop("open")
    Merchant.objects.filter(pk=open_one.merchant.pk).update(public_search=True)
    token = ask(client, words="mug").json()["token"]
    assert begins_with(client, token, merchant="open")["question"]["fields"]["words"] == ["mug"]
    Merchant.objects.filter(pk=shop.merchant.pk).update(public_search=False)
    assert begins_with(client, token)["code"] == "search_not_found"


def test_why_is_told_to_the_browser_that_asked_only(client, shop, redis_server):
    mug = shop.product("MUG-1")
    address, job = asked(client, photo=jpeg(1))
    search_result_store(result=search_result(job, candidate(mug, shop.photo(mug))))
    stranger = Client().get(f"{address}/why/{mug.pk}")
    assert (stranger.status_code, stranger.json()["code"]) == (404, "search_not_found")
    away = client.get(f"{address}/why/{mug.pk}")
    assert (away.status_code, away.json()["code"]) == (503, "worker_unavailable")
    assert "Nobody can look at photos just now." in away.json()["html"]
    other = client.get(f"{address}/why/{shop.product('LAMP-1').pk}")
    assert (other.status_code, other.json()["code"]) == (404, "candidate_not_found")


def test_everything_is_said_in_the_visitors_language(client, shop):
    chinese = {"HTTP_ACCEPT_LANGUAGE": "zh-CN,zh;q=0.9,en;q=0.8"}
    response = client.get("/", **chinese)
    assert response.headers["Content-Language"] == "zh-hans"
    assert "看见了，就能找到。" in response.content.decode()
    refused = client.post("/search", {"merchant": "harbour"}, **chinese).json()
    assert refused["message"] == "请提供照片、文字，或两者。"
    client.post("/language", {"language": "en", "next": "/"})  # their own choice goes before the browser's
    assert "Seen it? Find it." in client.get("/", **chinese).content.decode()


def test_api_and_admin_keep_their_language(shop):
    response = shop.client.post(
        "/api/v1/search-jobs", {"words": "x", "limit": 0}, format="json", HTTP_ACCEPT_LANGUAGE="zh-CN"
    )
    assert response.json()["errors"][0]["message"] == "Ensure this value is greater than or equal to 1."


def test_search_that_is_not_kept_any_more_is_gone(client, shop):
    address, job = asked(client, words="mug")
    Job.objects.filter(pk=job.pk).update(state=JobState.DONE, finished_at=timezone.now() - timedelta(days=31))
    assert client.get(address).json()["code"] == "search_not_found"


def test_a_visitor_searches_so_often_a_minute(client, shop, redis_server, setting):
    setting("VITRINE_VISITOR_SEARCHES", "2")
    assert [ask(client, words="mug").status_code for _ in range(2)] == [202, 202]
    refused = ask(Client(), words="mug")  # another browser at the same address is the same visitor
    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["said"] == "You searched very often just now. Wait a minute, then search again."
    assert "Wait a minute, then search again." in refused.json()["html"]
    chinese = client.post("/search", {"merchant": "harbour", "words": "mug"}, HTTP_ACCEPT_LANGUAGE="zh-CN")
    assert (chinese.status_code, chinese.json()["message"]) == (429, "请等一分钟再搜索。")
    assert Job.objects.count() == 2
    elsewhere = client.post("/search", {"merchant": "harbour", "words": "mug"}, REMOTE_ADDR="192.0.2.7")
    assert elsewhere.status_code == 202


def test_without_redis_every_search_is_let_through(client, shop, redis_server, setting):
    setting("VITRINE_VISITOR_SEARCHES", "1")
    assert [ask(client, words="mug").status_code for _ in range(2)] == [202, 429]
    redis_server.kill()
    assert [ask(client, words="mug").status_code for _ in range(2)] == [202, 202]
