"""The figures of quality: against values from the literature, and thresholds against a truth that is known."""

import random

import pytest

from catalog.measures import GRID, Judged, Share, decisions_needed, difference, threshold_choose, wilson


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [  # the first three: Newcombe, 1998, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(right, total, low, high):
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)
    assert Share(right, total).interval == wilson(right, total)


def test_a_share_of_nothing_has_no_value():
    assert (Share(0, 0).value, Share(3, 4).value) == (None, 0.75)


@pytest.mark.parametrize(
    ("now", "before", "z"),
    [
        (Share(60, 100), Share(160, 200), -3.6927),
        (Share(160, 200), Share(60, 100), 3.6927),
        (Share(10, 10), Share(20, 20), 0.0),
        (Share(0, 0), Share(20, 20), None),
        (Share(5, 10), Share(0, 0), None),
    ],
)
def test_difference(now, before, z):
    assert difference(now, before) == (None if z is None else pytest.approx(z, abs=1e-4))


def test_too_few_decisions_choose_nothing():
    enough = decisions_needed(0.95)
    right = [Judged(0.99, True)] * enough
    assert threshold_choose(right[:-1], 0.95) is None
    chosen = threshold_choose(right, 0.95)
    assert chosen and (chosen.value, chosen.precision, chosen.decided) == (GRID[0], 1.0, enough)
    assert threshold_choose([], 0.5) is None


def test_one_that_stands_for_fifty_counts_as_fifty_and_makes_the_data_smaller():
    """A wrong control sample weighs as much as fifty decided items, and the bound knows how few there are."""
    decided = [Judged(0.6, True)] * 400
    assert threshold_choose(decided, 0.95) is not None
    assert threshold_choose([*decided, Judged(0.9, False, 50.0)], 0.95) is None
    assert threshold_choose([*decided, *[Judged(0.9, True, 50.0)] * 20], 0.95) is None  # effective size: 39


def _drawn(rng, chance_of, items=8000, share=0.4):
    """A population whose item is right with ``chance_of(probability)``: what was decided of it, and all of it."""
    everything = [(p, rng.random() < chance_of(p)) for p in (rng.random() for _ in range(items))]
    decided = [Judged(p, right) for p, right in everything if p < 0.8]
    decided += [Judged(p, right, 1 / share) for p, right in everything if p >= 0.8 and rng.random() < share]
    return decided, [p for p, _ in everything]


@pytest.mark.parametrize("wanted", [0.8, 0.9, 0.95])
def test_the_precision_achieved_keeps_to_what_was_wanted(wanted):
    """Thirty shops whose machine is right by another curve than it says. 5 % may miss: 4 or fewer of 30 (98.4 %)."""
    rng = random.Random(7)

    def chance(probability):
        return min(1.0, 1.1 * probability) ** 0.5

    achieved = []
    for _ in range(30):
        decided, everything = _drawn(rng, chance)
        if found := threshold_choose(decided, wanted):
            above = [p for p in everything if p >= found.value]
            achieved.append(sum(map(chance, above)) / len(above))
    assert len(achieved) >= 25
    assert sum(each < wanted for each in achieved) <= 4
    assert sum(achieved) / len(achieved) < wanted + 0.05  # it does not buy precision with needless work
