import itertools
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

import attnprune_edu as ap


@st.composite
def matrices(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    values = torch.randn(draw(st.integers(1, 6)), draw(st.integers(1, 8)), generator=generator, dtype=torch.float64)
    return values * draw(st.sampled_from([0.01, 1.0, 30.0]))


MATRICES = matrices()
TEMPERATURES = st.floats(0.05, 50)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.3}])
def test_both_formulas_by_hand(signed, options):
    weights = [[0.5, -2.0, 1.0], [3.0, 3.0, -3.0]]
    temperature = options.get("temperature", 1.0)
    values = weights if signed else [[abs(w) for w in row] for row in weights]
    exponentials = [[math.exp(value / temperature) for value in row] for row in values]
    shares = [[e / sum(row) for e in row] for row in exponentials]
    found = ap.attention_weights(torch.tensor(weights), signed=signed, **options)
    assert found.flatten().tolist() == pytest.approx([share for row in shares for share in row])
    scores = [sum(a * v for a, v in zip(*rows, strict=True)) for rows in zip(shares, values, strict=True)]
    assert ap.attention_scores(torch.tensor(weights), signed=signed, **options).tolist() == pytest.approx(scores)


@given(MATRICES, TEMPERATURES, st.booleans())
def test_rows_sum_to_one_and_scores_lie_within_their_row(weights, temperature, signed):
    alpha = ap.attention_weights(weights, temperature, signed=signed)
    assert alpha.shape == weights.shape and (alpha >= 0).all()
    assert torch.allclose(alpha.sum(dim=1), torch.ones(len(weights), dtype=weights.dtype))
    entries = weights if signed else weights.abs()
    scores = ap.attention_scores(weights, temperature, signed=signed)
    assert (scores >= entries.amin(dim=1)).all() and (scores <= entries.amax(dim=1)).all()


@given(MATRICES, TEMPERATURES, st.integers(0, 1000), st.floats(-5, 5))
def test_permuting_and_shifting_a_row(weights, temperature, seed, shift):
    order = torch.randperm(weights.shape[1], generator=torch.Generator().manual_seed(seed))
    scores = ap.attention_scores(weights, temperature, signed=True)
    assert torch.allclose(ap.attention_scores(weights[:, order], temperature, signed=True), scores)
    # The softmax does not see a shift, so the weighted mean moves by exactly that much.
    assert torch.allclose(ap.attention_scores(weights + shift, temperature, signed=True), scores + shift)
    assert torch.allclose(ap.attention_scores(-weights, temperature), ap.attention_scores(weights, temperature))


