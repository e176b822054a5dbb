"""The account of the device's time: bulk work keeps a tenth of it, in turns that a search hardly notices."""

import pytest

from workers.turns import BULK_SECONDS, BULK_SHARE, Turns


@pytest.mark.parametrize(("seconds_a_photo", "photos"), [(0.001, 32), (0.002, 25), (0.006, 8), (0.04, 1), (2.0, 1)])
def test_a_turn_of_bulk_work_is_bounded_by_the_wait_it_causes(seconds_a_photo, photos):
    turns = Turns(32)
    assert turns.bulk_photos == 32, "nothing is known yet"
    for _ in range(50):
        turns.worked(seconds_a_photo * turns.bulk_photos, photos=turns.bulk_photos)
    assert turns.bulk_photos == photos


def test_one_slow_turn_does_not_shrink_the_next_for_long():
    turns = Turns(8)
    for _ in range(20):
        turns.worked(0.04, photos=8)
    turns.worked(0.4, photos=8)
    assert turns.bulk_photos == 3
    for _ in range(10):
        turns.worked(0.005 * turns.bulk_photos, photos=turns.bulk_photos)
    assert turns.bulk_photos == 8


def test_bulk_keeps_its_share_where_searches_never_pause():
    turns = Turns(8)
    turns.worked(0.04, photos=8)
    bulk = searches = 0.0
    for _ in range(10_000):
        if turns.bulk_is_due:
            turns.worked(0.04, photos=8)
            bulk += 0.04
        else:
            turns.searched(0.007, bulk_waits=True)
            searches += 0.007
    assert bulk / (bulk + searches) == pytest.approx(BULK_SHARE, rel=0.01)


def test_what_does_not_wait_is_owed_nothing():
    turns = Turns(8)
    turns.worked(BULK_SECONDS, photos=8)
    for _ in range(1_000):
        turns.searched(1.0, bulk_waits=False)
    assert not turns.bulk_is_due
    turns.searched(0.01, bulk_waits=True)
    assert not turns.bulk_is_due
    turns.searched(9 * BULK_SECONDS, bulk_waits=True)
    assert turns.bulk_is_due
    turns.worked(BULK_SECONDS)  # a call's turn counts
    assert not turns.bulk_is_due
