"""A plugin that pytest loads before Django's (see pyproject.toml): every test runs in folders of its own.

The environment is read once, when Django's settings are first looked at, so it must be right before that.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.broker import RedisServer, free_port

VAR = Path(tempfile.mkdtemp(prefix="vitrine-tests-"))
atexit.register(shutil.rmtree, VAR, ignore_errors=True)
REDIS = RedisServer(free_port(), VAR / "redis")  # nobody listens there until a test asks for it
(VAR / "static").mkdir()  # whitenoise warns where there is none

for name in [name for name in os.environ if name.startswith("VITRINE_") and not name.startswith("VITRINE_TEST_")]:
    del os.environ[name]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would each compile the project anew
os.environ["VITRINE_VAR"] = str(VAR)
os.environ |= {"VITRINE_GOLD_SHARE": "0", "VITRINE_SECOND_SHARE": "0"}  # by chance; tests of opinions ask for them
os.environ["REDIS_URL"] = REDIS.url
os.environ["DATABASE_URL"] = os.environ.get("VITRINE_TEST_DATABASE_URL", "")
