"""What is said of a claim."""

import math

import pytest

import attnprune_edu as ap

RUNS = [1.0, 2.0, 3.0]  # mean 2, and ± 4.303 / √3 = ± 2.484: from −0.484 to 4.484


@pytest.mark.parametrize(
    ("at_least", "verdict"),
    [(-1, "holds"), (-0.48, "undecided"), (0, "undecided"), (2, "undecided"), (4.48, "undecided"), (4.49, "refuted")],
)
def test_the_whole_interval_decides(at_least, verdict):
    found = ap.judge_claim(RUNS, at_least)
    assert found.verdict == verdict
    assert found[1:] == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-4)
    assert str(found) == f"{verdict}: +2.00 (-0.48 to +4.48)"


def test_a_claim_is_met_by_what_is_exactly_as_large():
    assert ap.judge_claim([0.0, 0.0], at_least=0).verdict == "holds"


@pytest.mark.parametrize("at_least", [-100, 0, 100])
def test_a_single_run_decides_nothing(at_least):
    assert ap.judge_claim([5.0], at_least).verdict == "undecided"


@pytest.mark.parametrize("at_least", [math.nan, math.inf])
def test_a_claim_without_a_number_is_none(at_least):
    with pytest.raises(ValueError, match="at_least must be a finite number, got"):
        ap.judge_claim(RUNS, at_least)
    with pytest.raises(ValueError, match="values must be one or more finite numbers, got"):
        ap.judge_claim([*RUNS, at_least])
