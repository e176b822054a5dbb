"""Photos by their address: fetched from real servers, refused wherever the guard must refuse, within the limits."""

import base64
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from catalog.models import Job, Photo
from catalog.services import outbound, photo_address
from catalog.services.outbound import is_public
from catalog.services.photo_address import photo_fetch, photos_fetch
from tests.api_support import API, faults, jpeg, problem
from workers import client
from workers.client import PhotoError


class Pages(BaseHTTPRequestHandler):
    """What the server of a shop's photos may do, good and bad."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Host"]))
        getattr(self, "answer_" + self.path.strip("/").partition("?")[0].replace("-", "_").replace(".jpg", ""))()

    def send(self, body=b"", status=200, **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_mug(self):
        self.send(jpeg(), Content_Type="text/html")  # what it says it is does not matter

    def answer_page(self):
        self.send(b"<html>")

    def answer_gone(self):
        self.send(b"internal secrets", status=404)

    def answer_once(self):
        self.send(status=302, Location="/mug.jpg")

    def answer_loop(self):
        self.send(status=301, Location="/loop")

    def answer_inside(self):
        self.send(status=302, Location=f"http://127.0.0.2:{self.server.server_port}/mug.jpg")

    def answer_file(self):
        self.send(status=302, Location="file:///etc/passwd")

    def answer_says_large(self):
        self.send(b"x", Content_Length="999999999")

    def answer_is_large(self):
        self.send_response(200)
        self.end_headers()
        with_no_end = b"x" * 100_000
        for _ in range(100):
            self.wfile.write(with_no_end)

    def answer_cut(self):
        self.send(jpeg()[:100], Content_Length="5000")

    def answer_drips(self):
        self.send_response(200)
        for number in range(200):
            self.send_header(f"X-{number}", "a")
            self.flush_headers()
            if self.server.over.wait(0.1):
                return

    def log_message(self, *_):
        """Nothing on the terminal."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up in the middle is what these tests are about."""


@contextmanager
def serving(address="127.0.0.1", port=0):
    server = Server((address, port), Pages)
    server.asked, server.over = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(setting):
    """A server whose network the operator allows: this one address and no other."""
    setting("VITRINE_OUTBOUND_NETWORKS", "127.0.0.1/32")
    with serving() as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server


def refused(shop, url):
    """The code with which an address is refused; nothing is started by it."""
    with pytest.raises(PhotoError) as caught:
        photo_fetch(merchant_id=shop.merchant.pk, url=url)
    return caught.value.code


def test_a_search(shop, server):
    response = shop.client.post(f"{API}/search-jobs", {"photo_url": f"{server.url}/mug.jpg"}, format="json")
    assert response.status_code == 202
    assert client.photo_store().read(Job.objects.get().key) == jpeg()
    assert response.json()["request"]["photo_url"].startswith("http://testserver/photos/searches/")
    assert server.asked == [("/mug.jpg", f"127.0.0.1:{server.server_port}")]


def test_a_search_as_a_form_with_a_region(shop, server):
    body = {"photo_url": f"{server.url}/once", "region": "[0, 0, 0.5, 1]"}
    response = shop.client.post(f"{API}/search-jobs", body)
    assert (response.status_code, response.json()["request"]["region"]) == (202, [0, 0, 0.5, 1])
    assert [path for path, _ in server.asked] == ["/once", "/mug.jpg"]


def test_a_photo_of_a_product(shop, server):
    address = f"{API}/products/{shop.product().pk}/photos"
    response = shop.client.post(address, {"photo_url": f"{server.url}/mug.jpg?v=2"}, format="json")
    assert (response.status_code, response.json()["name"]) == (202, "mug.jpg")
    again = shop.client.post(address, {"photo_url": f"{server.url}/once", "name": "b.jpg"})
    assert (again.status_code, again.json()["id"]) == (200, response.json()["id"])


