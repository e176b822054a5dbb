"""A model changed while searches run, by real processes: shadow, a killed worker, compare, promote, back, retire."""

import json
import threading
import zipfile

import httpx
import pytest

from tests.bundles import other_bundle
from tests.line import running_line
from tests.uploads import manifest, row
from tests.worker import bundle_folder, draw_photo

pytestmark = pytest.mark.slow

PRODUCTS, VIEWS = 9, 2
NEW = "test-new"
PEOPLE = """
from django.contrib.auth.models import User
from catalog.models import Merchant
from catalog.services.key import api_key_create
User.objects.create_superuser("operator", password="operator")
print(api_key_create(merchant=Merchant.objects.get(slug="shop"), name="test")[1])
"""
OLD = json.loads((bundle_folder() / "bundle.json").read_text())["version"]
SETTINGS = {
    "VITRINE_TORCH_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "VITRINE_DISPATCH_SECONDS": "0.5",
    "VITRINE_RECONCILE_SECONDS": "2",
    "VITRINE_SEARCH_DEADLINE_SECONDS": "300",
}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    names = [[f"p{at}-{view}.jpg" for view in range(VIEWS)] for at in range(PRODUCTS)]
    rows = [row(f"P-{at}", "|".join(of), title=f"Thing {at}") for at, of in enumerate(names)]
    with zipfile.ZipFile(folder / "photos.zip", "w") as packed:
        packed.writestr("manifest.csv", manifest(*rows))
        for at, of in enumerate(names):
            for view, name in enumerate(of):
                packed.writestr(name, draw_photo(at, 200 + 20 * view))
    other_bundle(folder / "offered", NEW, similarity={"image": 1.0, "fused": 0.0})
    with running_line(folder, VITRINE_BUNDLES=str(folder / "offered"), **SETTINGS) as line:
        line.start("web")
        line.start("coordinator")
        line.worker = line.start("worker")
        line.manage("upload", str(folder / "photos.zip"), "--merchant", "shop", "--create-merchant")
        line.wait_for(lambda: line.photo_states() == {"done": PRODUCTS * VIEWS}, "the photos are indexed", 240)
        line.key = line.manage("shell", "--no-imports", "-c", PEOPLE).stdout.strip()
        line.wait_for(line.web_answers, "the site is up", 240)
        with httpx.Client(
            base_url=f"{line.url}/admin/", timeout=60, trust_env=False, follow_redirects=True
        ) as line.desk:
            line.desk.get("login/")
            press(line, "login/", username="operator", password="operator")
            yield line


def press(line, path, **fields):
    """A button of the admin; the page that comes back."""
    token = {"csrfmiddlewaretoken": line.desk.cookies["csrftoken"]}
    page = line.desk.post(path, data=fields | token)
    assert page.status_code == 200, page.text
    return page.text


def shadow_states(line):
    return dict(line.rows("SELECT state, count(*) FROM catalog_shadowphoto GROUP BY state"))


def leases_run_out(line):
    """Two minutes pass for what the killed worker held; one photo at least, should it have been very quick."""
    one = "photo_id = (SELECT photo_id FROM catalog_shadowphoto ORDER BY photo_id LIMIT 1)"
    past = "SET state = 'dispatched', lease_until = '2000-01-01'"
    line.rows(f"UPDATE catalog_shadowphoto {past} WHERE state = 'dispatched' OR {one}")


def search(line, seed=3):
    """Search by photo until it is over, however slow the machine is: state, bundle and the first product's sku."""
    asked = {"headers": {"Authorization": f"Bearer {line.key}", "Prefer": "wait=20"}, "timeout": 60, "verify": False}
    files = {"photo": ("a.jpg", draw_photo(seed, 210), "image/jpeg")}
    address = f"{line.url}/api/v1/search-jobs"
    answer = httpx.post(address, files=files, **asked).json()
    while answer["state"] in {"pending", "dispatched"}:
        answer = httpx.get(f"{address}/{answer['id']}", **asked).json()
    return answer["state"], answer.get("bundle_version"), [hit["product"]["sku"] for hit in answer["hits"][:1]]


def test_a_model_is_changed_while_searches_go_on(line):
    photos = PRODUCTS * VIEWS
    assert search(line)[:2] == ("done", OLD)

    # Into the shadow; the worker is killed in the middle, and another one finishes.
    assert f"Put into the shadow: {NEW}" in press(line, "catalog/bundle/shadow/", folder=NEW)
    line.wait_for(lambda: shadow_states(line).get("dispatched"), "the shadow is with a worker", 240)
    line.worker.kill()
    leases_run_out(line)
    page = press(line, "catalog/bundle/promote/", version=NEW)  # a killed worker's card stays for some seconds
    assert "(bundle_incomplete)" in page or "(bundle_not_loaded)" in page
    line.worker = line.start("worker")
    line.wait_for(lambda: shadow_states(line) == {"done": photos}, "the shadow has every photo", 240)
    assert line.photo_states() == {"done": photos}
    assert search(line)[:2] == ("done", OLD)

    press(line, "catalog/bundle/compare/")
    done = "SELECT count(*) FROM catalog_comparedphoto WHERE state = 'done'"
    line.wait_for(lambda: line.rows(done) == [(2 * photos,)], "both have answered", 240)
    assert f"{photos} of {photos} photos answered" in line.desk.get("catalog/bundle/now/").text

    # Promoted while a shop searches without a pause: every search is answered, by one of the two.
    answers, stop = [], threading.Event()

    def keep_searching():
        while not stop.is_set():
            answers.append(search(line))

    shopper = threading.Thread(target=keep_searching)
    shopper.start()
    press(line, "catalog/bundle/promote/", version=NEW)
    line.wait_for(lambda: answers and answers[-1][1] == NEW, "searches are answered by the new bundle")
    stop.set()
    shopper.join()
    versions = [version for _, version, _ in answers]
    assert {(state, tuple(skus)) for state, _, skus in answers} == {("done", ("P-3",))}
    assert versions == sorted(versions, key=[OLD, NEW].index)
    assert set(line.rows("SELECT DISTINCT bundle_version FROM catalog_photo")) == {(NEW,)}

    # A worker whose settings still name the old bundle comes up with the live one, and keeps the old one up to date.
    line.worker.kill()
    line.worker = line.start("worker")
    assert search(line)[:2] == ("done", NEW)
    assert shadow_states(line) == {"done": photos}

    # Back, as soon as the new worker has loaded the old bundle too; before, it is refused.
    line.wait_for(
        lambda: "Rolled back." in press(line, "catalog/bundle/rollback/"), "the old bundle is live again", 240
    )
    assert search(line)[:2] == ("done", OLD)
    press(line, "catalog/bundle/retire/", version=NEW)
    line.wait_for(lambda: not (line.folder / "index" / f"photos-{NEW}").exists(), "its photos are gone")
    assert search(line)[:2] == ("done", OLD)
    assert shadow_states(line) == {}
