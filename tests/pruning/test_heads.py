"""Heads of attention are channels: scored, masked, removed and repaired as those of other layers are."""

import copy

import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from torch import nn
from torch.nn import functional as F

import attnprune_edu as ap
from attnprune_edu.data.tokens import TokenData
from attnprune_edu.networks.attention_layer import Attention
from attnprune_edu.networks.kinds import Heads, layers_with_channels, plain_layers, width
from attnprune_edu.pruning.cutting import disagreement

DIM, CLASSES = 12, 3


class Around(nn.Module):
    """What a user may build around attention: a ``part`` called in some ``way``, and a layer on the mean of the tokens."""

    def __init__(self, part, way=lambda part, x: part(x, x, x)[0], dim=DIM):
        super().__init__()
        self.norm, self.part, self.fc, self.way = nn.LayerNorm(dim), part, nn.Linear(dim, CLASSES), way

    def forward(self, x):
        return self.fc((x + self.way(self.part, self.norm(x))).mean(1))


def random_heads(seed=0, **options):
    """torch's own attention, with biases as if it had been trained."""
    torch.manual_seed(seed)
    return with_biases(nn.MultiheadAttention(DIM, 4, **{"batch_first": True} | options))


def with_biases(module):
    for name, parameter in module.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return module


def padding(x):
    return torch.arange(x.shape[1]).expand(x.shape[:2]) >= torch.tensor([[4], [2]])


