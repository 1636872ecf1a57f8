import copy
import math

import pytest
import torch
from conftest import trained_norms
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.gates import RunningGates, straight_through
from attnprune_edu.pruning.silence import masks_of


def images_of(data, part="train", count=40):
    return data.normalize(data.part(part).images[:count])


def small_resnet():
    torch.manual_seed(0)
    return trained_norms(ap.ResNet20((4, 6, 8), ((4,) * 3, (6,) * 3, (8,) * 3), num_classes=4), 16)


def hooks_on(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_a_closed_gate_is_silent_and_lets_every_gradient_through_a_relu():
    output = torch.tensor([[1.5, -2.0, 3.0, 0.5]], requires_grad=True)
    is_open = torch.tensor([True, True, False, False])
    gated = straight_through(output, is_open).relu()
    torch.testing.assert_close(gated.detach(), torch.tensor([[1.5, 0.0, 0.0, 0.0]]))
    (gated * torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    assert output.grad.tolist() == [[1.0, 0.0, 100.0, 1000.0]], "as if the gate stood behind the ReLU"


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("every", [1, 3])
def test_the_gates_follow_the_running_attention_of_the_live_network(tiny_model, tiny_data, every, scope):
    """The first layer's mean by hand, and each choice from the means of all channels, silent ones included."""
    dense, seen = copy.deepcopy(tiny_model), []
    watch = tiny_model.conv1.register_forward_hook(
        lambda layer, inputs, output: seen.append(output.detach()) if torch.is_grad_enabled() else None
    )
    gates = RunningGates(tiny_model, 0.5, 7, every=every, decay=0.8, power=3, scope=scope)
    with gates:
        ap.train(tiny_model, tiny_data, 2, batch_size=15, progress=False)
    watch.remove()
    means, mean = [], None
    for output in seen[:7]:
        now = output.relu().mean(dim=0).pow(3).mean(dim=(1, 2))
        mean = now if mean is None else 0.8 * mean + 0.2 * now
        means.append(mean)
    assert [choice.step for choice in gates.record] == ([1, 2, 3, 4, 5, 6, 7] if every == 1 else [3, 6, 7])
    for choice in gates.record:
        torch.testing.assert_close(choice.importance["conv1"], means[choice.step - 1])
        assert choice.pruning_ratio == pytest.approx(0.5 * (1 - (1 - choice.step / 7) ** 3))
        wanted = ap.keep_by_ratio(choice.importance, choice.pruning_ratio, scope)
        assert all(torch.equal(choice.keep[name], wanted[name]) for name in ("conv1", "conv2", "fc1"))
    assert all(torch.equal(masks_of(tiny_model)[name], keep) for name, keep in gates.record[-1].keep.items())
    assert sum(int(keep.sum()) for keep in masks_of(tiny_model).values()) == 10 and hooks_on(tiny_model) == 0
    assert type(tiny_model) is type(dense)


@pytest.mark.parametrize("network", ["chain", "residual with normalisations"])
def test_gates_and_the_masks_that_follow_silence_the_same(network, imperfect, uneven_data):
    model = imperfect() if network == "chain" else small_resnet()
    inputs = images_of(uneven_data)
    with RunningGates(model, 0.4, 4, every=2) as gates:
        ap.train(model, uneven_data, 2, batch_size=60, progress=False)
        with torch.no_grad():
            gated = model.eval()(inputs)
    torch.testing.assert_close(model(inputs), gated)
    torch.testing.assert_close(ap.remove(model)(inputs), gated, rtol=1e-3, atol=1e-4)
    for group in gates.groups:
        assert len({tuple(gates.keep[name].tolist()) for name in group}) == 1, "coupled layers lose the same channels"
    assert ap.sparsity(model).pruning_ratio[list(gates.keep)].between(0.2, 0.5).all()


@pytest.mark.parametrize("silent_learn", [False, True])
def test_what_left_may_return_and_may_learn_meanwhile(tiny_model, tiny_data, silent_learn):
    """Whoever is made loud while silent returns, at the price of another channel."""
    model, inputs, labels = tiny_model.train(), images_of(tiny_data), tiny_data.train.labels[:40]
    with RunningGates(model, 0.5, 3, every=1, decay=0.0, silent_learn=silent_learn) as gates:
        model(inputs)
        model(inputs)
        (loser,) = (~gates.keep["conv1"]).nonzero()[:1, 0].tolist()
        nn.functional.cross_entropy(model.eval()(inputs), labels).backward()
        assert model.conv1.weight.grad[loser].abs().max() == 0, "nothing passes when nothing can change"
        weights = model.conv1.weight.detach().clone()
        with torch.no_grad():
            model.conv1.weight[loser] = 0
            model.conv1.bias[loser] = 50.0
        model.zero_grad()
        loss = nn.functional.cross_entropy(model.train()(inputs), labels)  # the last step of the ramp
        assert gates.keep["conv1"][loser] and gates.progress == 3
        loss.backward()
        assert (model.conv1.bias.grad[loser].abs() > 0) == silent_learn
    news = gates.changes[gates.changes.layer == "conv1"].set_index("step")
    assert news.returned[3] == 1 <= news.left[3] and news.kept.tolist() == [4 - round(4 * r) for r in news.pruning_ratio]
    assert not torch.equal(model.conv1.weight, weights) and masks_of(model)["conv1"][loser]


def test_the_ramp_waits_while_the_accuracy_is_too_low_and_goes_on_when_it_recovers(tiny_model):
    accuracies = iter([0.9, 0.5, 0.6, 0.8, 0.8, 0.8])
    ratios, rows = [], []
    with RunningGates(tiny_model.train(), 0.75, 8, every=1, min_accuracy=0.7) as gates:
        for accuracy in accuracies:
            for _ in range(2):
                tiny_model(torch.randn(4, 3, 16, 16))
                ratios.append(round(gates.record[-1].pruning_ratio, 4))
            row = {"validation_accuracy": accuracy}
            gates(tiny_model, row)
            rows.append(row)
    ramp = [round(0.75 * (1 - (1 - step / 8) ** 3), 4) for step in range(1, 9)]
    assert ratios == ramp[:4] + [ramp[3]] * 4 + ramp[4:]
    assert [row["held"] for row in rows] == [False, True, True, False, False, False]
    assert [round(row["pruning_ratio"], 4) for row in rows] == ratios[1::2]
    changes = gates.changes
    assert sum(row["left"] for row in rows) == changes.left.sum()
    assert sum(row["returned"] for row in rows) == changes.returned.sum()
    assert (
        20 - changes.groupby("step").kept.sum() == (changes.left - changes.returned).groupby(changes.step).sum().cumsum()
    ).all()


def test_gates_that_are_not_told_the_accuracy_and_ramps_without_an_end_are_named(tiny_model, tiny_data):
    with pytest.raises(ValueError, match="among the callbacks"), RunningGates(tiny_model, 0.5, 2, min_accuracy=0.5):
        ap.train(tiny_model, tiny_data, 1, progress=False)
    told = pytest.warns(UserWarning, match=r"ended after 1 steps, and the ramp takes 5: 24.4% .* not 50.0%")
    with told, RunningGates(tiny_model, 0.5, 5):
        ap.train(tiny_model, tiny_data, 1, progress=False)
    assert hooks_on(tiny_model) == 0


def test_an_error_in_training_takes_the_hooks_away_and_leaves_no_masks(tiny_model, tiny_data):
    weights = copy.deepcopy(tiny_model.state_dict())
    fails = {"loss_fn": lambda scores, labels, inputs: 1 / 0, "progress": False}
    with pytest.raises(ZeroDivisionError), RunningGates(tiny_model, 0.5, 2):
        ap.train(tiny_model, tiny_data, 1, **fails)
    assert hooks_on(tiny_model) == 0 and not masks_of(tiny_model)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in tiny_model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pruning_ratio": 1.2}, "pruning_ratio must lie between 0 and 1, got 1.2"),
        ({"min_accuracy": 70}, "min_accuracy must lie between 0 and 1, got 70"),
        ({"decay": 1.0}, "decay must be at least 0 and below 1, got 1.0"),
        ({"every": 0}, "steps and every must be at least 1, got steps=5, every=0"),
        ({"scope": "all"}, "scope must be 'local' or 'global', got 'all'"),
    ],
)
def test_impossible_gates_are_named(tiny_model, change, says):
    with pytest.raises(ValueError, match=says):
        RunningGates(tiny_model, **{"pruning_ratio": 0.5, "steps": 5} | change)


