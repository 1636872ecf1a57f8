"""Units of recurrent layers are channels: scored, masked, removed and repaired as those of other layers are."""

import copy

import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import attnprune_edu as ap
from attnprune_edu.data.tokens import TokenData
from attnprune_edu.networks.kinds import layers_with_channels, width
from attnprune_edu.pruning import repair as repairing
from attnprune_edu.pruning.cutting import disagreement

KINDS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
FEATURES, HIDDEN = 3, 6


class Reader(nn.Module):
    """A recurrent network of a user's own: its states at the last step, by whichever ``way``, go into a linear layer."""

    def __init__(self, kind="GRU", way=lambda rnn, x: rnn(x)[0][:, -1], size=None, **options):
        super().__init__()
        self.rnn = KINDS[kind](FEATURES, HIDDEN, **{"batch_first": True} | options)
        directions = 1 + self.rnn.bidirectional
        self.fc, self.way = nn.Linear(size or directions * HIDDEN, 4), way

    def forward(self, x):
        return self.fc(self.way(self.rnn, x))


def inputs(batch=3, steps=5):
    return torch.randn(batch, steps, FEATURES)


def random_keep(model, names, generator):
    """A random choice for each layer, at least one channel of each."""
    keep = {}
    for name, layer in layers_with_channels(model).items():
        if name in names:
            keep[name] = torch.rand(width(layer), generator=generator) > 0.4
            keep[name][torch.randint(width(layer), (), generator=generator)] = True
    return keep


