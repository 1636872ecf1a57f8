import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import attnprune_edu as ap
from attnprune_edu.data.images import Images
from attnprune_edu.report.verification import Pairs

SIMILARITY = torch.tensor([0.9, 0.8, 0.7, 0.7, 0.3, 0.1])
SAME = torch.tensor([True, False, True, False, True, False])


@pytest.fixture(scope="module")
def faces():
    return ap.load_faces("drawn", announce=False)


def test_roc_curve_by_hand():
    table = ap.roc_curve(SIMILARITY, SAME)
    np.testing.assert_allclose(table.threshold, [np.inf, 0.9, 0.8, 0.7, 0.3, 0.1], rtol=1e-6)
    np.testing.assert_allclose(table.true_accept_rate, np.array([0, 1, 1, 2, 3, 3]) / 3)
    np.testing.assert_allclose(table.false_accept_rate, np.array([0, 0, 1, 2, 2, 3]) / 3)


def test_auc_and_equal_error_rate_by_hand():
    # Of the nine comparisons 0.9 wins three, 0.7 wins one and ties with one, 0.3 wins one.
    assert ap.auc(SIMILARITY, SAME) == pytest.approx(5.5 / 9)
    # From 0.8 on: one stranger in three accepted, two of three rejected; from 0.7 on: two and one. Both are as far apart.
    assert ap.equal_error_rate(SIMILARITY, SAME) == pytest.approx(0.5)
    perfect = torch.arange(6.0), torch.tensor([False] * 3 + [True] * 3)
    assert ap.auc(*perfect) == 1 and ap.equal_error_rate(*perfect) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_area_under_the_roc_curve(drawn):
    similarity, same = (torch.tensor(values) for values in zip(*drawn, strict=True))
    if 0 < same.sum() < len(same):
        curve = ap.roc_curve(similarity.float(), same)
        assert ap.auc(similarity.float(), same) == pytest.approx(
            np.trapezoid(curve.true_accept_rate, curve.false_accept_rate)
        )


def test_pairs_are_each_two_pictures_once_with_the_cosine_of_their_embeddings(faces):
    model, pictures = ap.FaceNet.for_data(faces), Images(*(part[10:20] for part in faces.unseen))
    pairs = ap.compare_pairs(model, faces, pictures)
    assert len(pairs.same) == len(pairs.similarity) == 45 and pairs.people.shape == (45, 2)
    embedded = model.embed(faces.normalize(pictures.images)).detach()
    expected = torch.nn.functional.cosine_similarity(embedded[0], embedded[3], dim=0)
    torch.testing.assert_close(pairs.similarity[2], expected)  # 0–1, 0–2, 0–3
    assert pairs.same.tolist() == (pairs.people[:, 0] == pairs.people[:, 1]).tolist()
    assert len(ap.compare_pairs(model, faces).same) == len(faces.unseen.labels) * (len(faces.unseen.labels) - 1) // 2


def test_a_smaller_network_compares_as_the_masked_one_does(faces):
    model = ap.load_model("face-net", "drawn")
    masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model, "l1"), 0.3))
    pictures = Images(*(part[10:20] for part in faces.unseen))
    before, after = (ap.compare_pairs(net, faces, pictures).similarity for net in (masked, ap.remove(masked)))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-5)


def random_pairs(people: int, pictures: int, seed: int = 0) -> Pairs:
    """Pairs whose similarity comes from a number for each person and each picture, those of a person are alike."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(people).repeat_interleave(pictures)
    values = torch.randn(people, generator=generator)[labels] + 0.7 * torch.randn(len(labels), generator=generator)
    first, second = torch.triu_indices(len(labels), len(labels), offset=1)
    who = torch.stack([labels[first], labels[second]], dim=1)
    return Pairs(-(values[first] - values[second]).abs(), who[:, 0] == who[:, 1], who)


def test_the_interval_is_as_wide_as_the_areas_of_other_people_differ():
    areas = [ap.auc(*random_pairs(20, 6, seed)[:2]) for seed in range(200)]
    middle, low, high = ap.auc_interval(random_pairs(20, 6))
    assert low < middle < high
    assert (high - low) == pytest.approx(np.quantile(areas, 0.975) - np.quantile(areas, 0.025), rel=0.5)
    assert ap.auc_interval(random_pairs(20, 6)) == (middle, low, high) != ap.auc_interval(random_pairs(20, 6), seed=1)


def test_bad_input_is_refused(faces):
    with pytest.raises(TypeError, match=r"model must have a method embed.*got ArticleNet"):
        ap.compare_pairs(ap.ArticleNet(), faces)
    model, (images, labels) = ap.FaceNet.for_data(faces), faces.unseen
    for few, people in ((slice(5), 1), ([0, 20], 2), ([], 0)):
        with pytest.raises(ValueError, match=f"pictures must show at least two people.* pictures of {people} people"):
            ap.compare_pairs(model, faces, Images(images[few], labels[few]))
    alone = dataclasses.replace(faces, unseen=Images(images[:5], labels[:5]))
    with pytest.raises(ValueError, match=r"data\.unseen must show at least two people.* got 5 pictures of 1 people"):
        ap.compare_pairs(model, alone)
    with pytest.raises(ValueError, match=r"got torch\.float32"):
        ap.auc(SIMILARITY, SAME.float())
    with pytest.raises(ValueError, match="repeats must be at least 100, got 10"):
        ap.auc_interval(random_pairs(4, 3), repeats=10)
    with pytest.raises(ValueError, match=r"same must hold truth values.*1 of 1 True"):
        ap.auc_interval(hand_made().among(torch.tensor([0])))


def test_a_draw_without_the_only_person_shown_twice_does_not_count():
    people = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 2]])
    pairs = Pairs(torch.tensor([0.5, 0.9, 0.1, 0.2]), torch.tensor([True, False, False, False]), people)
    middle, low, high = ap.auc_interval(pairs, repeats=100)
    assert 0 <= low <= middle <= high <= 1


def hand_made() -> Pairs:
    return Pairs(SIMILARITY, SAME, torch.tensor([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2], [0, 2]]))


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.95, (0, 1)), (0.8, (1 / 3, 2 / 3)), (0.7, (2 / 3, 1 / 3)), (0.1, (1, 0))]
)
def test_a_pair_is_accepted_from_the_threshold_on(threshold, expected):
    assert ap.error_rates(hand_made(), torch.tensor(threshold).item()) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40), st.floats(0, 1))
def test_the_accept_threshold_lets_in_as_many_as_the_strangers_allow(drawn, most):
    similarity, same = (torch.tensor(values) for values in zip(*drawn, strict=True))
    if not 0 < same.sum() < len(same):
        return
    pairs = Pairs(similarity.float(), same, torch.zeros(len(same), 2))
    found = ap.accept_threshold(pairs, most)
    false_accepts, false_rejects = ap.error_rates(pairs, found)
    assert false_accepts <= most
    for other in range(6):
        others_false_accepts, others_false_rejects = ap.error_rates(pairs, other)
        assert others_false_accepts > most or others_false_rejects >= false_rejects


def test_pairs_among_some_people_show_nobody_else():
    some = hand_made().among(torch.tensor([0, 2]))
    assert some.people.tolist() == [[0, 0], [2, 2], [0, 2]] and some.same.tolist() == [True, True, False]
    assert some.similarity.tolist() == SIMILARITY[[0, 4, 5]].tolist()


def test_an_impossible_false_accept_rate_is_named():
    with pytest.raises(ValueError, match="false_accept_rate must lie between 0 and 1"):
        ap.accept_threshold(hand_made(), 1.5)