class PreActivation(nn.Module):
    """Normalisation and ReLU before each convolution, as in He et al., 2016: the sums are normalised."""

    def __init__(self, raw_shortcut):
        super().__init__()
        self.stem, self.raw_shortcut = nn.Conv2d(3, 8, 3, padding=1), raw_shortcut
        self.norm1, self.conv1 = nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, padding=1)
        self.norm3, self.conv3 = nn.BatchNorm2d(8), nn.Conv2d(8, 10, 3, padding=1)
        self.shortcut, self.norm4, self.out = nn.Conv2d(8, 10, 1), nn.BatchNorm2d(10), nn.Linear(10, 4)

    def forward(self, images):
        x = self.stem(images)
        x = x + self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).relu())
        inside = self.norm3(x).relu()
        x = self.conv3(inside) + self.shortcut(x if self.raw_shortcut else inside)
        return self.out(self.norm4(x).relu().mean((2, 3)))


class DenselyConnected(nn.Module):
    """What convolutions found is concatenated, and normalised again by each reader."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm1, self.conv1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Conv2d(6, 5, 3)
        self.norm2, self.conv2 = nn.BatchNorm2d(11), nn.Conv2d(11, 5, 1)
        self.norm3, self.out = nn.BatchNorm2d(16), nn.Linear(16, 4)

    def forward(self, images):
        x = self.stem(images)
        x = torch.cat([x[:, :, 1:-1, 1:-1], self.conv1(self.norm1(x).relu())], 1)
        x = torch.cat([x, self.conv2(self.norm2(x).relu())], 1)
        return self.out(self.norm3(x).relu().mean((2, 3)))


NORMALISING_SUMS = {
    "pre-activation": lambda: PreActivation(raw_shortcut=False),
    "a shortcut before the normalisation": lambda: PreActivation(raw_shortcut=True),
    "densely connected": DenselyConnected,
}


@pytest.mark.parametrize("network", NORMALISING_SUMS.values(), ids=NORMALISING_SUMS)
def test_normalised_sums_have_gates_as_well_and_forget_nothing_meanwhile(network, uneven_data):
    torch.manual_seed(0)
    model, inputs = trained_norms(network(), 16), images_of(uneven_data)
    with RunningGates(model, 0.5, 6, every=1, example_inputs=inputs[:2]) as gates:
        ap.train(model, uneven_data, 1, batch_size=80, progress=False)  # three steps
        before = copy.deepcopy(model.norm1)
        ap.train(model, uneven_data, 1, batch_size=80, progress=False)
        with torch.no_grad():
            gated = model.eval()(inputs)
    torch.testing.assert_close(model(inputs), gated)
    torch.testing.assert_close(ap.remove(model, inputs[:2])(inputs), gated, rtol=1e-3, atol=1e-4)
    assert all((~keep).any() for keep in masks_of(model).values()) and hooks_on(model) == 0
    was_open = torch.stack([choice.keep["stem"] for choice in gates.record[2:5]]).any(dim=0)  # in the last three steps
    changed = (model.norm1.running_var != before.running_var) & (model.norm1.running_mean != before.running_mean)
    assert torch.equal(changed, was_open) and not was_open.all()


def test_silent_channels_cannot_learn_before_a_normalised_sum():
    with pytest.raises(
        ValueError, match=r"silent_learn must be False for a model that mixes layers before .*'norm3'.*, got True"
    ):
        RunningGates(PreActivation(False), 0.5, 5, silent_learn=True, example_inputs=torch.zeros(2, 3, 8, 8))


def test_pruning_adaptively_is_training_within_gates(imperfect, uneven_data):
    dense, by_hand = imperfect(), imperfect()
    how = {"batch_size": 40, "lr": 0.01, "seed": 3, "progress": False}
    found = ap.prune_adaptively(dense, uneven_data, 0.5, 3, ramp_epochs=2, every=3, **how)
    with RunningGates(by_hand, 0.5, 2 * math.ceil(230 / 40), every=3) as gates:
        ap.fine_tune(by_hand, uneven_data, 3, callbacks=[gates], **how)
    assert all(torch.equal(tensor, by_hand.state_dict()[name]) for name, tensor in found.model.state_dict().items())
    assert found.gates.changes.equals(gates.changes) and not masks_of(dense)
    assert found.history.pruning_ratio.tolist() == [pytest.approx(0.5 * 7 / 8), 0.5, 0.5]
    assert ap.prune_adaptively(dense, uneven_data, 0.5, 1, **how).gates.steps == 6
    with pytest.raises(ValueError, match="ramp_epochs must lie between 1 and epochs=2, got 3"):
        ap.prune_adaptively(dense, uneven_data, 0.5, 2, ramp_epochs=3)
