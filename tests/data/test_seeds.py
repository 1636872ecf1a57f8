"""Draws for a purpose have nothing to do with each other, nor with the weights of a network of the same seed."""

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.data.seeds import generator_for

LAYERS = ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight")
SEEDS = range(6)


def correlations(generator_of, seed: int) -> list[float]:
    """How numbers drawn for each weight of a network, layer by layer, go with the weights it was initialised with."""
    torch.manual_seed(seed)
    model = ap.ArticleNet(hidden=100)
    generator = generator_of(seed)
    pairs = []
    for name in LAYERS:
        weight = model.get_parameter(name).detach().flatten()
        pairs.append(torch.stack([weight, torch.rand(len(weight), generator=generator)]))
    return [torch.corrcoef(pair)[0, 1].item() * pair.shape[1] ** 0.5 for pair in pairs]  # in standard deviations


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_for_a_purpose_do_not_go_with_a_networks_first_weights(seed):
    assert max(map(abs, correlations(lambda seed: generator_for("random half", seed), seed))) < 4
    plain = correlations(lambda seed: torch.Generator().manual_seed(seed), seed)
    assert plain[0] > 0.99 * 2400**0.5, "conv1's weights are its seed's first numbers, or this test could not fail"


def test_no_purpose_and_no_seed_share_their_numbers():
    ours = [generator_for(purpose, seed) for purpose in ("random half", "random channels", "") for seed in SEEDS]
    plain = [torch.Generator().manual_seed(seed) for seed in range(1000)]
    draws = [tuple(torch.rand(4, generator=generator).tolist()) for generator in (*ours, *plain)]
    assert len(set(draws)) == len(draws)
    # All seeds with the same lowest 32 bits have the same numbers.
    assert all(2**31 <= generator.initial_seed() < 2**32 for generator in ours)


def test_the_same_purpose_and_seed_give_the_same_numbers_everywhere():
    first = torch.rand(3, generator=generator_for("random half", 1))
    torch.testing.assert_close(first, torch.tensor([0.017533, 0.943988, 0.544667]), rtol=0, atol=1e-6)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(5, generator=generator_for("random half"))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_importance_does_not_go_with_what_the_weights_say(seed):
    """It draws with the plain seed, one number for each channel: these lie elsewhere in the stream than its weights."""
    torch.manual_seed(seed)
    model = ap.ArticleNet()
    drawn, by_size = (ap.importance(model, criterion, seed=seed) for criterion in ("random", "l1"))
    for name, values in drawn.items():
        assert abs(torch.corrcoef(torch.stack([values, by_size[name]]))[0, 1]) * len(values) ** 0.5 < 4, name
