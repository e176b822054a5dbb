"""The account of the device's time: bulk work keeps a tenth of it, in turns that a search hardly notices."""

import pytest

from workers.turns import BULK_SECONDS, BULK_SHARE, Turns


def work(turns, seconds, photos=0):
    """A turn of other work than searches, from its beginning to its end."""
    turns.begun()
    turns.worked(seconds, photos=photos)


@pytest.mark.parametrize(("seconds_a_photo", "photos"), [(0.001, 32), (0.002, 25), (0.006, 8), (0.04, 1), (2.0, 1)])
def test_a_turn_of_bulk_work_is_bounded_by_the_wait_it_causes(seconds_a_photo, photos):
    turns = Turns(32)
    assert turns.bulk_photos == 32, "nothing is known yet"
    for _ in range(50):
        work(turns, seconds_a_photo * turns.bulk_photos, photos=turns.bulk_photos)
    assert turns.bulk_photos == photos


def test_one_slow_turn_does_not_shrink_the_next_for_long():
    turns = Turns(8)
    for _ in range(20):
        work(turns, 0.04, photos=8)
    work(turns, 0.4, photos=8)
    assert turns.bulk_photos == 3
    for _ in range(10):
        work(turns, 0.005 * turns.bulk_photos, photos=turns.bulk_photos)
    assert turns.bulk_photos == 8


def test_bulk_keeps_its_share_where_searches_never_pause():
    turns = Turns(8)
    work(turns, 0.04, photos=8)
    bulk = searches = 0.0
    for _ in range(10_000):
        if turns.bulk_is_due:
            work(turns, 0.04, photos=8)
            bulk += 0.04
        else:
            turns.searched(0.007, bulk_waits=True)
            searches += 0.007
    assert bulk / (bulk + searches) == pytest.approx(BULK_SHARE, rel=0.01)


def test_what_does_not_wait_is_owed_nothing():
    turns = Turns(8)
    work(turns, BULK_SECONDS, photos=8)
    for _ in range(1_000):
        turns.searched(1.0, bulk_waits=False)
    assert not turns.bulk_is_due
    turns.searched(0.01, bulk_waits=True)
    assert not turns.bulk_is_due
    turns.searched(9 * BULK_SECONDS, bulk_waits=True)
    assert turns.bulk_is_due
    work(turns, BULK_SECONDS)  # a call's turn counts
    assert not turns.bulk_is_due


def test_a_turn_that_bulk_is_owed_is_taken_by_one_lane_alone():
    turns = Turns(1)
    work(turns, 0.01, photos=1)
    turns.searched(0.1, bulk_waits=True)
    assert turns.bulk_is_due
    turns.begun()
    assert not turns.bulk_is_due, "another lane pays it back already"
    turns.searched(0.09, bulk_waits=True)
    assert turns.bulk_is_due, "by now it is owed two"
    turns.worked(0.01, photos=1)
    assert turns.bulk_is_due