def test_a_recognition_of_both_kinds(shop, server):
    photos = [
        {"photo_url": f"{server.url}/mug.jpg", "region": [0, 0, 1, 0.5]},
        {"photo": base64.b64encode(jpeg((1, 2, 3))).decode(), "name": "own.jpg"},
        {"photo_url": f"{server.url}/once", "name": "named.jpg"},
    ]
    response = shop.client.post(f"{API}/recognition-jobs", {"photos": photos}, format="json")
    assert response.status_code == 202
    stored = Photo.objects.order_by("position")
    assert [(photo.name, photo.region) for photo in stored] == [
        ("mug.jpg", [0, 0, 1, 0.5]), ("own.jpg", None), ("named.jpg", None),
    ]  # fmt: skip
    assert stored[0].sha256 == stored[2].sha256 != stored[1].sha256


def test_every_bad_address_of_a_recognition_is_named(shop, server):
    photos = [{"photo_url": f"{server.url}/{path}"} for path in ("mug.jpg", "gone", "inside")]
    found = problem(
        shop.client.post(f"{API}/recognition-jobs", {"photos": photos}, format="json"), 422, "photos_refused"
    )
    assert faults(found) == {"photos[1]": "photo_url_status", "photos[2]": "photo_url_refused"}
    assert "internal secrets" not in str(found)
    assert (Job.objects.count(), Photo.objects.count()) == (0, 0)


def test_what_is_no_photo_is_judged_like_any_other(shop, server):
    body = {"photo_url": f"{server.url}/page"}
    problem(shop.client.post(f"{API}/search-jobs", body, format="json"), 422, "photo_not_an_image")


def test_a_photo_is_sent_once(shop):
    photo = base64.b64encode(jpeg()).decode()
    body = {"photo": photo, "photo_url": "https://example.com/a.jpg"}
    problem(shop.client.post(f"{API}/search-jobs", body, format="json"), 422, "photo_twice")
    problem(shop.client.post(f"{API}/recognition-jobs", {"photos": [body]}, format="json"), 422, "photo_twice")
    form = {"photo": SimpleUploadedFile("a.jpg", jpeg()), "photo_url": "https://example.com/a.jpg"}
    problem(shop.client.post(f"{API}/search-jobs", form), 422, "photo_twice")
    address = f"{API}/products/{shop.product().pk}/photos"
    assert faults(problem(shop.client.post(address, {}, format="json"), 422, "invalid")) == {"photo": "required"}
    assert not Job.objects.exists()


def test_a_publishable_key_sends_the_server_nowhere(shop, server):
    body = {"photo_url": f"{server.url}/mug.jpg"}
    problem(shop.public.post(f"{API}/search-jobs", body, format="json"), 403, "permission_denied")
    assert server.asked == []


def test_sent_again_it_is_fetched_once(shop, server):
    def send(path):
        body = {"photo_url": f"{server.url}/{path}"}
        return shop.client.post(f"{API}/search-jobs", body, format="json", HTTP_IDEMPOTENCY_KEY="k")

    first, again = send("mug.jpg"), send("mug.jpg")
    assert first.json()["id"] == again.json()["id"] and len(server.asked) == 1
    problem(send("once"), 409, "idempotency_key_reused")
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("gone", "photo_url_status"),
        ("loop", "photo_url_redirects"),
        ("file", "photo_url_invalid"),
        ("says-large", "photo_too_large"),
        ("is-large", "photo_too_large"),
        ("cut", "photo_url_unreachable"),
    ],
)
def test_bad_answers(shop, server, setting, path, code):
    setting("VITRINE_PHOTO_MAX_BYTES", "1000000")
    assert refused(shop, f"{server.url}/{path}") == code


def test_too_large_is_413(shop, server):
    body = {"photo_url": f"{server.url}/says-large"}
    problem(shop.client.post(f"{API}/search-jobs", body, format="json"), 413, "photo_too_large")


def test_a_redirect_into_the_network_is_not_followed(shop, server):
    with serving("127.0.0.2", server.server_port) as inside:
        assert refused(shop, f"{server.url}/inside") == "photo_url_refused"
        assert inside.asked == []


def test_a_server_that_drips_is_left_in_time(shop, server, monkeypatch):
    monkeypatch.setattr(photo_address, "FETCH_SECONDS", 0.5)
    started = time.monotonic()
    assert refused(shop, f"{server.url}/drips") == "photo_url_timeout"
    assert time.monotonic() - started < 10


def test_a_server_that_accepts_and_says_nothing(shop, setting, monkeypatch):
    setting("VITRINE_OUTBOUND_NETWORKS", "127.0.0.1")
    monkeypatch.setattr(photo_address, "FETCH_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert refused(shop, f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg") == "photo_url_timeout"


