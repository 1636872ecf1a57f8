"""The board of claims, and the widget that moves one."""

import numpy as np
import pytest

import attnprune_edu as ap

RUNS = [1.0, 2.0, 3.0]  # 95 % interval −0.484 to 4.484
CLAIMS = {"small": (RUNS, -1), "open": (RUNS, 2), "large": (RUNS, 6), "once": ([2.0], 0)}


def test_each_claim_has_its_runs_its_interval_its_bar_and_its_verdict():
    (axis,) = ap.plots.plot_claims(CLAIMS).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(CLAIMS)
    assert [text.get_text() for text in axis.texts] == ["holds", "undecided", "refuted", "undecided"]
    lines = [np.asarray(line.get_xydata()).round(3).tolist() for line in axis.lines]
    for row, (runs, at_least) in enumerate(CLAIMS.values()):
        drawn = [line for line in lines if all(abs(y - row) < 0.5 for _, y in line)]
        assert [[at_least, row - 0.38], [at_least, row + 0.38]] in drawn
        assert [[run, row + 0.25] for run in runs] in drawn and [[2, row]] in drawn
        assert [[-0.484, row], [4.484, row]] in drawn or len(runs) == 1
    looks = {(line.get_color(), line.get_marker()) for line in axis.lines if line.get_markersize() == 8}
    assert len({color for color, _ in looks}) == len({marker for _, marker in looks}) == 3


def test_no_claim_is_no_board():
    with pytest.raises(ValueError, match="claims must hold at least one claim"):
        ap.plots.plot_claims({})


def test_the_widget_judges_what_its_controls_say():
    widget = ap.widgets.claim_explorer({"first": RUNS, "second": [-5.0, -5.1, -4.9]}, reach=6)
    what, at_least, runs, picture = widget.children
    assert "“first: at least +0.0 points” is undecided: 3 runs, mean +2.0, 95 % interval −0.5 to +4.5" in picture.value
    at_least.value = -1
    assert "holds" in picture.value and "is holds" not in picture.value
    what.value = "second"
    assert "is refuted" in picture.value
    runs.value = 1
    assert "is undecided: 1 run, mean −5.0, which leaves everything open" in picture.value


@pytest.mark.parametrize("at_least", [-20, 0, 20])
def test_the_picture_shows_all_that_was_measured_and_the_claim(at_least, monkeypatch):
    drawn = []
    monkeypatch.setattr(ap.plots, "png", drawn.append)
    ap.widgets.claim_picture({"first": RUNS, "second": [-5.0, -5.1]}, "first", at_least, 3)
    low, high = drawn[0].axes[0].get_xlim()
    assert low < min(-5.1, at_least) and max(3, at_least) < high


def test_the_widget_needs_runs():
    for measured in ({}, {"first": RUNS, "second": [1.0]}):
        with pytest.raises(ValueError, match="measured must hold lists of two runs or more, got"):
            ap.widgets.claim_explorer(measured)
    with pytest.raises(ValueError, match=r"what must be one of \['first'\], got 'other'"):
        ap.widgets.claim_picture({"first": RUNS}, "other", 0, 3)
    with pytest.raises(ValueError, match="runs must be at least 1, got 0"):
        ap.widgets.claim_picture({"first": RUNS}, "first", 0, 0)
