"""Names whose address changes, by a real name server: run in a network of its own, where that is the only one.

No root is needed where users may make namespaces. What happens inside stands in ``tests/rebinding.py``.
"""

import os
import shutil
import subprocess
import sys

import pytest

from tests.line import ROOT
from tests.rebinding import PUBLIC

OWN_NETWORK = ("unshare", "--map-root-user", "--net", "--mount")
SET_UP = f"""
set -e
mount --bind "$0/resolv.conf" /etc/resolv.conf
mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf
ip link set lo up
ip address add {PUBLIC}/32 dev lo
exec "$@"
"""


def refused() -> str:
    """Why there can be no network of one's own here; empty: there can."""
    if missing := [name for name in ("unshare", "mount", "ip") if not shutil.which(name)]:
        return f"there is no `{missing[0]}`"
    made = subprocess.run([*OWN_NETWORK, "true"], capture_output=True, text=True)
    return made.stderr.strip() if made.returncode else ""


REFUSED = refused()


@pytest.mark.skipif(bool(REFUSED), reason=f"no network of its own: {REFUSED}")
def test_a_name_that_changes_its_address_leads_nowhere_private(tmp_path):
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-migrations", "tests/rebinding.py"]
    alone = {name: value for name, value in os.environ.items() if name != "VITRINE_TEST_DATABASE_URL"}
    done = subprocess.run(
        [*OWN_NETWORK, "sh", "-c", SET_UP, tmp_path, *tests], cwd=ROOT, env=alone, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