@given(MATRICES)
def test_both_limits_of_the_temperature(weights):
    sizes = weights.abs()
    assert torch.allclose(ap.attention_scores(weights, 1e9), sizes.mean(dim=1), atol=1e-6)
    assert torch.allclose(ap.attention_scores(weights, 1e-9), sizes.amax(dim=1), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_large_weights_and_small_temperatures_do_not_overflow(dtype):
    largest = min(torch.finfo(dtype).max, 1e38)
    weights = torch.tensor([[largest, -largest, 1.0], [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]], dtype=dtype)
    for temperature, signed in itertools.product((1e-4, 1.0), (False, True)):
        alpha = ap.attention_weights(weights, temperature, signed=signed)
        assert alpha.dtype == dtype and alpha.float().sum(dim=1).tolist() == pytest.approx([1, 1, 1], rel=1e-2)
        scores = ap.attention_scores(weights, temperature, signed=signed)
        assert scores.dtype == dtype and torch.equal(scores, (weights if signed else weights.abs()).amax(dim=1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_scores_of_long_rows_stay_within_their_row(dtype):
    for signed in (False, True):
        weights = (1 + torch.rand(50, 4608, generator=torch.Generator().manual_seed(0))).to(dtype)
        weights[:20] = weights[:20, :1] * torch.linspace(0.1, 3, 20, dtype=dtype)[:, None]  # all equal: so is the score
        scores = ap.attention_scores(weights, 100.0, signed=signed)
        assert scores.dtype == dtype and torch.equal(scores[:20], weights[:20, 0])
        assert torch.allclose(scores.float(), weights.float().mean(dim=1), rtol=0.01)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_gradients_agree_with_finite_differences(seed, signed):
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
    with torch.no_grad():
        weights += 0.01 * weights.sign()  # a size has no gradient at 0
    assert torch.autograd.gradcheck(lambda w: ap.attention_scores(w, 0.7, signed=signed), weights)


def test_kernels_and_batches_of_matrices():
    kernels = torch.randn(4, 3, 5, 5)
    assert ap.attention_weights(kernels).shape == kernels.shape
    assert torch.allclose(ap.attention_scores(kernels), ap.attention_scores(kernels.flatten(1)))
    batch = torch.randn(2, 3, 4)
    expected = torch.stack([ap.attention_scores(matrix) for matrix in batch])
    assert torch.allclose(ap.attention_scores(batch, start_dim=2), expected)


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="floating point"):
        ap.attention_weights(torch.ones(2, 2, dtype=torch.int64))
    for temperature in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            ap.attention_weights(torch.ones(2, 2), temperature)
    with pytest.raises(ValueError, match=r"start_dim=1.*shape \(3,\)"):
        ap.attention_scores(torch.ones(3))
    with pytest.raises(ValueError, match="finite"):
        ap.attention_scores(torch.tensor([[1.0, float("inf")]]))


@given(MATRICES)
def test_min_max_always_works_and_keeps_the_order(scores):
    normal = ap.normalize(scores)
    assert normal.shape == scores.shape and (normal >= 0).all() and (normal <= 1).all()
    assert (normal.amax(dim=-1) == 1).all()
    row, place = scores[0], normal[0]
    order = row.argsort()
    assert (place[order].diff() >= 0).all()
    assert torch.allclose(ap.normalize(scores[0]), normal[0])  # a row by itself


@given(MATRICES)
def test_dividing_by_the_sum_gives_shares_of_positive_scores(scores):
    shares = ap.normalize(scores.abs() + 1e-3, "sum")
    assert torch.allclose(shares.sum(dim=-1), torch.ones(len(scores), dtype=scores.dtype))
    assert torch.equal(shares.argsort(stable=True), scores.abs().argsort(stable=True)) or scores.shape[1] == 1


def test_normalize_where_the_printed_formula_cannot():
    for scores in ([0.2, -0.2], [0.1, -0.3], [0.0, 0.0], [[0.3, 0.4], [0.1, -0.3]]):
        with pytest.raises(ValueError, match=r"sum above 0.*use 'minmax'"):
            ap.normalize(torch.tensor(scores), "sum")
    assert ap.normalize(torch.tensor([-0.3, 0.1, -0.1])).tolist() == pytest.approx([0, 1, 0.5])
    assert ap.normalize(torch.full((4,), 0.1525)).tolist() == [1, 1, 1, 1]


def test_normalize_differentiates():
    scores = torch.tensor([[0.3, -0.7, 1.1], [0.2, 0.9, 0.4]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ap.normalize, scores)
    assert torch.autograd.gradcheck(lambda s: ap.normalize(s.abs(), "sum"), scores)
    equal = torch.ones(3, dtype=torch.float64, requires_grad=True)
    ap.normalize(equal).sum().backward()
    assert torch.isfinite(equal.grad).all()


def test_normalize_does_not_overflow():
    half = ap.normalize(torch.tensor([100.0] * 1023 + [200.0], dtype=torch.float16), "sum")
    assert half.dtype == torch.float16 and (half > 0).all() and half[-1] == half.max() > half[0]
    assert ap.normalize(torch.tensor([-3e38, 0.0, 3e38])).tolist() == [0.0, 0.5, 1.0]


def test_normalize_names_bad_input():
    with pytest.raises(TypeError, match=r"floating point, got dict"):
        ap.normalize({"layer": torch.ones(2)})
    with pytest.raises(ValueError, match="method must be 'sum' or 'minmax', got 'max'"):
        ap.normalize(torch.ones(2), "max")
    with pytest.raises(TypeError, match=r"floating point, got torch\.int64"):
        ap.normalize(torch.ones(2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"at least one channel, got \(0,\)"):
        ap.normalize(torch.ones(0))
    with pytest.raises(ValueError, match="finite"):
        ap.normalize(torch.tensor([1.0, float("nan")]))
