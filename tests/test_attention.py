import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import attnprune_edu as ap


@st.composite
def matrices(draw):
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    values = torch.randn(draw(st.integers(1, 6)), draw(st.integers(1, 8)), generator=generator, dtype=torch.float64)
    return values * draw(st.sampled_from([0.01, 1.0, 30.0]))


MATRICES = matrices()
TEMPERATURES = st.floats(0.05, 50)


@given(MATRICES, TEMPERATURES, st.booleans())
def test_rows_sum_to_one_and_scores_lie_within_their_row(weights, temperature, signed):
    alpha = ap.attention_weights(weights, temperature, signed=signed)
    assert alpha.shape == weights.shape and (alpha >= 0).all()
    assert torch.allclose(alpha.sum(dim=1), torch.ones(len(weights), dtype=weights.dtype))
    entries = weights if signed else weights.abs()
    scores = ap.attention_scores(weights, temperature, signed=signed)
    assert (scores >= entries.amin(dim=1) - 1e-9).all() and (scores <= entries.amax(dim=1) + 1e-9).all()


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
    weights = torch.tensor([[3e4, -3e4, 1.0], [0.0, 0.0, 0.0]], dtype=dtype)
    for temperature in (1e-4, 1.0):
        scores = ap.attention_scores(weights, temperature)
        assert scores.dtype == dtype and torch.isfinite(scores).all()


@settings(max_examples=20)
@given(st.integers(0, 1000), st.booleans())
def test_gradients_agree_with_finite_differences(seed, signed):
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()
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
