"""Cuts of a photo: which of several are the same thing."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from recognition.decide import Decision
from workers.batching import DeviceItem, ItemVectors
from workers.contract import Candidate, Scores
from workers.cuts import Cut, without_doubles


def cut(box, product=1, probability=0.5):
    best = Candidate(
        product_id=UUID(int=product), photo_id=UUID(int=9), scores=Scores(rank=0.5), probability=probability
    )
    decision = Decision("REVIEW", "weak_match", (probability,))
    item = DeviceItem()
    item.future.set_result(ItemVectors(image=np.ones(8, np.float32) / np.sqrt(8), subject=None))
    return Cut(item, box, decision=decision, candidates=(best,) if product else ())


LEFT, SHIFTED, RIGHT = (0.0, 0.0, 0.4, 0.4), (0.05, 0.0, 0.45, 0.4), (0.6, 0.0, 1.0, 0.4)


def test_overlapping_cuts_of_one_product_are_one_thing_the_likeliest():
    weak, strong = cut(LEFT, probability=0.3), cut(SHIFTED, probability=0.8)
    assert without_doubles([weak, strong]) == [strong]


def test_the_same_product_twice_in_a_photo_is_two_things():
    one, other = cut(LEFT, probability=0.3), cut(RIGHT, probability=0.8)
    assert without_doubles([one, other]) == [other, one]


def test_two_products_may_overlap():
    one, other = cut(LEFT, product=1, probability=0.6), cut(SHIFTED, product=2, probability=0.5)
    assert without_doubles([other, one]) == [one, other]


def test_things_like_no_product_come_last_and_once_a_place():
    unknown = [cut(LEFT, product=0), cut(SHIFTED, product=0), cut(RIGHT, product=0)]
    known = cut(SHIFTED, probability=0.1)
    assert without_doubles([*unknown, known]) == [known, unknown[0], unknown[2]]
    assert without_doubles([]) == []


def test_what_goes_back_says_where():
    found = replace(cut(LEFT), square=SHIFTED)
    assert (found.outcome(found.decision).box, found.outcome(found.decision).cut) == (LEFT, SHIFTED)
    whole = cut(None)
    assert (whole.outcome(whole.decision).box, whole.outcome(whole.decision).cut) == ((0.0, 0.0, 1.0, 1.0), None)
    assert whole.outcome(whole.decision).candidates[0].probability == pytest.approx(0.5)
