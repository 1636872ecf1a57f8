"""What the checks of lesson 12 answer."""

import pytest
import torch
from answering import dots_after, step_after_step, verdict_test
from torch import nn

import attnprune_edu as ap
from attnprune_edu import checks
from attnprune_edu.networks.attention_layer import Attention

NAMES = ["stays", "small_q", "small_k", "small_v", "small_out"]


def linear(weight, bias, kind=nn.Linear):
    layer = kind(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def rows_of(name):
    return lambda here: linear(here[name].weight[here["stays"]], here[name].bias[here["stays"]])


def owner(here):
    """The head of each row."""
    return torch.arange(here["num_heads"]).repeat_interleave(here["q_proj"].out_features // here["num_heads"])


def remover(**slips):
    """The solution that the lesson shows, with a place for each slip."""
    steps = {
        "stays": lambda here: owner(here) != here["head"],
        "small_q": rows_of("q_proj"),
        "small_k": rows_of("k_proj"),
        "small_v": rows_of("v_proj"),
        "small_out": lambda here: linear(here["out_proj"].weight[:, here["stays"]], here["out_proj"].bias),
    }
    return step_after_step(["q_proj", "k_proj", "v_proj", "out_proj", "num_heads", "head"], steps, slips)


def stays(change):
    return remover(stays=change, **dots_after("stays", NAMES))


def small_q(change):
    return remover(small_q=lambda here: change(here["q_proj"], here["stays"]), **dots_after("small_q", NAMES))


def small_out(change):
    return remover(small_out=lambda here: change(here["out_proj"], here["stays"]))


def changed(q_proj, *others):
    with torch.no_grad():
        q_proj.weight[0] = 0
    return remover()(q_proj, *others)


def without_bias(q_proj, *others):
    parts = remover()(q_proj, *others)
    q_proj.bias = None
    return parts


def cut_in_place(q_proj, *others):
    """What the reader is given, cut by changing its parameters, so that the layers' own numbers are no longer true."""
    *parts, out = remover()(q_proj, *others)
    layer = nn.Linear(q_proj.in_features, q_proj.out_features)
    layer.weight, layer.bias = parts[1].weight, parts[1].bias
    return parts[0], layer, *parts[2:], out


def units(keep):
    return keep.nonzero().flatten()


def parts(keep, step, places=(0, 1, 2)):
    return torch.cat([units(keep) + place * step for place in places])


def rows(keep):
    return parts(keep, len(keep))


CASES = [
    (checks.params_of_a_head, 4144, True, "four equal parts"),
    (checks.params_of_a_head, torch.tensor(4144), True, "four equal parts"),
    (checks.params_of_a_head, 3120, False, "the columns that read it"),
    (checks.params_of_a_head, 4096, False, "the biases are missing"),
    (checks.params_of_a_head, 4160, False, "take biases from out_proj"),
    (checks.params_of_a_head, 4208, False, "bias of out_proj as well"),
    (checks.params_of_a_head, 3072, False, "leave out the biases of the rows"),
    (checks.params_of_a_head, 2064, False, "query, key and value"),
    (checks.params_of_a_head, 3104, False, "query, key and value"),
    (checks.params_of_a_head, 1040, False, "in one of the four layers"),
    (checks.params_of_a_head, 1024, False, "in one of the four layers"),
    (checks.params_of_a_head, 64, False, "you count rows and columns"),
    (checks.params_of_a_head, 16640, False, "four whole layers"),
    (checks.params_of_a_head, 12496, False, "that is what is left"),
    (checks.params_of_a_head, 8288, False, "two heads"),
    (checks.params_of_a_head, 1840, False, "reads all numbers of a letter"),
    (checks.params_of_a_head, 1072, False, "reads all numbers of a letter"),
    (checks.params_of_a_head, 3376, False, "for each number that comes out"),
    (checks.params_of_a_head, 4288, False, "as many biases"),
    (checks.params_of_a_head, 12480, False, "the whole q_proj, k_proj and v_proj"),
    (checks.params_of_a_head, 7216, False, "the whole out_proj"),
    (checks.params_of_a_head, 7280, False, "the whole out_proj"),
    (checks.params_of_a_head, 99, False, "Add up the four"),
    (checks.params_of_a_head, [4144], False, "one number, and this is a list"),
    (checks.rows_of_units, rows, True, "the unit is gone"),
    (checks.rows_of_units, lambda k: k.repeat(3).nonzero().flatten(), True, "the unit is gone"),
    (checks.rows_of_units, lambda k: k.repeat(3), False, "`.nonzero().flatten()`"),
    (checks.rows_of_units, lambda k: ~k.repeat(3), False, "not True and False"),
    (checks.rows_of_units, lambda k: k.repeat(3).nonzero(), False, "the shape is (rows, 1)"),
    (checks.rows_of_units, lambda k: rows(k).view(3, -1), False, "the shape is (3, units)"),
    (checks.rows_of_units, lambda k: rows(k)[:, None, None], False, "it should be (rows,)"),
    (checks.rows_of_units, units, False, "one of three matrices"),
    (checks.rows_of_units, lambda k: rows(~k), False, "these are the rows that go"),
    (checks.rows_of_units, lambda k: units(~k), False, "these are the units that go"),
    (checks.rows_of_units, lambda k: (3 * units(k)[:, None] + torch.arange(3)).flatten(), False, "side by side"),
    (checks.rows_of_units, lambda k: parts(k, int(k.sum())), False, "add len(keep)"),
    (checks.rows_of_units, lambda k: parts(k, len(k), range(4)), False, "as an LSTM has"),
    (checks.rows_of_units, lambda k: parts(k, len(k), range(2)), False, "two gates and a proposal"),
    (checks.rows_of_units, lambda k: units(k).repeat(3), False, "same rows three times"),
    (checks.rows_of_units, lambda k: parts(k, len(k) - 1), False, "add too little"),
    (checks.rows_of_units, lambda k: parts(k, len(k), (1, 2, 3)), False, "starts at row 0"),
    (checks.rows_of_units, lambda k: rows(k).view(3, -1).T.flatten(), False, "their order is not"),
    (checks.rows_of_units, lambda k: rows(k).float(), False, "an index must be whole"),
    (checks.rows_of_units, lambda k: parts(k, 64), False, "H is not always 64"),
    (checks.rows_of_units, lambda k: units(k) + len(k) + 2 * len(k), False, "adding them"),
    (checks.rows_of_units, lambda k: torch.cat([3 * units(k) + j for j in range(3)]), False, "do not lie side by side"),
    (checks.rows_of_units, lambda k: parts(k, len(k) + 1), False, "for keep ="),
    (checks.rows_of_units, lambda k: rows(k).tolist(), False, "returns a list; it should return a tensor"),
    (checks.head_by_hand, remover(), True, "with a silent head"),
    (checks.head_by_hand, lambda *given: list(remover()(*given)), True, "with a silent head"),
    (checks.head_by_hand, stays(lambda h: owner(h) != h["head"]), False, "step 2 of 5, `small_q`, is next"),
    (checks.head_by_hand, stays(lambda h: [True]), False, "should be a tensor, and this is a list"),
    (checks.head_by_hand, stays(lambda h: torch.arange(h["num_heads"]) != h["head"]), False, "one value for each head"),
    (checks.head_by_hand, stays(lambda h: torch.ones(5, dtype=torch.bool)), False, "the shape is (5,)"),
    (checks.head_by_hand, stays(lambda h: (owner(h) != h["head"]).float()), False, "True and False, and its type"),
    (checks.head_by_hand, stays(lambda h: owner(h) == h["head"]), False, "are swapped"),
    (checks.head_by_hand, stays(lambda h: torch.arange(len(owner(h))) != h["head"]), False, "one row alone"),
    (
        checks.head_by_hand,
        stays(lambda h: torch.arange(h["num_heads"]).repeat(len(owner(h)) // h["num_heads"]) != h["head"]),
        False,
        "`repeat_interleave` repeats each number",
    ),
    (checks.head_by_hand, stays(lambda h: owner(h) >= 0), False, "for head 1 it should be [1, 1, 0, 0, 1, 1]"),
    (checks.head_by_hand, remover(stays=lambda h: owner(h) != 1), False, "right for 3 heads of width 2; for 4 of width 3"),
    (checks.head_by_hand, small_q(lambda q, s: q.weight[s]), False, "an nn.Linear, and this is a Tensor"),
    (checks.head_by_hand, small_q(lambda q, s: q), False, "the layer that you were given"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight * s[:, None], q.bias)), False, "still there"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight, q.bias)), False, "as large as q_proj"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight[:, s], q.bias)), False, "you cut columns"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight[s].T, None)), False, "rows and columns are swapped"),
    (checks.head_by_hand, small_q(lambda q, s: nn.Linear(6, 4)), False, "the weights are not the rows of q_proj that stay"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight[s], None)), False, "the bias is missing"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight[s], q.bias[s] + 1)), False, "the weights are right. But"),
    (checks.head_by_hand, cut_in_place, False, "says out_features=6"),
    (
        checks.head_by_hand,
        remover(small_k=rows_of("q_proj")),
        False,
        "step 3 of 5, `small_k`: these are the weights of q_proj",
    ),
    (
        checks.head_by_hand,
        remover(small_v=rows_of("k_proj")),
        False,
        "step 4 of 5, `small_v`: these are the weights of k_proj",
    ),
    (checks.head_by_hand, small_out(lambda o, s: o), False, "the layer that you were given"),
    (checks.head_by_hand, small_out(lambda o, s: linear(o.weight * s, o.bias)), False, "as large as out_proj"),
    (checks.head_by_hand, small_out(lambda o, s: linear(o.weight[s], o.bias[s])), False, "you cut rows"),
    (checks.head_by_hand, small_q(lambda q, s: linear(q.weight[s[::2]], None)), False, "needs an entry for each row"),
    (checks.head_by_hand, small_q(lambda q, s: nn.Linear(4, 6).weight.data.copy_(q.weight[s])), False, "(columns, rows)"),
    (checks.head_by_hand, small_q(lambda q, s: nn.Linear(6, 4).weight.copy_(q.weight[s])), False, "`torch.no_grad()`"),
    (checks.head_by_hand, small_q(lambda q, s: setattr(nn.Linear(6, 4), "weight", q.weight[s])), False, "`torch.no_grad()`"),
    (checks.head_by_hand, small_out(lambda o, s: linear(o.weight[:, s].T, None)), False, "rows and columns are swapped"),
    (checks.head_by_hand, small_out(lambda o, s: linear(o.weight[:4, s], o.bias[:4])), False, "its weight is (4, 4)"),
    (
        checks.head_by_hand,
        small_out(lambda o, s: linear(o.weight[:, ~s].repeat(1, 2), o.bias)),
        False,
        "columns of out_proj",
    ),
    (checks.head_by_hand, small_out(lambda o, s: linear(o.weight[:, s], 0 * o.bias)), False, "its biases all stay"),
    (checks.head_by_hand, changed, False, "changes the layers that it is given"),
    (checks.head_by_hand, without_bias, False, "changes the layers that it is given"),
    (checks.head_by_hand, lambda *given: remover()(*given)[1:], False, "should return 5 things"),
    (checks.head_by_hand, lambda q, *rest: q.nothing, False, "stops with AttributeError"),
    (checks.head_by_hand, [1, 2], False, "hand over the function itself"),
    (checks.rows_of_units, lambda keep: ..., None, "three dots"),
    (checks.head_by_hand, lambda *given: (...,) * 5, None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (stays(lambda here: 1), 0),
        (small_q(lambda q, s: q), 1 / 5),
        (remover(small_v=rows_of("k_proj")), 3 / 5),
        (small_out(lambda o, s: o), 4 / 5),
        (remover(), 1),
    ],
)
def test_each_step_earns_its_share(function, share):
    assert checks.head_by_hand(function).share == pytest.approx(share)