def test_nobody_listens(shop, setting):
    setting("VITRINE_OUTBOUND_NETWORKS", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert refused(shop, f"http://127.0.0.1:{port}/a.jpg") == "photo_url_unreachable"
    assert refused(shop, f"https://127.0.0.1:{port}/a.jpg") == "photo_url_unreachable"


def test_tls_that_proves_nothing(shop, server):
    assert refused(shop, f"https://127.0.0.1:{server.server_port}/mug.jpg") == "photo_url_unreachable"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]",
     "169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fd00:ec2::254]", "[fe80::1]"],
)  # fmt: skip
def test_nothing_inside_is_asked(shop, host):
    with serving() as inside:
        assert refused(shop, f"http://{host}:{inside.server_port}/mug.jpg") == "photo_url_refused"
        assert inside.asked == []


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/a.jpg", "file:///etc/passwd", "//example.com/a.jpg", "example.com/a.jpg", "http://",
     "gopher://x",
     "http://user:secret@example.com/a.jpg", "http://a\tb/",
     "http://example.com:99999999/", "data:image/png;base64,AA"],
)  # fmt: skip
def test_what_is_no_address(shop, url):
    assert refused(shop, url) == "photo_url_invalid"


def test_ports_of_other_services(shop):
    assert refused(shop, "http://example.com:25/a.jpg") == "photo_url_refused"


def test_a_name_that_nobody_has(shop):
    assert refused(shop, "http://nothing.invalid/a.jpg") == "photo_url_unreachable"
    assert refused(shop, f"http://{'a' * 300}.example/") == "photo_url_unreachable"


@pytest.mark.parametrize(
    "address",
    ["::ffff:8.8.8.8", "2002:808:808::", "2001:0:808:808::1", "64:ff9b::a00:1", "64:ff9b:1::1", "fec0::1",
     "224.0.0.1",
     "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "2001:db8::1", "ff02::1"],
)  # fmt: skip
def test_special_addresses_are_not_public(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111"])
def test_public_addresses(address):
    assert is_public(ip_address(address))


def answering(monkeypatch, *rounds):
    """A name server for shop.test whose answers change with each question; the real one cannot be started here."""
    asked, real = [], socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host != "shop.test":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        found = rounds[min(len(asked), len(rounds)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(outbound.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_the_address_that_was_checked_is_the_one_that_is_asked(shop, server, monkeypatch):
    asked = answering(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with serving("127.0.0.2", server.server_port) as inside:
        photo_fetch(merchant_id=shop.merchant.pk, url=f"http://shop.test:{server.server_port}/mug.jpg")
        assert (asked, inside.asked) == (["shop.test"], [])
    assert server.asked == [("/mug.jpg", f"shop.test:{server.server_port}")]


def test_one_bad_answer_among_good_ones(shop, server, monkeypatch):
    answering(monkeypatch, ["127.0.0.1", "127.0.0.2"])
    assert refused(shop, f"http://shop.test:{server.server_port}/mug.jpg") == "photo_url_refused"
    assert server.asked == []


def test_no_proxy_of_the_environment_is_asked(shop, server, monkeypatch):
    with serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        assert photo_fetch(merchant_id=shop.merchant.pk, url=f"{server.url}/mug.jpg") == jpeg()
        assert proxy.asked == []


def test_a_merchant_with_slow_servers_takes_no_ones_place(shop, other, server):
    running = [
        threading.Thread(target=photos_fetch, kwargs={"merchant_id": shop.merchant.pk, "urls": [f"{server.url}/drips"]})
        for _ in range(photo_address.MERCHANT_AT_ONCE)
    ]
    for thread in running:
        thread.start()
    while len(server.asked) < len(running):
        time.sleep(0.01)
    body = {"photo_url": f"{server.url}/mug.jpg"}
    refusal = shop.client.post(f"{API}/search-jobs", body, format="json")
    problem(refusal, 503, "photo_url_busy")
    assert refusal.headers["Retry-After"] == "5"
    assert other.client.post(f"{API}/search-jobs", body, format="json").status_code == 202
    server.over.set()
    for thread in running:
        thread.join()
    assert shop.client.post(f"{API}/search-jobs", body, format="json").status_code == 202