def encoder(norm_first, heads):
    layer = nn.TransformerEncoderLayer(heads * 2, heads, 5, norm_first=norm_first, batch_first=True)
    stack = with_biases(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    return Around(stack, lambda stack, x: stack(x, src_key_padding_mask=padding(x)), heads * 2)


def decoder(norm_first, heads):
    layer = with_biases(nn.TransformerDecoderLayer(heads * 2, heads, 5, norm_first=norm_first))
    return Around(layer, lambda layer, x: layer(x, x.flip(1)[:3]), heads * 2)


def alone(mean, heads):
    return Around(with_biases(nn.MultiheadAttention(heads * 2, heads, batch_first=True)), dim=heads * 2)


def ours(norm_first, heads):
    return Around(with_biases(Attention(8, heads, 3)), dim=8)


@given(
    build=st.sampled_from([encoder, decoder, alone, ours]), norm_first=st.booleans(), heads=st.integers(1, 5),
    seed=st.integers(0, 999),
)  # fmt: skip
@settings(max_examples=10)
@example(build=encoder, norm_first=False, heads=4, seed=0)
@example(build=decoder, norm_first=True, heads=3, seed=1)
def test_removed_equals_masked(build, norm_first, heads, seed):
    torch.manual_seed(seed)
    model = build(norm_first, heads).eval()
    x = torch.randn(2, 4, model.norm.normalized_shape[0])
    layers = {name: layer for name, layer in layers_with_channels(model).items() if isinstance(layer, Heads)}
    assert layers and not layers.keys() & ap.unprunable(model, x).keys()
    keep = {name: torch.rand(heads) > 0.4 for name in layers}
    for stays in keep.values():
        stays[torch.randint(heads, ())] = True
    masked = ap.mask(model, keep, example_inputs=x)
    small = ap.remove(masked, x)
    assert disagreement(masked, small, x) <= 1e-5
    for name, stays in keep.items():
        attention = small.get_submodule(name)
        assert width(attention) == int(stays.sum())
        assert stays.all() or isinstance(attention, Attention), "torch's own cannot hold fewer heads"
        own = attention.head_dim * attention.num_heads
        assert attention.out_proj.in_features == attention.out_proj.weight.shape[1] == own
    lost = not all(stays.all() for stays in keep.values())
    assert lost == (disagreement(model, small, x) > 1e-5)
    with torch.inference_mode():  # where torch's layers would take their fast path
        assert torch.allclose(small(x), masked(x), atol=1e-5)
    small.train()(x).sum().backward()


def test_torchs_encoder_with_nested_tensors_loses_heads_too():
    """It would pack the tokens that are no padding for its fast path, which our attention cannot take."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 4, 5, batch_first=True)

    def without_padding(stack, x):
        return stack(x, src_key_padding_mask=padding(x)).masked_fill(padding(x)[..., None], 0)

    model, x = Around(nn.TransformerEncoder(layer, 2), without_padding, 8).eval(), torch.randn(2, 4, 8)
    masked = ap.mask(model, {"part.layers.1.self_attn": torch.arange(4) > 1}, example_inputs=x)
    small = ap.remove(masked, x)
    assert type(small.part.layers[0].self_attn) is nn.MultiheadAttention, "what loses nothing stays as it was"
    with torch.inference_mode():
        assert torch.allclose(small(x), masked(x), atol=1e-5) and not torch.allclose(small(x), model(x), atol=1e-3)


def test_feed_forward_neurons_go_along_with_the_heads_and_embeddings_stay():
    torch.manual_seed(0)
    model, x = encoder(False, 4).eval(), torch.randn(2, 4, 8)
    importance = ap.importance(model, "l2", example_inputs=x)
    assert {name: len(values) for name, values in importance.items()} == {
        "part.layers.0.self_attn": 4, "part.layers.0.linear1": 5, "part.layers.1.self_attn": 4, "part.layers.1.linear1": 5,
    }  # fmt: skip
    masked = ap.mask(model, ap.keep_by_ratio(importance, 0.5), example_inputs=x)
    small = ap.remove(masked, x)
    assert disagreement(masked, small, x) <= 1e-5
    assert [layer.self_attn.num_heads for layer in small.part.layers] == [2, 2]
    assert [layer.linear1.out_features for layer in small.part.layers] == [3, 3]  # 2.5 is rounded to 2, which go


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Around(random_heads(add_bias_kv=True)), "it attends to a key that no input has (add_bias_kv"),
        (lambda: Around(random_heads(add_zero_attn=True)), "it attends to a key that no input has (add_bias_kv"),
        (lambda: Around(random_heads(), lambda part, x: part(x, x, x)[1] @ x), "mean mixes it with other channels"),
        (lambda: Around(Attention(DIM, 4), lambda part, x: part(x, x, x)[1] @ x), "mean mixes it with other channels"),
        (
            lambda: Around(random_heads(), lambda part, x: part(x, x, x, attn_mask=torch.zeros(len(x) * 4, 4, 4))[0]),
            "the forward pass counts on its number of channels",
        ),
    ],
)
def test_heads_that_cannot_go_are_named_with_the_reason(build, reason):
    model, x = build().eval(), torch.randn(2, 4, DIM)
    assert ap.unprunable(model, x)["part"].startswith(reason)
    with pytest.raises(ValueError, match="keep drops channels of 'part', which cannot be removed"):
        ap.mask(model, {"part": torch.arange(4) > 0}, example_inputs=x)


@pytest.mark.parametrize("part", [random_heads(), Attention(DIM, 4)], ids=["torch", "ours"])
@pytest.mark.parametrize("average", [True, False])
def test_probabilities_that_nobody_uses_hold_no_head(part, average):
    """Whoever calls attention as torch's documentation does asks for them, and throws them away."""
    model = Around(part, lambda part, x: part(x, x, x, average_attn_weights=average)[0]).eval()
    assert "part" not in ap.unprunable(model, torch.randn(2, 4, DIM))


def test_channels_flow_through_attention_where_nothing_mixes_them():
    """Without a layer normalisation, what attention reads and what it returns can be cut as well."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, DIM), Itself(random_heads()), nn.Linear(DIM, CLASSES)).eval()
    x = torch.randn(2, 4, 5)
    importance = ap.importance(model, "l1", example_inputs=x)
    assert importance.keys() == {"0", "1.part", "1.part.out_proj"}
    masked = ap.mask(model, ap.keep_by_ratio(importance, 0.5), example_inputs=x)
    small = ap.remove(masked, x)
    assert disagreement(masked, small, x) <= 1e-5
    assert (small[1].part.q_proj.weight.shape, small[1].part.out_proj.weight.shape) == ((6, 6), (6, 6))


class Itself(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x, x, x)[0]


@pytest.mark.parametrize("options", [{}, {"kdim": 7, "vdim": 5}, {"bias": False}], ids=str)
def test_the_weights_of_a_head_are_those_of_its_query_key_and_value(options):
    attention, keys, values = random_heads(**options), options.get("kdim", DIM), options.get("vdim", DIM)
    model, x = Around(attention, lambda part, x: part(x, x[..., :keys], x[..., :values])[0]).eval(), torch.randn(2, 4, DIM)
    if attention.in_proj_weight is not None:
        weights = attention.in_proj_weight.chunk(3)
    else:
        weights = attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight
    own = torch.cat([weight.detach().unflatten(0, (4, 3)).flatten(1) for weight in weights], dim=1)
    read = attention.out_proj.weight.detach().unflatten(1, (4, 3)).abs().sum((0, 2))
    for criterion, expected in (
        ("l1", own.abs().sum(1)), ("attention", (own.abs().softmax(1) * own.abs()).sum(1)), ("l1_readers", read),
    ):  # fmt: skip
        assert torch.allclose(ap.importance(model, criterion, example_inputs=x)["part"], expected), criterion


@pytest.fixture(scope="module")
def letters() -> TokenData:
    """Sequences of up to 6 tokens in three classes: which of the tokens 1, 2 and 3 is among them."""
    generator = torch.Generator().manual_seed(0)

    def part(count):
        tokens = torch.randint(4, 8, (count, 6), generator=generator)
        labels = torch.randint(3, (count,), generator=generator)
        lengths = torch.randint(3, 7, (count,), generator=generator)
        tokens[torch.arange(count), torch.randint(3, (count,), generator=generator)] = labels + 1
        return ap.Images(tokens.masked_fill(torch.arange(6) >= lengths[:, None], 0), labels)

    return TokenData("letters", ("a", "b", "c"), part(120), part(60), part(60), symbols=tuple(" abcdefg"))


@pytest.fixture(scope="module")
def trained(letters) -> nn.Module:
    torch.manual_seed(0)
    model = ap.NameTransformer(8, 6, 3, embed_dim=8, num_heads=(3, 2), head_dim=4, hidden=(6, 7))
    ap.train(model, letters, 10, batch_size=20, lr=0.01, progress=False)
    return model.eval()


class Torchs(nn.Module):
    """``NameTransformer`` with torch's own attention, which has heads of another width."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(8, DIM)
        layer = nn.TransformerEncoderLayer(DIM, 4, 6, dropout=0.0, batch_first=True)
        self.encoder, self.fc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(DIM, CLASSES)

    def forward(self, tokens):
        return self.fc(self.encoder(self.embedding(tokens), src_key_padding_mask=tokens == 0)[:, :3].mean(1))


@pytest.fixture(scope="module")
def torchs(letters) -> nn.Module:
    torch.manual_seed(0)
    model = with_biases(Torchs())
    ap.train(model, letters, 3, batch_size=20, lr=0.01, progress=False)
    return model.eval()


def gates_of(model, tokens, labels):
    """{layer: ∂L/∂g (heads,)}, with a factor g on the weights that make a head's values, and so on what it hands on."""
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    gates = {name: torch.ones(one.num_heads, requires_grad=True) for name, one in heads_of(model).items()}
    gated = dict(parameters)
    for name, gate in gates.items():
        factor = gate.repeat_interleave(model.get_submodule(name).head_dim)
        gated[f"{name}.v_proj.weight"] = parameters[f"{name}.v_proj.weight"] * factor[:, None]
        gated[f"{name}.v_proj.bias"] = parameters[f"{name}.v_proj.bias"] * factor
    loss = F.cross_entropy(torch.func.functional_call(model, gated, (tokens,)), labels)
    return dict(zip(gates, torch.autograd.grad(loss, list(gates.values())), strict=True))


def heads_of(model):
    return {name: layer for name, layer in layers_with_channels(model).items() if isinstance(layer, Heads)}


def test_gates_of_heads_follow_their_formulas(trained, letters):
    count = len(letters.train.labels)
    found = {
        criterion: ap.importance(trained, criterion, data=letters, num_images=count) for criterion in ("head_gate", "taylor")
    }
    assert found["head_gate"].keys() == heads_of(trained).keys() < found["taylor"].keys()
    each = [gates_of(trained, tokens[None], label[None]) for tokens, label in zip(*letters.train, strict=True)]
    calibration = letters.sample(count, torch.Generator().manual_seed(0))
    batches = list(zip(calibration.images.split(100), calibration.labels.split(100), strict=True))
    together = [gates_of(trained, tokens, labels) for tokens, labels in batches]
    for name in heads_of(trained):
        michel = torch.stack([gradient[name].abs() for gradient in each]).mean(0)
        assert torch.allclose(found["head_gate"][name], michel / michel.norm(), rtol=1e-3)
        squares = torch.stack([gradient[name] ** 2 for gradient in together]).mean(0)
        assert torch.allclose(found["taylor"][name], squares, rtol=1e-3)


def test_heads_that_nobody_listens_to_are_worth_nothing(letters):
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(8, 8)
            self.heard, self.unheard, self.fc = Attention(8, 2, 4), Attention(8, 2, 4), nn.Linear(8, 3)

        def forward(self, tokens):
            x = self.embedding(tokens)
            self.unheard(x, x, x)
            return self.fc(self.heard(x, x, x)[0].mean(1))

    found = ap.importance(Aside(), "head_gate", data=letters, num_images=20)
    assert not found["unheard"].any() and found["heard"].all()


def test_entropy_is_that_of_what_the_tokens_look_at_without_padding(trained, letters):
    found = ap.importance(trained, "attention_entropy", data=letters, num_images=120)
    tokens = letters.train.images
    for name, probabilities in ap.attention_probabilities(trained, tokens).items():
        entropies = [[] for _ in range(probabilities.shape[1])]
        for number, length in enumerate((tokens > 0).sum(dim=1)):
            for head, rows in enumerate(probabilities[number]):
                entropies[head] += [-sum(p * p.log() for p in row if p > 0) for row in rows[:length]]
        expected = torch.tensor([-sum(rows) / len(rows) for rows in entropies])
        assert torch.allclose(found[name], expected, rtol=1e-3)
    sharp = copy.deepcopy(trained)
    with torch.no_grad():
        sharp.layers[1].attention.q_proj.weight[:4] *= 100  # the first head looks at one token alone
    values = ap.importance(sharp, "attention_entropy", data=letters)["layers.1.attention"]
    assert values[0] > values[1] and values[0] > found["layers.1.attention"][0] and values.max() <= 0


def test_activation_attention_is_the_length_of_what_a_head_hands_on(trained, letters):
    given = []
    attention = trained.layers[1].attention
    hook = attention.out_proj.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        trained(letters.train.images)
    hook.remove()
    lengths = given[0].unflatten(-1, (2, 4)).norm(dim=-1)  # (sequences, tokens, heads)
    found = ap.importance(trained, "activation_attention", data=letters, num_images=120, power=3.0)
    assert torch.allclose(found["layers.1.attention"], (lengths.mean(0) ** 3).mean(0), rtol=1e-4)


CRITERIA = ["random", "l1", "l2", "attention", "fpgm", "l1_readers", "taylor"]
CRITERIA += ["activation_attention", "head_gate", "attention_entropy"]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_torchs_heads_are_worth_what_ours_are(criterion, torchs, letters):
    numbers = torch.get_rng_state()
    theirs = ap.importance(torchs, criterion, data=letters, num_images=60)
    assert torch.equal(torch.get_rng_state(), numbers)
    same = copy.deepcopy(torchs)
    for layer in same.encoder.layers:
        layer.self_attn = Attention.from_torch(layer.self_attn)
    found = ap.importance(same, criterion, data=letters, num_images=60)
    assert found.keys() == theirs.keys() >= {"encoder.layers.0.self_attn", "encoder.layers.1.self_attn"}
    for name, values in theirs.items():
        assert torch.allclose(found[name], values, rtol=1e-3, atol=1e-6), name
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in torchs.modules())


