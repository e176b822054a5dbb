"""Verdicts: exact, because deciding is arithmetic."""

import math
from dataclasses import replace

import pytest

from recognition.decide import REASONS, Calibration, Decision, Similarity, Thresholds, decide, evidence, relation

CALIBRATION = Calibration(True, intercept=-4.0, similarity=6.0, margin=10.0, votes=1.0, background=0.5)
THRESHOLDS = Thresholds(sure=0.9, review=0.3, same=0.8, similar=0.6, close_margin=0.05)


def judge(*rows: tuple[str, float, int]) -> Decision:
    return decide([Similarity(*row) for row in rows], CALIBRATION, THRESHOLDS)


def odds(similarity: float, margin: float, votes: int) -> float:
    return math.exp(-4.0 + 6.0 * similarity + 10.0 * margin + math.log1p(votes))


def test_nothing_to_compare_with():
    assert judge() == Decision("UNKNOWN", "no_candidates", ())


def test_a_clear_match():
    decision = judge(("mug", 0.9, 3), ("cup", 0.6, 1))
    assert (decision.verdict, decision.reason) == ("SURE", "clear_match")
    mug, cup = odds(0.9, 0.3, 3), odds(0.6, -0.3, 1)
    assert decision.probabilities == pytest.approx((mug / (1 + mug + cup), cup / (1 + mug + cup)))


def test_a_single_product_is_compared_with_the_background():
    assert judge(("mug", 0.8, 2)).probabilities == (pytest.approx(odds(0.8, 0.3, 2) / (1 + odds(0.8, 0.3, 2))),)


def test_a_close_runner_up():
    decision = judge(("mug", 0.7, 1), ("cup", 0.68, 1))
    assert (decision.verdict, decision.reason) == ("REVIEW", "close_runner_up")


def test_a_weak_match():
    decision = judge(("mug", 0.6, 0), ("cup", 0.5, 0))
    assert (decision.verdict, decision.reason) == ("REVIEW", "weak_match")


def test_nothing_like_it():
    decision = judge(("mug", 0.1, 1), ("cup", 0.05, 1))
    assert (decision.verdict, decision.reason) == ("UNKNOWN", "nothing_like_it")
    assert max(decision.probabilities) < 0.3


def test_probabilities_never_add_up_to_more_than_one():
    decision = judge(("a", 0.99, 9), ("b", 0.99, 9), ("c", 0.99, 9))
    assert 0.9 < sum(decision.probabilities) < 1.0
    assert len(set(decision.probabilities)) == 1


def test_probabilities_come_in_the_order_of_the_candidates():
    forward, back = judge(("mug", 0.8, 2), ("cup", 0.7, 1)), judge(("cup", 0.7, 1), ("mug", 0.8, 2))
    assert forward.probabilities == back.probabilities[::-1]


def test_the_verdict_is_about_the_first_candidate():
    """It is the one that is accepted: another that is likelier, by its votes or because words put it second, is not."""
    clear = judge(("mug", 0.9, 3), ("cup", 0.6, 1))
    assert (clear.verdict, clear.reason) == ("SURE", "clear_match")
    turned = judge(("cup", 0.6, 1), ("mug", 0.9, 3))
    assert (turned.verdict, turned.reason) == ("UNKNOWN", "nothing_like_it")
    voted = judge(("cup", 0.74, 0), ("mug", 0.73, 5))
    assert voted.probabilities[0] < voted.probabilities[1] and voted.verdict == "UNKNOWN"
    thresholds = replace(THRESHOLDS, sure_by_category={"mugs": 0.999})
    pair = [Similarity("mug", 0.9, 3, "mugs"), Similarity("cup", 0.6, 1)]
    assert decide(pair, CALIBRATION, thresholds).verdict == "REVIEW"


def test_more_of_anything_is_never_less_likely():
    base = judge(("mug", 0.6, 1), ("cup", 0.5, 1)).probabilities[0]
    assert judge(("mug", 0.7, 1), ("cup", 0.6, 1)).probabilities[0] > base  # more similar
    assert judge(("mug", 0.6, 1), ("cup", 0.4, 1)).probabilities[0] > base  # further ahead
    assert judge(("mug", 0.6, 3), ("cup", 0.5, 1)).probabilities[0] > base  # more votes


def test_votes_are_capped():
    rows = evidence([Similarity("mug", 0.5, 5), Similarity("cup", 0.4, 500), Similarity("jug", 0.3, -2)], CALIBRATION)
    assert [row[2] for row in rows] == [math.log1p(5), math.log1p(5), 0.0]


@pytest.mark.parametrize("similarity", [-1.0, 0.0, 1.0, 1e9, -1e9])
def test_extremes_do_not_overflow(similarity):
    assert 0.0 <= judge(("mug", similarity, 1)).probabilities[0] <= 1.0


def test_same_and_similar_are_two_thresholds():
    assert [relation(value, THRESHOLDS) for value in (0.8, 0.79, 0.6, 0.59)] == ["same", "similar", "similar", "other"]


def test_every_reason_is_explained():
    seen = {judge().reason, judge(("a", 1.0, 5)).reason, judge(("a", 0.7, 1), ("b", 0.68, 1)).reason}
    seen |= {judge(("mug", 0.6, 0), ("cup", 0.5, 0)).reason, judge(("a", -1.0, 0)).reason}
    assert seen == REASONS
