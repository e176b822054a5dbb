"""The guarded way out: what it refuses, that it connects to what it judged, and that it always comes to an end."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from catalog.services import outbound
from catalog.services.outbound import OutboundError, fetch, url_check
from tests.receiver import Receiver


@pytest.fixture
def private(setting):
    """Loopback is allowed: the tests' servers are there."""
    setting("VITRINE_OUTBOUND_NETWORKS", "127.0.0.0/8")


@pytest.fixture
def names(monkeypatch):
    """A name server of one's own: ``names["a.test"]`` is a list of answers, each used for one look-up."""
    known, real = {}, socket.getaddrinfo

    def lookup(host, port, *args, **kwargs):
        if host not in known:
            return real(host, port, *args, **kwargs)
        addresses = known[host].pop(0)
        return [entry for each in addresses for entry in real(each, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return known


def get(url, **limits):
    return fetch("GET", url, **{"seconds": 5, "max_bytes": 1_000, **limits})


def refusal(call):
    with pytest.raises(OutboundError) as refused:
        call()
    return refused.value.code


PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.88.99.1", "198.18.0.1", "203.0.113.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "::127.0.0.1", "2002:101:101::", "::ffff:1.1.1.1", "2001:0:101:101::1", "64:ff9b:1::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused(address):
    host = f"[{address}]" if ":" in address else address
    assert refusal(lambda: url_check(f"https://{host}/x")) == "address_refused"
    assert refusal(lambda: get(f"https://{host}/x")) == "address_refused"


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_taken(address):
    assert outbound.is_public(ip_address(address))


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1"])
def test_names_and_odd_spellings_of_a_private_address_are_refused(host):
    with Receiver() as server:
        assert refusal(lambda: get(f"http://{host}:{server.port}/")) == "address_refused"
        assert server.requests == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(names):
    names["mixed.test"] = [["93.184.216.34", "10.0.0.1"]]
    assert refusal(lambda: get("http://mixed.test/")) == "address_refused"


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "ftp://a.test/", "file:///etc/passwd", "gopher://a.test/", "//a.test/", "http://", "http:///x",
        "https://user:secret@a.test/", "https://user@a.test/", "http://a.test:99999/", "http://[::1", "http://a b/",
        "https://a.test/" + "x" * 2_000, "javascript:alert(1)", "http://0177.0.0.1/", "http://a.test:0/", "unix:///run/docker.sock",
    ],
)  # fmt: skip
def test_what_is_no_web_address(url):
    assert refusal(lambda: url_check(url)) == "url_invalid"


def test_the_request_arrives_whole(private):
    with Receiver() as server:
        server.answer(202, b"thanks", X_Told="yes")
        url = f"{server.url}/a%20b?c=d"
        answer = fetch("POST", url, seconds=5, max_bytes=100, headers={"X-One": "1"}, body=b"hello")
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/hook/a%20b?c=d", b"hello")
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert (request.headers["x-one"], request.headers["accept-encoding"]) == ("1", "identity")
    assert (answer.status, answer.body, answer.is_whole) == (202, b"thanks", True)
    assert answer.headers["x-told"] == "yes"


def test_it_connects_to_the_address_that_was_judged(private, names):
    """The second answer of the name server, another host, must never be asked for."""
    with Receiver() as first, Receiver(host="127.0.0.2", port=first.port) as second:
        names["rebind.test"] = [["127.0.0.1"], ["127.0.0.2"]]
        assert get(f"http://rebind.test:{first.port}/").status == 204
        assert (len(first.requests), len(second.requests)) == (1, 0)
        assert first.requests[0].headers["host"] == f"rebind.test:{first.port}"
        assert names["rebind.test"] == [["127.0.0.2"]]


def test_it_tries_the_next_address_of_a_name(private, names):
    with Receiver(host="127.0.0.2") as server:
        names["two.test"] = [["127.0.0.3", "127.0.0.2"]]
        assert get(f"http://two.test:{server.port}/").status == 204


def test_redirects_are_answers(private):
    with Receiver() as target, Receiver() as server:
        server.answer(302, Location=target.url)
        answer = get(server.url)
        assert (answer.status, answer.headers["location"]) == (302, target.url)
        assert target.requests == []


def test_proxies_of_the_environment_are_not_asked(private, monkeypatch):
    with Receiver() as proxy, Receiver() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert get(server.url).status == 204
        assert proxy.requests == []


@contextmanager
def talker(*sayings, pause=0.0):
    """A server that reads a little, says each of these with a pause after it, and then stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def talk():
            caller, _ = listener.accept()
            with caller:
                caller.recv(65_536)
                for each in sayings:
                    try:
                        caller.sendall(each)
                    except OSError:
                        return
                    if over.wait(pause):
                        return
                over.wait(30)

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "sayings",
    [
        [],
        [bytes([each]) for each in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200],
        [OK + b"Content-Length: 500\r\n\r\n"] + [b"x"] * 200,
    ],
    ids=["silent", "headers drip", "body drips"],
)
def test_an_answer_that_takes_for_ever_ends_at_the_deadline(private, sayings):
    with talker(*sayings, pause=0.1) as url:
        began = time.monotonic()
        assert refusal(lambda: get(url, seconds=1)) == "timed_out"
        assert time.monotonic() - began < 8  # every single step was quicker than a second: only the sum is bounded


def test_a_body_without_end_is_cut(private):
    block = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with talker(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[block] * 50) as url:
        answer = get(url)
    assert (answer.body, answer.is_whole) == (b"x" * 1_000, False)


def test_a_body_of_just_the_limit_is_whole(private):
    with Receiver() as server:
        server.answer(200, b"x" * 1_000)
        assert get(server.url).is_whole
        server.answer(200, b"x" * 1_001)
        assert not get(server.url).is_whole


def test_what_is_no_http(private):
    with talker(b"220 mail.test ESMTP\r\n\r\n") as url:
        assert refusal(lambda: get(url)) == "answer_invalid"


def test_nobody_there(private):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert refusal(lambda: get(f"http://127.0.0.1:{port}/")) == "connect_failed"


def test_a_name_that_means_nothing(private):
    assert refusal(lambda: get("http://nobody.invalid/")) == "host_unknown"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for ``shop.test``, signed by itself, made with openssl."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=shop.test -addext subjectAltName=DNS:shop.test"
    )
    subprocess.run(
        [*command.split(), "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    return folder


def test_tls_is_checked_against_the_name_though_the_address_is_fixed(private, names, certificate, monkeypatch):
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with Receiver(tls=served) as server:
        for host in ("shop.test", "other.test"):
            names[host] = [["127.0.0.1"]] * 3
        address = f"https://{{}}:{server.port}/"
        outbound._ssl_context.cache_clear()
        assert refusal(lambda: get(address.format("shop.test"))) == "tls_failed"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        outbound._ssl_context.cache_clear()
        assert get(address.format("shop.test")).status == 204
        assert refusal(lambda: get(address.format("other.test"))) == "tls_failed"
        assert len(server.requests) == 1
    outbound._ssl_context.cache_clear()
