"""The intervals: against published values, by hand, and by how often they hold what they promise to hold."""

import math

import numpy as np
import pandas as pd
import pytest

import attnprune_edu as ap

TABLE = pd.DataFrame(
    [
        (criterion, ratio, seed, base + 0.1 * seed + extra)
        for criterion, base, noise in [("new", 0.5, (0.02, 0.03, 0.04)), ("old", 0.5, (0.0, 0.0, 0.0))]
        for ratio in (0.3, 0.5)
        for seed, extra in enumerate(noise)
    ],
    columns=["criterion", "pruning_ratio", "seed", "accuracy"],
)


def test_the_interval_of_an_accuracy_is_wilsons():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263.
    assert ap.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert ap.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    low, high = ap.wilson(20, 20)
    assert low < 1 and high == pytest.approx(1)
    assert all(0 <= end <= 1 for n in range(1, 400) for correct in (0, n) for end in ap.wilson(correct, n))


@pytest.mark.parametrize(("correct", "num_images"), [(0, 0), (5, 3), (-1, 10)])
def test_an_impossible_count_is_named(correct, num_images):
    with pytest.raises(ValueError, match=f"correct={correct}, num_images={num_images}"):
        ap.wilson(correct, num_images)


def test_the_interval_of_a_mean_is_students():
    # t for 2 degrees of freedom and 95 % is 4.303; the standard deviation of 1, 2, 3 is 1.
    assert ap.mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), abs=1e-4)
    assert ap.mean_interval([0.7]) == (0.7, -math.inf, math.inf), "one run says nothing about the spread"
    assert ap.mean_interval([0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_nineteen_of_twenty_intervals_hold_the_true_mean():
    random = np.random.default_rng(0)
    held = [low <= 0.6 <= high for _, low, high in map(ap.mean_interval, random.normal(0.6, 0.02, (2000, 3)))]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_a_mean_of_nothing_or_of_no_numbers_is_refused(values):
    with pytest.raises(ValueError, match="values must be one or more finite numbers"):
        ap.mean_interval(values)


def test_runs_of_one_seed_are_compared_with_each_other():
    found = ap.paired_difference(TABLE, "new", "old")
    assert list(found.index) == [0.3, 0.5] and list(found.runs) == [3, 3]
    assert found.difference.tolist() == pytest.approx([0.03, 0.03])
    # The seeds lie 0.1 apart, but what is compared differs by 0.02 to 0.04 only.
    half = 4.3027 * 0.01 / math.sqrt(3)
    assert found.low.tolist() == pytest.approx([0.03 - half] * 2, abs=1e-5)
    assert found.high.tolist() == pytest.approx([0.03 + half] * 2, abs=1e-5)
    turned = ap.paired_difference(TABLE, "old", "new")
    assert turned.low.tolist() == pytest.approx((-found.high).tolist())
    assert (ap.paired_difference(TABLE, "new", "new")[["difference", "low", "high"]] == 0).all(axis=None)


def test_only_common_runs_count():
    random = np.random.default_rng(0)
    table = TABLE.assign(accuracy=random.random(len(TABLE)))
    runs = {criterion: rows.set_index(["pruning_ratio", "seed"]).accuracy for criterion, rows in table.groupby("criterion")}
    gaps = table.drop(table[(table.criterion == "old") & (table.pruning_ratio == 0.5) & (table.seed == 0)].index)
    gaps.loc[(gaps.criterion == "new") & (gaps.pruning_ratio == 0.5) & (gaps.seed == 1), "accuracy"] = math.nan
    gaps = pd.concat([gaps, gaps[gaps.accuracy.isna()]])  # a run without a result does not count, however often it is there
    found = ap.paired_difference(gaps.sample(frac=1, random_state=0).assign(remark=math.nan), "new", "old")
    assert found.index.tolist() == [0.3, 0.5] and found.index.name == "pruning_ratio"
    assert found.runs.tolist() == [3, 1] and pd.api.types.is_integer_dtype(found.runs)
    differences = runs["new"] - runs["old"]
    assert found.loc[0.3, ["difference", "low", "high"]].tolist() == pytest.approx(ap.mean_interval(differences[0.3]))
    assert found.loc[0.5].tolist() == pytest.approx([differences[0.5, 2], -math.inf, math.inf, 1])
    assert ap.paired_difference(gaps[(gaps.pruning_ratio == 0.3) | (gaps.seed == 0)], "new", "old").index.tolist() == [0.3]


def test_any_columns_may_be_compared():
    names = {"criterion": "schedule", "pruning_ratio": "stages", "accuracy": "recall"}
    other = TABLE.rename(columns=names).assign(accuracy=0.0, criterion="new", pruning_ratio=0.1)
    found = ap.paired_difference(other, "new", "old", y="recall", by="schedule", x="stages")
    pd.testing.assert_frame_equal(found, ap.paired_difference(TABLE, "new", "old").rename_axis("stages"))


@pytest.mark.parametrize("column", TABLE.columns)
def test_a_column_that_is_missing_is_named(column):
    says = rf"table must have the columns 'criterion', 'pruning_ratio', 'seed' and 'accuracy', it lacks \['{column}'\]"
    with pytest.raises(ValueError, match=says):
        ap.paired_difference(TABLE.drop(columns=column), "new", "old")


def test_what_cannot_be_compared_is_named():
    for names in (("new", "none"), ("none", "new")):
        with pytest.raises(ValueError, match=r"runs in common, of \['new', 'old'\]; got '{}' and '{}'".format(*names)):
            ap.paired_difference(TABLE, *names)
    for row, name in ((0, "new"), (-1, "old")):
        with pytest.raises(ValueError, match=f"'{name}' has several for one pruning_ratio and seed"):
            ap.paired_difference(pd.concat([TABLE, TABLE.iloc[[row]]]), "new", "old")