@pytest.mark.parametrize("criterion", ["head_gate", "attention_entropy"])
def test_what_is_for_heads_alone_wants_heads_and_data(criterion, trained, letters, tiny_model, tiny_data):
    with pytest.raises(ValueError, match=rf"criterion '{criterion}' is for heads of attention, but \['conv1', "):
        ap.importance(tiny_model, criterion, data=tiny_data)
    with pytest.raises(ValueError, match=f"criterion '{criterion}' needs the argument data"):
        ap.importance(trained, criterion)
    found = ap.importance(trained, criterion, data=letters, ignored_layers=["layers.0.attention"])
    assert found.keys() == {"layers.1.attention"}


@pytest.mark.parametrize("kind", ["trained", "torchs"])
def test_the_whole_story_of_a_transformer(kind, request, letters, tmp_path):
    model, x = request.getfixturevalue(kind), letters.example_inputs
    importance = ap.importance(model, "head_gate", data=letters, num_images=60)
    keep = ap.keep_by_ratio(importance, 0.5, scope="global")
    masked = ap.mask(model, keep)
    ap.fine_tune(masked, letters, epochs=1, progress=False)
    again = copy.deepcopy(masked)
    again.load_state_dict(masked.state_dict())
    for network in (masked, again):
        for name, stays in keep.items():
            attention = network.get_submodule(name)
            weights = [attention.in_proj_weight] if kind == "torchs" else [attention.q_proj.weight, attention.v_proj.bias]
            for weight in weights:
                rows = stays.repeat_interleave(attention.head_dim)
                assert not weight[~rows.repeat(len(weight) // len(rows))].any()
    small = ap.remove(masked)
    assert disagreement(small, masked, x) <= 1e-5
    assert sum(layer.num_heads for layer in heads_of(small).values()) == sum(int(stays.sum()) for stays in keep.values())
    assert ap.importance(small, "head_gate", data=letters).keys() == keep.keys(), "and on with what is left"
    table = ap.sparsity(masked)
    for name, stays in keep.items():
        assert table.loc[name, "channels"] == len(stays) and table.loc[name, "sparsity"] == pytest.approx(
            1 - stays.float().mean()
        )
    if kind == "trained":
        for network in (masked, small):
            stored = ap.load_model(ap.save_model(network, tmp_path / "net"))
            assert disagreement(stored, masked, x) <= 1e-5
        assert stored.architecture["num_heads"] == [int(stays.sum()) for stays in keep.values()]


@pytest.mark.parametrize("kind", ["trained", "torchs"])
def test_repair_brings_the_outputs_nearer_to_the_dense_network(kind, request, letters):
    model, tokens = request.getfixturevalue(kind), letters.test.images
    labels = model(letters.train.images).argmax(1)  # what the dense network says is right: a repair is never refused
    data = TokenData("own", letters.class_names, *[ap.Images(letters.train.images, labels)] * 3, symbols=letters.symbols)
    keep = {name: torch.arange(layer.num_heads) > 0 for name, layer in heads_of(model).items()}
    masked = ap.mask(model, keep)
    repaired = ap.repair(masked, data)

    def error(network):
        return (network(tokens) - model(tokens)).norm().item()

    assert error(repaired) < 0.7 * error(masked)
    assert [type(module) for module in repaired.modules()] == [type(module) for module in masked.modules()]
    assert disagreement(ap.remove(repaired), repaired, letters.example_inputs) <= 1e-5, "the masks are still there"
    for name, layer in plain_layers(masked).items():
        changed = not torch.equal(layer.weight, repaired.get_submodule(name).weight)
        assert changed or name == "fc" or "0" in name, f"{name} reads something else now"


def test_single_weights_of_what_makes_heads_are_left_alone(trained):
    with pytest.raises(ValueError, match=r"keep names 'layers\.0\.attention', but the layers of this model with one weight"):
        ap.mask_weights(trained, {"layers.0.attention": torch.ones(8, 8, dtype=torch.bool)})
    masked = ap.mask_weights(trained, {"layers.0.attention.out_proj": torch.arange(12).expand(8, 12) % 5 > 0})
    small = ap.remove(ap.mask(masked, {"layers.0.attention": torch.tensor([False, True, True])}))
    assert (small.layers[0].attention.out_proj.weight == 0).sum() == 8 * 2, (
        "columns 5 and 10 of those that are left, 4 to 11"
    )