@given(
    kind=st.sampled_from(list(KINDS)), hidden=st.integers(1, 7), layers=st.integers(1, 3), bidirectional=st.booleans(),
    bias=st.booleans(), batch_first=st.booleans(), seed=st.integers(0, 999),
)  # fmt: skip
@settings(max_examples=12)
@example(kind="GRU", hidden=6, layers=2, bidirectional=True, bias=True, batch_first=False, seed=0)
def test_removed_equals_masked(kind, hidden, layers, bidirectional, bias, batch_first, seed):
    torch.manual_seed(seed)
    rnn = KINDS[kind](FEATURES, hidden, layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
    model = nn.Sequential(Only(rnn), nn.Linear(hidden * (1 + bidirectional), 2)).eval()
    x, names = inputs(), list(layers_with_channels(model))[:-1]
    assert ap.unprunable(model, x).keys() == {"1"}
    assert names == [f"0.rnn.l{n}{way}" for n in range(layers) for way in ("", "_reverse")[: 1 + bidirectional]]
    keep = random_keep(model, names, torch.Generator().manual_seed(seed))
    masked = ap.mask(model, keep, example_inputs=x)
    small = ap.remove(masked, x)
    assert disagreement(masked, small, x) <= 1e-5
    most = max(int(stays.sum()) for stays in keep.values())
    assert small[0].rnn.hidden_size == most == small[0].rnn.weight_hh_l0.shape[1], "one number for all layers and directions"
    assert (disagreement(model, small, x) > 1e-5) or all(stays.all() for stays in keep.values())


class Only(nn.Module):
    """The outputs of a recurrent module, without its last states."""

    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn

    def forward(self, x):
        return self.rnn(x)[0]


def sums_of_directions(rnn, x):
    forwards, backwards = rnn(x)[0].chunk(2, dim=-1)
    return (forwards + backwards).mean(1)


def packed(rnn, x):
    sequence = pack_padded_sequence(x, torch.tensor([5, 2, 4]), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(rnn(sequence)[0], batch_first=True)[0].mean(1)


def zero_state(rnn, x):
    return rnn(x, torch.zeros(1, len(x), rnn.hidden_size))[0][:, -1]


WAYS = {  # {name: (network, its groups)}
    "last state": (lambda: Reader(way=lambda rnn, x: rnn(x)[1][-1]), [("rnn.l0",)]),
    "both last states": (
        lambda: Reader("LSTM", lambda rnn, x: torch.cat([part[-1] for part in rnn(x)[1]], 1), 2 * HIDDEN), [("rnn.l0",)]),
    "states of all layers": (
        lambda: Reader(way=lambda rnn, x: rnn(x)[1].transpose(0, 1).flatten(1), size=2 * HIDDEN, num_layers=2),
        [("rnn.l0",), ("rnn.l1",)]),
    "directions that are added": (
        lambda: Reader(way=sums_of_directions, size=HIDDEN, bidirectional=True), [("rnn.l0", "rnn.l0_reverse")]),
    "packed sequences": (lambda: Reader(way=packed), [("rnn.l0",)]),
    "a state of zeros": (lambda: Reader(way=zero_state), [("rnn.l0",)]),
    "one sequence": (lambda: Reader(way=lambda rnn, x: rnn(x[0])[0]), [("rnn.l0",)]),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_networks_of_ones_own_lose_units_however_they_read_them(name):
    torch.manual_seed(0)
    build, groups = WAYS[name]
    model, x = build().eval(), inputs()
    assert ap.coupled_layers(model, example_inputs=x) == groups
    keep = ap.keep_by_ratio(ap.couple(ap.importance(model, "l2", example_inputs=x), groups), 0.5)
    masked = ap.mask(model, keep, example_inputs=x)
    small = ap.remove(masked, x)
    assert small.rnn.hidden_size == 3 and disagreement(masked, small, x) <= 1e-5 < disagreement(model, small, x)


def own_state(rnn, x):
    return rnn(x, rnn.start.expand(1, len(x), HIDDEN).contiguous())[0][:, -1]


def state_of_ones(rnn, x):
    return rnn(x, torch.ones(1, len(x), HIDDEN))[0][:, -1]


@pytest.mark.parametrize(
    ("way", "options", "reason"),
    [
        (own_state, {}, "the forward pass counts on its number of channels"),
        (state_of_ones, {}, "'rnn' begins with a state that is not zero"),
        (lambda rnn, x: F.pad(rnn(x)[0][:, -1], (0, 3)), {"kind": "LSTM", "proj_size": 3}, "'rnn' makes other numbers"),
        (lambda rnn, x: F.layer_norm(rnn(x)[0][:, -1], (HIDDEN,)), {}, "native_layer_norm mixes it with other channels"),
    ],
)
def test_units_that_cannot_go_are_named_with_the_reason(way, options, reason):
    model, x = Reader(way=way, **options).eval(), inputs()
    model.start = nn.Parameter(torch.zeros(HIDDEN))
    object.__setattr__(model.rnn, "start", model.start)  # at hand there, but no parameter of that module
    found = ap.unprunable(model, x)
    assert found["rnn.l0"].startswith(reason), found
    with pytest.raises(ValueError, match=r"keep drops channels of 'rnn\.l0', which cannot be removed"):
        ap.mask(model, {"rnn.l0": torch.arange(HIDDEN) > 1}, example_inputs=x)


def test_where_the_units_of_one_layer_stay_so_do_those_of_the_others():
    """torch holds one number of units for all of them."""
    model, x = nn.Sequential(nn.Linear(FEATURES, 5), Only(nn.GRU(5, 4, num_layers=2, batch_first=True))).eval(), inputs()
    found = ap.unprunable(model, x)
    assert found["1.rnn.l1"] == "its channels reach the outputs of the network"
    assert found["1.rnn.l0"] == f"torch holds one number of units for it and '1.rnn.l1': {found['1.rnn.l1']}"
    small = ap.remove(ap.mask(model, {"0": torch.arange(5) > 1}, example_inputs=x), x)
    assert small[1].rnn.input_size == small[0].out_features == 3


def blocks_of(weight):
    """(units, gates · columns), cut by hand: rows i, i + H, …"""
    return torch.stack([weight[unit::HIDDEN].flatten() for unit in range(HIDDEN)])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_a_unit_and_those_that_read_it(kind):
    torch.manual_seed(0)
    model, x = Reader(kind, num_layers=2, bidirectional=True).eval(), inputs()
    rnn = model.rnn
    own = torch.cat([blocks_of(rnn.weight_ih_l1_reverse), blocks_of(rnn.weight_hh_l1_reverse)], dim=1).detach()
    read = {
        "rnn.l0": [rnn.weight_hh_l0, rnn.weight_ih_l1[:, :HIDDEN], rnn.weight_ih_l1_reverse[:, :HIDDEN]],
        "rnn.l0_reverse": [rnn.weight_hh_l0_reverse, rnn.weight_ih_l1[:, HIDDEN:], rnn.weight_ih_l1_reverse[:, HIDDEN:]],
        "rnn.l1": [rnn.weight_hh_l1, model.fc.weight[:, :HIDDEN]],
        "rnn.l1_reverse": [rnn.weight_hh_l1_reverse, model.fc.weight[:, HIDDEN:]],
    }
    formulas = {
        "l1": own.abs().sum(1), "l2": own.norm(dim=1), "attention": (own.abs().softmax(1) * own.abs()).sum(1),
    }  # fmt: skip
    for criterion, expected in formulas.items():
        found = ap.importance(model, criterion, example_inputs=x)
        assert found.keys() == read.keys() and torch.allclose(found["rnn.l1_reverse"], expected)
    for name, weights in read.items():
        expected = sum(weight.detach().abs().sum(0) for weight in weights)
        assert torch.allclose(ap.importance(model, "l1_readers", example_inputs=x)[name], expected)


@pytest.fixture(scope="module")
def letters() -> TokenData:
    """Sequences of up to 6 tokens in three classes: which of the tokens 1, 2 and 3 came last."""
    generator = torch.Generator().manual_seed(0)

    def part(count):
        tokens = torch.randint(1, 8, (count, 6), generator=generator)
        labels = torch.randint(3, (count,), generator=generator)
        lengths = torch.randint(3, 7, (count,), generator=generator)
        steps = torch.arange(6)
        tokens[steps == (lengths - 2)[:, None]] = labels + 1
        tokens[steps == (lengths - 1)[:, None]] = torch.randint(4, 8, (count,), generator=generator)
        return ap.Images(tokens.masked_fill(steps >= lengths[:, None], 0), labels)

    return TokenData("letters", ("a", "b", "c"), part(240), part(60), part(60), symbols=tuple(" abcdefg"))


@pytest.fixture(scope="module")
def trained(letters) -> nn.Module:
    torch.manual_seed(0)
    model = ap.NameGRU(8, 3, embed_dim=6, hidden=12)
    ap.train(model, letters, 8, batch_size=20, lr=0.02, progress=False)
    return model.eval()


def test_taylor_is_the_change_of_the_loss_when_a_gate_closes(trained, letters):
    found = ap.importance(trained, "taylor", data=letters, num_images=len(letters.train.labels))["gru.l0"]
    model = copy.deepcopy(trained).double()
    parameters = dict(model.named_parameters())
    calibration = letters.sample(240, torch.Generator().manual_seed(0))
    batches = list(zip(calibration.images.split(100), calibration.labels.split(100), strict=True))
    for unit in (0, 5, 11):
        changes = []
        for tokens, labels in batches:

            def loss(gate, tokens=tokens, labels=labels, unit=unit):
                factor = torch.ones(12, dtype=torch.double)
                factor[unit] = gate
                gated = {name: parameters[name] * factor for name in ("gru.weight_hh_l0", "fc.weight")}
                scores = torch.func.functional_call(model, parameters | gated, (tokens,))
                return F.cross_entropy(scores, labels).item()

            changes.append((loss(1 + 1e-5) - loss(1 - 1e-5)) / 2e-5)
        expected = sum(change**2 for change in changes) / len(changes)
        assert found[unit].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"batch_first": False}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_activation_attention_is_the_size_of_the_states(options, letters):
    torch.manual_seed(0)
    swapped = options.get("batch_first") is False

    class Swapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.reader = nn.Embedding(8, FEATURES), Reader(way=lambda rnn, x: rnn(x)[0].mean(1), **options)

        def forward(self, tokens):
            x = self.embedding(tokens)
            return self.reader(x.transpose(0, 1)) if swapped else self.reader(x)

    model = Swapped().eval()
    model.reader.way = (lambda rnn, x: rnn(x)[0][-1]) if swapped else (lambda rnn, x: rnn(x)[0][:, -1])
    last = f"reader.rnn.l{model.reader.rnn.num_layers - 1}"
    found = ap.importance(model, "activation_attention", data=letters, num_images=240, power=3.0)[last]
    with torch.no_grad():
        x = model.embedding(letters.train.images)
        states = model.reader.rnn(x.transpose(0, 1) if swapped else x)[0]
    states = (states.transpose(0, 1) if swapped else states)[..., :HIDDEN]
    assert torch.allclose(found, (states.abs().mean(0) ** 3).mean(0), rtol=1e-4)


def test_activation_attention_of_packed_sequences_knows_batches_of_several_lengths(letters):
    """Each batch is as long as its longest sequence, and only one of them has a long one."""
    short = letters.train.images[:150].clone()
    short[1:, 4:], short[0] = 0, 1
    part = ap.Images(short, letters.train.labels[:150])
    data = TokenData("packed", letters.class_names, part, part, part, symbols=letters.symbols)

    class Packing(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.rnn, self.fc = nn.Embedding(8, FEATURES), nn.GRU(FEATURES, HIDDEN), nn.Linear(HIDDEN, 3)

        def packed(self, tokens):
            lengths = (tokens != 0).sum(1)
            return pack_padded_sequence(self.embedding(tokens).transpose(0, 1), lengths, enforce_sorted=False)

        def forward(self, tokens):
            return self.fc(self.rnn(self.packed(tokens))[1][0])

    torch.manual_seed(0)
    model = Packing().eval()
    found = ap.importance(model, "activation_attention", data=data, num_images=150)["rnn.l0"]
    with torch.no_grad():
        states = pad_packed_sequence(model.rnn(model.packed(part.images))[0])[0]  # (steps, sequences, units)
    assert torch.allclose(found, (states.abs().mean(1) ** 2).mean(0), rtol=1e-4)


@pytest.mark.parametrize("batch_first", [True, False])
def test_repair_of_packed_sequences_ends_where_each_of_them_does(batch_first, letters, monkeypatch):
    """Beside short sequences, one long one decides little, and the padding that it brings decides nothing."""

    class Bidirectional(nn.Module):
        def __init__(self, packing):
            super().__init__()
            self.packing, self.embedding, self.before = packing, nn.Embedding(8, 6), nn.Linear(6, 8)
            self.rnn = nn.GRU(8, HIDDEN, 2, batch_first=batch_first, bidirectional=True)
            self.fc = nn.Linear(2 * HIDDEN, 3)

        def forward(self, tokens):
            x = self.before(self.embedding(tokens)).relu()
            x = x if batch_first else x.transpose(0, 1)
            if self.packing:
                x = pack_padded_sequence(x, (tokens != 0).sum(1).cpu(), batch_first=batch_first, enforce_sorted=False)
            return self.fc(torch.cat([*self.rnn(x)[1][-2:]], 1))

    monkeypatch.setattr(repairing, "BATCH", 40)  # only one of the batches has the long one
    torch.manual_seed(0)
    packed, plain = Bidirectional(True).eval(), Bidirectional(False).eval()
    plain.load_state_dict(packed.state_dict())
    short = torch.randint(1, 8, (100, 3))
    long = F.pad(short, (0, 7))
    long[0] = 1
    found = []
    for model, tokens, ignored in ((plain, short, ["before"]), (packed, long, [])):
        part = ap.Images(tokens, model(tokens).argmax(1))
        data = TokenData("own", letters.class_names, part, part, part, symbols=letters.symbols)
        keep = ap.keep_by_ratio(ap.importance(model, "l1", data=data, ignored_layers=ignored), 0.5)
        masked = ap.mask(model, keep, example_inputs=data.example_inputs)
        repaired = ap.repair(masked, data)
        parameters = dict(masked.named_parameters())
        found.append({name: after - parameters[name] for name, after in repaired.named_parameters() if "rnn" in name})
    for name, change in found[0].items():
        assert (found[1][name] - change).norm() <= 0.2 * change.norm(), name
    assert all(change.any() for name, change in found[0].items() if "weight_ih_l1" in name or "weight_hh" in name)


@pytest.mark.parametrize("criterion", ["taylor", "activation_attention", "l1_readers"])
def test_layers_around_units_with_projections_are_scored_and_repaired(criterion, letters):
    class Projecting(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.before, self.next = nn.Embedding(8, 6), nn.Linear(6, 8), nn.Linear(8, 8)
            self.rnn = nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True, proj_size=3)
            self.behind, self.fc = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, tokens):
            states = self.rnn(self.next(self.before(self.embedding(tokens)).relu()))[0]
            return self.fc(self.behind(states).relu().mean(1))

    torch.manual_seed(0)
    model, x = Projecting().eval(), letters.test.images
    data = TokenData(
        "own", letters.class_names, *[ap.Images(x, model(x).argmax(1))] * 3, symbols=letters.symbols
    )  # what the dense network says is right, so that a repair is never refused
    scores = ap.importance(model, criterion, data=data, num_images=60)
    assert scores.keys() == {"before", "next", "behind"}
    masked = ap.mask(model, ap.keep_by_ratio(scores, 0.5), example_inputs=letters.example_inputs)
    repaired = ap.repair(masked, data)
    assert (repaired(x) - model(x)).norm() < (masked(x) - model(x)).norm()
    assert disagreement(ap.remove(repaired, letters.example_inputs), repaired, x) <= 1e-5


@pytest.mark.parametrize("criterion", ["random", "taylor", "activation_attention", "attention"])
def test_the_whole_story_of_a_recurrent_network(criterion, trained, letters, tmp_path):
    x = letters.example_inputs
    importance = ap.importance(trained, criterion, data=letters, num_images=100)
    assert importance.keys() == {"gru.l0"} and importance["gru.l0"].shape == (12,)
    keep = ap.keep_by_ratio(importance, 0.5)
    masked = ap.mask(trained, keep)
    ap.fine_tune(masked, letters, epochs=1, progress=False)
    again = copy.deepcopy(masked.train())  # after a pass that kept its graph
    again.load_state_dict(masked.state_dict())
    silent = ~keep["gru.l0"].repeat(3)
    for network in (masked, again.eval()):
        assert not network.gru.weight_hh_l0[silent].any() and not network.gru.bias_ih_l0[silent].any()
        assert not network.gru(network.embedding(x))[0][..., ~keep["gru.l0"]].any()
    for network in (masked, ap.remove(masked)):
        stored = ap.load_model(ap.save_model(network, tmp_path / "net"))
        assert disagreement(stored, masked, x) <= 1e-5
    assert stored.gru.hidden_size == 6
    values = ap.importance(masked, criterion, data=letters, num_images=100)["gru.l0"]
    assert values[keep["gru.l0"]].min() > values[~keep["gru.l0"]].max(), "silent units rank lowest"


def test_masks_tighten_and_layers_of_one_module_have_their_own():
    torch.manual_seed(0)
    model, x = Reader(num_layers=2).eval(), inputs()
    first, second = torch.arange(HIDDEN) != 2, torch.arange(HIDDEN) > 3
    masked = ap.mask(
        ap.mask(model, {"rnn.l0": first}, example_inputs=x), {"rnn.l0": second, "rnn.l1": first}, example_inputs=x
    )
    table = ap.sparsity(masked)
    assert table.kept_channels.to_dict() == {"rnn.l0": 2, "rnn.l1": 5, "fc": 4, "all": 11}
    assert ap.remove(masked, x).rnn.hidden_size == 5
    with pytest.raises(ValueError, match=r"the layers of this model with one weight are \['fc'\]"):
        ap.mask_weights(model, {"rnn.l0": torch.ones(3, 3, dtype=torch.bool)})


@pytest.mark.parametrize("kind", KINDS)
def test_repair_brings_the_outputs_nearer_to_the_dense_network(kind, letters):
    torch.manual_seed(0)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.rnn = nn.Embedding(8, 5), KINDS[kind](5, 16, 2, batch_first=True, bidirectional=True)
            self.fc = nn.Linear(32, 3)

        def forward(self, tokens):
            return self.fc(self.rnn(self.embedding(tokens))[0].mean(1))

    model = Own().eval()
    labels = model(letters.train.images).argmax(1)  # what the dense network says is right, so that a repair is never refused
    data = TokenData("own", letters.class_names, *[ap.Images(letters.train.images, labels)] * 3, symbols=letters.symbols)
    masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model, "random"), 0.4))
    repaired = ap.repair(masked, data)

    def error(network, read):
        return (read(network) - read(model)).norm().item()

    def scores(network):
        return network(letters.test.images)

    alone = copy.deepcopy(masked)  # the linear layer repaired alone
    alone.fc.load_state_dict(repaired.fc.state_dict())
    assert error(repaired, scores) < 0.5 * error(masked, scores)
    assert error(repaired, scores) < error(alone, scores), "the recurrent weights were solved as well"
    assert disagreement(ap.remove(repaired), repaired, letters.example_inputs) <= 1e-5, "the masks are still there"
