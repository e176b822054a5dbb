"""That a long run comes to an end on a machine that is too slow for it: ``kills`` and ``flush`` are bound by time."""

import random
import time

import pytest

from tests.chaos.flush import Share
from tests.chaos.kills import kill_all_along

pytestmark = pytest.mark.slow
NEVER = 1_000_000  # photos: the upload never comes so far


def test_nobody_is_killed_any_more_once_the_time_is_over(rig):
    rig.keep_alive()
    living = {name: process.pid for name, process in rig.parts.items()}
    assert kill_all_along(rig, NEVER, 100, random.Random(7), time.monotonic() + 0.5).total() == 0
    assert {name: process.pid for name, process in rig.parts.items()} == living


def test_what_waits_for_the_upload_waits_for_its_share_of_the_time_at_the_most(rig):
    share = Share(rig, NEVER, 1.0)
    started = time.monotonic()
    share.wait_for(0.5)
    assert 0.4 < time.monotonic() - started < 60
