"""Signatures as Standard Webhooks has them, checked by its published example and by the code in our own docs."""

import base64
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from catalog.services.webhooks.signature import secret_new, signed_headers

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "webhooks.md"
BODY = '{"type":"vitrine.test","data":{"message":"Grüße, 你好"}}'.encode()


def test_the_example_of_the_reference_libraries():
    headers = signed_headers(
        keys=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets_are_as_the_specification_wants_them():
    secret = secret_new()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert secret != secret_new()


def example(language):
    """The code of the docs."""
    return re.search(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]


def python_says(secret, headers, body):
    names = {}
    exec(example("python"), names)
    return names["verified"](secret, headers, body)


def javascript_says(secret, headers, body):
    if not shutil.which("node"):
        pytest.skip("needs node")
    given = json.dumps([secret, headers, base64.b64encode(body).decode()])
    script = f"""{example("javascript")}
    const [secret, headers, body] = {given};
    console.log(JSON.stringify(verified(secret, headers, Buffer.from(body, "base64"))));"""
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("verified", [python_says, javascript_says])
def test_the_code_in_the_docs(verified):
    secret, before = secret_new(), secret_new()
    now = int(time.time())

    def sent(*keys, at=now):
        return signed_headers(keys=keys, message_id="0b0e", timestamp=at, body=BODY)

    assert verified(secret, sent(secret), BODY) is True
    assert verified(secret, sent(before, secret), BODY) is True
    assert verified(before, sent(secret, before), BODY) is True
    assert verified(secret, sent(before), BODY) is False
    assert verified(secret, sent(secret), BODY + b" ") is False
    assert verified(secret, sent(secret) | {"webhook-id": "0b0f"}, BODY) is False
    assert verified(secret, sent(secret) | {"webhook-timestamp": str(now + 1)}, BODY) is False
    assert verified(secret, sent(secret, at=now - 600), BODY) is False
    assert verified(secret, sent(secret, at=now + 600), BODY) is False
    assert verified(secret, sent(secret) | {"webhook-signature": "v1,AAAA v2,x nonsense"}, BODY) is False
