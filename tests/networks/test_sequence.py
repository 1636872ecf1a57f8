import itertools

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.networks.attention_layer import Attention
from attnprune_edu.networks.models import architecture_of, rebuild

TOKENS = torch.tensor([[3, 1, 4, 0, 0, 0], [2, 7, 1, 5, 2, 6], [5, 0, 0, 0, 0, 0]])


def gru():
    return ap.NameGRU(vocab_size=8, num_classes=3, embed_dim=5, hidden=6)


def transformer():
    return ap.NameTransformer(
        vocab_size=8, length=9, num_classes=3, embed_dim=6, num_heads=(3, 1), head_dim=4, hidden=(5, 7)
    )


two_networks = pytest.mark.parametrize("build", [gru, transformer])


@pytest.mark.parametrize(("kind", "parameters"), [("NameGRU", 18_715), ("NameTransformer", 70_731)])
def test_the_networks_for_names_are_as_large_as_their_descriptions_say(kind, parameters):
    class Names:
        vocab_size, image_shape, class_names = 30, (16,), tuple(map(str, range(11)))

    model = getattr(ap, kind).for_data(Names)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(torch.randint(30, (2, 16))).shape == (2, 11)


@two_networks
def test_padding_changes_nothing_and_every_token_counts(build):
    model = build().eval()
    scores = model(TOKENS)
    assert torch.allclose(model(nn.functional.pad(TOKENS, (0, 3))), scores, atol=1e-6)
    for name, place in itertools.product(range(3), range(6)):
        other = TOKENS.clone()
        other[name, place] = other[name, place] % 7 + 1 if other[name, place] else 0
        changed = ((model(other) - scores).abs() > 1e-4).any(dim=1)
        assert changed.tolist() == [one == name and TOKENS[name, place] != 0 for one in range(3)]
    assert torch.isfinite(model(torch.zeros_like(TOKENS))).all(), "nothing but padding"


def test_an_exported_recurrent_network_takes_any_number_of_sequences():
    model = gru().eval()
    shapes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(model, (TOKENS[:2],), dynamic_shapes=shapes, strict=False).module()
    for count in (2, 3):
        assert torch.allclose(exported(TOKENS[:count]), model(TOKENS[:count]), atol=1e-6)


@two_networks
def test_a_network_of_any_widths_is_rebuilt_and_stored(build, tmp_path):
    model = build().eval()
    again = rebuild(architecture_of(model))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(TOKENS), model(TOKENS))
    assert torch.equal(ap.load_model(ap.save_model(model, tmp_path / "net"))(TOKENS), model(TOKENS))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ap.NameGRU(8, 3, hidden=0), "hidden must be at least 1, got 0"),
        (lambda: ap.NameTransformer(8, 9, 3, num_heads=(4, 0)), r"num_heads must be at least 1, got \(4, 0\)"),
        (lambda: ap.NameTransformer(8, 9, 3, num_heads=(4,)), r"a number for each layer, got \(4,\) and \(128, 128\)"),
        (lambda: Attention(8, 0), "got embed_dim=8, num_heads=0"),
        (lambda: Attention(8, 3), "embed_dim must be a multiple of num_heads, got 8 and 3"),
        (lambda: Attention.from_torch(nn.MultiheadAttention(8, 2, add_bias_kv=True)), "cannot be taken over: .*add_bias_kv"),
        (lambda: ap.attention_probabilities(gru(), TOKENS), "must call an Attention .* NameGRU calls none"),
    ],
)
def test_what_does_not_fit_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


N, L, S, HEADS = 2, 4, 5, 3
BLOCKED = torch.tensor([[False] * S, [False, True, False, True, True]])
CAUSAL = torch.ones(L, S, dtype=torch.bool).triu(1)
MASKS = {
    "no mask": {},
    "padding": {"key_padding_mask": BLOCKED},
    "causal": {"attn_mask": CAUSAL},
    "both": {"key_padding_mask": BLOCKED, "attn_mask": CAUSAL},
    "numbers": {"attn_mask": torch.linspace(-1, 1, L * S).view(L, S)},
    "one for each head": {"attn_mask": torch.arange(N * HEADS * L * S).view(N * HEADS, L, S) % 7 == 0},
}


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"kdim": 7, "vdim": 2}], ids=str)
def test_attention_is_torchs(masks, batch_first, options):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(6, HEADS, batch_first=batch_first, **options).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    numbers = torch.get_rng_state()
    ours = Attention.from_torch(theirs)
    assert torch.equal(torch.get_rng_state(), numbers)
    query, key, value = (
        torch.randn(N, length, width) for length, width in ((L, 6), (S, options.get("kdim", 6)), (S, options.get("vdim", 6)))
    )
    if not batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    for asked in ({"need_weights": False}, {}, {"average_attn_weights": False}):
        for found, expected in zip(
            ours(query, key, value, **masks, **asked), theirs(query, key, value, **masks, **asked), strict=True
        ):
            assert found is expected is None or torch.allclose(found, expected, atol=1e-5)


def test_attention_takes_a_single_sequence_and_who_may_look_at_nothing_sees_zeros():
    theirs = nn.MultiheadAttention(6, 3, batch_first=True).eval()
    ours, x = Attention.from_torch(theirs), torch.randn(4, 6)
    assert torch.allclose(ours(x, x, x)[0], theirs(x, x, x)[0], atol=1e-6)
    nothing = torch.tensor([[False] * 4, [True] * 4])
    x = torch.randn(2, 4, 6)
    output, probabilities = ours(x, x, x, key_padding_mask=nothing)
    assert torch.allclose(output[1], ours.out_proj.bias.expand(4, 6)) and not probabilities[1].any()
    assert torch.allclose(output, theirs(x, x, x, key_padding_mask=nothing, need_weights=False)[0], atol=1e-6)


def test_probabilities_of_every_layer_are_read_and_the_network_goes_on_as_before():
    model = transformer().eval()
    before = model(TOKENS)
    found = ap.attention_probabilities(model, TOKENS)
    assert {name: tuple(p.shape) for name, p in found.items()} == {
        "layers.0.attention": (3, 3, 6, 6), "layers.1.attention": (3, 1, 6, 6),
    }  # fmt: skip
    for probabilities in found.values():
        assert torch.allclose(probabilities.sum(dim=-1), torch.ones(()))
        assert not probabilities[TOKENS.eq(0)[:, None, None].expand_as(probabilities)].any(), "nobody looks at padding"
    layer, x = model.layers[0], model.embedding(TOKENS) + model.positions[:6]
    x = layer.norm1(x)
    _, expected = layer.attention(x, x, x, TOKENS == 0, average_attn_weights=False)
    assert torch.equal(found["layers.0.attention"], expected)
    assert torch.equal(model(TOKENS), before)


@pytest.mark.parametrize("training", [True, False])
def test_probabilities_of_torchs_layers_are_read_past_their_fast_path(training):
    layer = nn.TransformerEncoderLayer(6, 3, 8, batch_first=True, dropout=0.5)
    model, x = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).train(training), torch.randn(2, 4, 6)
    found = ap.attention_probabilities(model, {"src": x, "src_key_padding_mask": TOKENS[:2, :4] == 0})
    expected = model.layers[0].self_attn.eval()(x, x, x, TOKENS[:2, :4] == 0, average_attn_weights=False)[1]
    assert torch.allclose(found["layers.0.self_attn"], expected, atol=1e-6) and len(found) == 2
    assert model.layers[1].training == training
