import copy

import pytest
import torch
from test_gates import hooks_on, images_of, small_resnet
from torch import nn
from torch.nn.utils import parametrize

import attnprune_edu as ap
from attnprune_edu.networks.training import cross_entropy
from attnprune_edu.pruning import learned_gates
from attnprune_edu.pruning.gates import RunningGates


@pytest.mark.parametrize("network", ["chain", "residual with normalisations"])
def test_l1_gates_fold_away_and_pull_by_their_strength(network, imperfect, uneven_data):
    inputs, sums = images_of(uneven_data, "test"), {}
    for strength in (0.0, 0.05):
        model = imperfect() if network == "chain" else small_resnet()
        kinds, names = [type(module) for module in model.modules()], list(model.state_dict())
        with ap.L1Gates(model, strength) as gates:
            ap.train(model, uneven_data, 2, batch_size=60, lr=0.01, loss_fn=gates, progress=False)
            with_gates = model(inputs)
        torch.testing.assert_close(model(inputs), with_gates)
        assert [type(module) for module in model.modules()] == kinds and list(model.state_dict()) == names
        assert gates.importance.keys() == ap.importance(model).keys()
        sums[strength] = sum(values.sum() for values in gates.importance.values())
    assert sums[0.05] < sums[0.0] - 0.1


def test_the_loss_of_l1_gates_by_hand(tiny_model, tiny_data):
    scores, labels = torch.randn(6, 3), torch.arange(6) % 3
    with ap.L1Gates(tiny_model, 0.1, loss_fn=lambda scores, labels, inputs: scores.sum()) as gates:
        for scale in gates._scales.values():
            scale.gate.data.fill_(-2)
        assert gates(scores, labels, None).item() == pytest.approx(scores.sum().item() + 0.1 * 2 * (4 + 6 + 10))
    assert all((values == 2).all() for values in gates.importance.values())


@pytest.mark.parametrize("network", ["chain", "residual with normalisations"])
def test_squeeze_and_excitation_starts_as_nothing_and_folds_into_its_mean(network, imperfect, uneven_data):
    model = imperfect() if network == "chain" else small_resnet()
    name = "conv1" if network == "chain" else "bn1"
    inputs, names, before = images_of(uneven_data), list(model.state_dict()), copy.deepcopy(model)
    dense = model.eval()(inputs)
    with ap.SqueezeExciteGates(model, uneven_data, num_images=50) as gates:
        torch.testing.assert_close(model(inputs), dense)
        count = ap.count_params(model)
        ap.train(model, uneven_data, 1, batch_size=60, lr=0.02, progress=False)
        trained = copy.deepcopy(model.get_submodule(name))
    assert list(model.state_dict()) == names and hooks_on(model) == 0 and ap.count_params(model) < count
    means = gates.importance["conv1"]
    assert 0 < means.min() < means.max() < 2 and (means - 1).abs().max() > 1e-3, "the modules were trained"
    wanted = trained.weight * means.view(-1, *[1] * (trained.weight.ndim - 1))
    torch.testing.assert_close(model.get_submodule(name).weight, wanted)
    torch.testing.assert_close(model.get_submodule(name).bias, trained.bias * means)
    assert gates.importance.keys() == ap.importance(before).keys()


def test_the_mean_gate_is_taken_over_training_images(tiny_model, tiny_data):
    """With a last layer of zeros and a bias of our own every picture has the same gate: 2 · sigmoid(bias)."""
    with ap.SqueezeExciteGates(tiny_model, tiny_data) as gates:
        tiny_model.conv2.excite_conv2.excite.bias.data = torch.linspace(-3, 3, 6)
    torch.testing.assert_close(gates.importance["conv2"], 2 * torch.linspace(-3, 3, 6).sigmoid())
    torch.testing.assert_close(gates.importance["fc1"], torch.ones(10))


@pytest.mark.parametrize("kind", ["l1", "squeeze and excitation"])
def test_learned_gates_that_cannot_be_are_named(kind, tiny_model, tiny_data):
    make = ap.L1Gates if kind == "l1" else lambda model, *given: ap.SqueezeExciteGates(model, tiny_data)
    with pytest.raises(ValueError, match=r"model must have no masks, but \['conv1'\] have"):
        make(ap.mask(tiny_model, {"conv1": torch.tensor([True, False, True, True])}))
    with pytest.raises(ValueError, match="strength must be at least 0, got -1"):
        ap.L1Gates(tiny_model, -1)
    with pytest.raises(ValueError, match="reduction and num_images must be at least 1, got 0 and 1000"):
        ap.SqueezeExciteGates(tiny_model, tiny_data, reduction=0)


GATES = {
    "running": lambda model, data: RunningGates(model, 0.5, 2, every=1),
    "L1": lambda model, data: ap.L1Gates(model, 0.1),
    "squeeze and excitation": lambda model, data: ap.SqueezeExciteGates(model, data, num_images=20),
}


def assert_clean(model, before):
    assert hooks_on(model) == 0
    assert [type(module) for module in model.modules()] == [type(module) for module in before.modules()]
    assert list(model.state_dict()) == list(before.state_dict())
    weights = dict(before.named_parameters())
    assert all(torch.equal(parameter, weights[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("make", GATES.values(), ids=GATES)
def test_an_error_in_training_leaves_the_network_as_it_was(make, uneven_data):
    model, before = small_resnet(), small_resnet()

    def fails(scores, labels, inputs):
        assert hooks_on(model) or any(parametrize.is_parametrized(module) for module in model.modules())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), make(model, uneven_data):
        ap.train(model, uneven_data, 1, batch_size=60, loss_fn=fails, progress=False)
    assert_clean(model, before)


def test_gates_that_cannot_be_measured_leave_the_network_as_it_was(tiny_model, tiny_data, monkeypatch):
    before = copy.deepcopy(tiny_model)
    monkeypatch.setattr(learned_gates, "predict", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), ap.SqueezeExciteGates(tiny_model, tiny_data):
        pass
    assert_clean(tiny_model, before)


@pytest.mark.parametrize("make", GATES.values(), ids=GATES)
def test_a_copy_made_meanwhile_has_gates_of_its_own(make, uneven_data):
    model, inputs = small_resnet(), images_of(uneven_data)
    with make(model, uneven_data) as gates:
        loss_fn = gates if isinstance(gates, ap.L1Gates) else cross_entropy
        ap.train(model, uneven_data, 1, batch_size=120, lr=0.02, loss_fn=loss_fn, progress=False)
        twin, gated = copy.deepcopy(model), model.eval()(inputs).detach()
        model.zero_grad()
        twin.train()(inputs).sum().backward()
        assert all(parameter.grad is None for parameter in model.parameters())
        assert torch.equal(model(inputs), gated)
    twin.load_state_dict(
        twin.state_dict() | {name: value for name, value in model.named_buffers() if name in twin.state_dict()}
    )
    torch.testing.assert_close(twin.eval()(inputs), gated)
    assert hooks_on(model) == 0


def test_channels_of_a_transposed_convolution_lie_along_the_second_dimension():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.ConvTranspose2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)
    )
    images = torch.randn(2, 3, 4, 4)
    with ap.L1Gates(network, example_inputs=images) as gates:
        with torch.no_grad():
            for parameter in (one for name, one in network.named_parameters() if name.endswith("gate")):
                parameter.copy_(torch.linspace(0.5, 2, len(parameter)))
        gated = network(images).detach()
    assert torch.allclose(network(images), gated, atol=1e-6)
    assert torch.allclose(gates.importance["0"], torch.linspace(0.5, 2, 5))