@pytest.mark.parametrize(("embed_dim", "head_dim"), [(64, 16), (12, 5)])
def test_the_library_counts_as_the_exercise_does(embed_dim, head_dim):
    two, three = (Attention(embed_dim, num_heads, head_dim) for num_heads in (2, 3))
    answer = ap.count_params(three) - ap.count_params(two)
    assert checks.params_of_a_head(answer, embed_dim=embed_dim, head_dim=head_dim).solved


def test_the_library_removes_what_the_exercises_do():
    torch.manual_seed(0)
    model = ap.NameTransformer(8, 6, 3, embed_dim=8, num_heads=(3,), head_dim=4, hidden=(6,)).eval()
    old = model.layers[0].attention
    _, *small = remover()(old.q_proj, old.k_proj, old.v_proj, old.out_proj, 3, 1)
    cut = ap.remove(ap.mask(model, {"layers.0.attention": torch.arange(3) != 1})).layers[0].attention
    for mine, theirs in zip(small, (cut.q_proj, cut.k_proj, cut.v_proj, cut.out_proj), strict=True):
        assert mine.weight.equal(theirs.weight) and mine.bias.equal(theirs.bias)
    gru, keep = ap.NameGRU(8, 3, embed_dim=4, hidden=5), torch.tensor([True, False, True, True, False])
    shorter = ap.remove(ap.mask(gru, {"gru.l0": keep}))
    assert shorter.gru.weight_ih_l0.equal(gru.gru.weight_ih_l0[rows(keep)])
