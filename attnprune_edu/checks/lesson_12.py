"""Checks of lesson 12, heads and units."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..networks.attention_layer import Attention
from .steps import first_problem, no_tensor, step_by_step
from .verdict import Answered, Verdict, a_kind, exercise, number_of, result_of, right, wrong


@exercise
def params_of_a_head(answer, *, embed_dim: int = 64, head_dim: int = 16) -> Verdict:
    """How many parameters go with one head: a number. ``embed_dim``: of the attention; ``head_dim``: numbers in a head."""
    answer = number_of(answer)
    rows, columns, layer = head_dim * (embed_dim + 1), head_dim * embed_dim, embed_dim * (embed_dim + 1)
    slips = {
        3 * rows: "these are the rows of the three layers that make the head. out_proj loses the columns that read it.",
        4 * columns: "the biases are missing: each row that goes takes its bias along.",
        4 * rows: "you take biases from out_proj as well. It loses columns, and a bias belongs to a row.",
        3 * columns: "you leave out the biases of the rows, and the columns of out_proj.",
        3 * rows + columns + embed_dim: "you take the bias of out_proj as well. It belongs to what comes out, and stays.",
        rows + columns: "a head has rows in three layers: query, key and value.",
        2 * rows + columns: "a head has rows in three layers: query, key and value.",
        rows: "so many belong to the head in one of the four layers. Count the rows of three and the columns of one.",
        columns: "so many belong to the head in one of the four layers. Count rows with their biases in three.",
        head_dim * 4: "you count rows and columns. Each of them holds a number for each of the numbers of a letter.",
        4 * layer: "these are four whole layers. How much of them belongs to one head?",
        3 * layer: "these are the whole q_proj, k_proj and v_proj. How many of their rows make one head?",
        3 * rows + layer: "that takes the whole out_proj. Only the columns that read the head go.",
        3 * rows + embed_dim**2: "that takes the whole out_proj. Only the columns that read the head go.",
        3 * rows + head_dim**2: "a column of out_proj has a weight for each number that comes out.",
        4 * columns + 3 * embed_dim: "a head takes as many biases of q_proj, k_proj and v_proj as it takes rows.",
        2 * (3 * rows + columns): "so many go with two heads.",
        4 * layer - 3 * rows - columns: "that is what is left. How many parameters go?",
    }
    own = 3 * head_dim * (head_dim + 1)  # as if the rows read the numbers of their head alone
    for value in (own, own + head_dim**2, own + columns, 3 * head_dim**2 + columns):
        slips[value] = "each row of q_proj, k_proj and v_proj reads all numbers of a letter, not those of one head."
    if answer == 3 * rows + columns:
        return right(
            "the rows of q_proj, k_proj and v_proj and the columns of out_proj are four equal parts, but for the biases."
        )
    if answer in slips:
        return wrong(slips[answer])
    return wrong("three layers lose rows, with a bias for each row; out_proj loses columns. Add up the four.")


@exercise
def rows_of_units(function) -> Verdict:
    """A function keep (H,) → the numbers of the rows of a GRU's weights that stay, int64 (3 · units that stay,)."""
    for keep in (torch.tensor([True, False, True, False, True]), torch.rand(7) > 0.4):
        keep[-2:] = torch.tensor([False, True])  # at least one goes, and one stays
        if problem := _amiss_with_rows(result_of(function, keep), keep):
            return wrong(problem)
    return right("with these rows, and with the columns of weight_hh and of the layer behind, the unit is gone.")


def _amiss_with_rows(found: Tensor, keep: Tensor) -> str | None:
    size, units = len(keep), keep.nonzero().flatten()
    wanted = torch.cat([units, units + size, units + 2 * size])
    here = f"for keep = {keep.int().tolist()}"
    if found.dtype == torch.bool:
        if found.equal(keep.repeat(3)):
            return "these are True and False for each row. Return the numbers of the rows: `.nonzero().flatten()`."
        return "return the numbers of the rows, not True and False."
    if found.is_floating_point():
        return f"these are numbers of the type {found.dtype}, and an index must be whole: int64."
    if found.shape == (len(wanted), 1):
        return "the shape is (rows, 1). `.flatten()` makes a plain list of numbers."
    if found.shape == (3, len(units)):
        return "the shape is (3, units). Put the three parts behind each other: `torch.cat`, or `.flatten()`."
    if found.ndim != 1:
        return f"the shape is {tuple(found.shape)}, and it should be (rows,), here {tuple(wanted.shape)}."
    gone = (~keep).nonzero().flatten()
    side_by_side = (3 * units[:, None] + torch.arange(3)).flatten()
    slips = [
        (units, "these are the rows of one of three matrices. The other two lie below, H and 2H rows further down."),
        (torch.cat([gone, gone + size, gone + 2 * size]), "these are the rows that go. Return those that stay."),
        (gone, "these are the units that go. Return the rows of those that stay."),
        (
            side_by_side,
            "the three rows of a unit do not lie side by side. First come all rows of one gate, then of the next.",
        ),
        (
            torch.cat([units + part * len(units) for part in range(3)]),
            "a matrix has H rows, also those that go: add len(keep).",
        ),
        (torch.cat([units + part * size for part in range(4)]), "these are four matrices, as an LSTM has. A GRU has three."),
        (
            torch.cat([units + part * size for part in range(2)]),
            "these are two matrices. A GRU has two gates and a proposal.",
        ),
        (torch.cat([units + part * 64 for part in range(3)]), "H is not always 64: it is len(keep)."),
        (units + 3 * size, "put three parts behind each other, `torch.cat`; adding them gives one."),
        (units.repeat(3), "these are the same rows three times. The second matrix starts H rows further down."),
        (torch.cat([units + part * (size - 1) for part in range(3)]), "you add too little: a matrix has len(keep) rows."),
        (torch.cat([units + part * size for part in (1, 2, 3)]), "the first matrix starts at row 0."),
    ]
    if found.equal(wanted):
        return None
    for value, message in slips:
        if found.sort().values.equal(value.sort().values):
            return message
    if found.sort().values.equal(wanted):
        return f"the rows are right and their order is not. In ascending order, {here} they are {wanted.tolist()}."
    return f"{here} the rows {wanted.tolist()} stay, and yours are {found.tolist()}."


class _Case(NamedTuple):
    """What the reader's function is given: an attention, and which of its heads shall go."""

    attention: Attention
    head: int

    @property
    def heads(self) -> Tensor:
        """The head to which each row of q_proj belongs, (rows,)."""
        return torch.arange(self.attention.num_heads).repeat_interleave(self.attention.head_dim)

    @property
    def stays(self) -> Tensor:
        return self.heads != self.head


@exercise
def head_by_hand(function) -> Verdict:
    """A function (q_proj, k_proj, v_proj, out_proj, num_heads, head) → stays, small_q, small_k, small_v, small_out.

    stays (num_heads · width,): True at the rows that stay; the others are new ``nn.Linear`` layers without the rows, and
    the last without the columns, of the head.
    """
    for embed_dim, num_heads, head_dim, head in [(6, 3, 2, 1), (5, 4, 3, 0)]:
        case = _Case(Attention(embed_dim, num_heads, head_dim), head)
        layers = [case.attention.get_submodule(name) for name in LAYERS]
        before = {name: value.clone() for name, value in case.attention.state_dict().items()}
        try:
            parts = step_by_step(function, STEPS, *layers, num_heads, head)
        except Answered as end:
            advice = [text for sign, text in ADVICE.items() if sign in end.verdict.message]
            if end.verdict.solved is None or not advice:
                raise
            return wrong(f"{end.verdict.message}. {advice[0]}")
        after = case.attention.state_dict()
        if after.keys() != before.keys() or any(not value.equal(before[name]) for name, value in after.items()):
            return wrong("your function changes the layers that it is given. Make new ones.")
        if verdict := first_problem(parts, STEPS, case):
            if num_heads == 3:
                return verdict
            where = f"right for 3 heads of width 2; for {num_heads} of width {head_dim} of which number {head} goes, "
            return wrong(where + verdict.message, verdict.share)
    return right("four matrices that are really smaller, and attention gives what it gives with a silent head.")


def _wrong_stays(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return problem
    wanted, heads, number = case.stays, case.heads, case.attention.num_heads
    if part.shape != wanted.shape:
        if part.shape == (number,):
            return f"that is one value for each head. Each head has {case.attention.head_dim} rows: `repeat_interleave`."
        return f"the shape is {tuple(part.shape)}, and it should be (num_heads · width,), here {tuple(wanted.shape)}."
    if part.dtype != torch.bool:
        return f"it should hold True and False, and its type is {part.dtype}."
    dealt_out = torch.arange(len(heads)) % number  # as if neighbouring rows belonged to different heads
    slips = [
        (~wanted, "True and False are swapped: True is what stays."),
        (
            dealt_out != case.head,
            "the rows of a head are neighbours. `repeat_interleave` repeats each number, `repeat` all.",
        ),
        (torch.arange(len(heads)) != case.head, "that is one row alone. A head has as many as it is wide."),
    ]
    for value, message in slips:
        if part.equal(value):
            return message
    if part.equal(wanted):
        return None
    right_width = "A head is `q_proj.out_features // num_heads` rows wide."
    return f"for head {case.head} it should be {wanted.int().tolist()}, with 1 for True. {right_width}"


def _wrong_rows(name: str, part, parts: dict, case: _Case) -> str | None:
    layer, stays = case.attention.get_submodule(name), case.stays
    if problem := _no_layer(part, case):
        return problem
    weight, rows = part.weight, layer.weight[stays]
    if weight.shape == layer.weight.shape:
        silent = layer.weight * stays[:, None]
        return (
            "the head's rows hold zeros and are still there. Take `weight[stays]`."
            if weight.equal(silent)
            else f"it is as large as {name}. Only the rows that stay belong into it: `weight[stays]`."
        )
    if weight.shape == rows.T.shape != rows.shape and weight.equal(rows.T):
        return "rows and columns are swapped: `nn.Linear(columns, rows)`, with the weight (rows, columns)."
    if weight.shape == layer.weight[:, : len(rows)].shape != rows.shape:
        return "you cut columns. The rows make a head: `weight[stays]`."
    if weight.shape != rows.shape:
        return _shape(weight, rows)
    others = [
        other for other in LAYERS[:3] if other != name and weight.equal(case.attention.get_submodule(other).weight[stays])
    ]
    if others:
        return f"these are the weights of {others[0]}, and it should be those of {name}."
    if not weight.equal(rows):
        return _not_copied("rows", name)
    return _wrong_bias(part, layer.bias[stays], "its biases go along with the rows: `bias[stays]`.")


def _wrong_columns(part, parts: dict, case: _Case) -> str | None:
    layer, stays = case.attention.out_proj, case.stays
    if problem := _no_layer(part, case):
        return problem
    weight, columns = part.weight, layer.weight[:, stays]
    if weight.shape == layer.weight.shape:
        return "it is as large as out_proj. The columns that read the head go: `weight[:, stays]`."
    if len(layer.weight) == len(stays) and weight.equal(layer.weight[stays]):
        return "you cut rows. out_proj loses the columns that read the head, `weight[:, stays]`, and keeps its bias."
    if weight.shape == columns.T.shape and weight.shape != columns.shape:
        return "rows and columns are swapped: `nn.Linear(columns, rows)`, with the weight (rows, columns)."
    if weight.shape != columns.shape:
        return _shape(weight, columns)
    if not weight.equal(columns):
        return _not_copied("columns", "out_proj")
    return _wrong_bias(part, layer.bias, "its biases all stay: one for each number that comes out.")


def _no_layer(part, case: _Case) -> str | None:
    if not isinstance(part, nn.Linear):
        return f"it should be an nn.Linear, and this is {a_kind(part)}."
    if any(part is case.attention.get_submodule(name) for name in LAYERS):
        return "that is the layer that you were given. Make a new one: `nn.Linear(columns, rows)`."
    if (part.out_features, part.in_features) != tuple(part.weight.shape):
        return (
            f"its weight is {tuple(part.weight.shape)}, but the layer says out_features={part.out_features} and "
            f"in_features={part.in_features}. Make it with the right numbers."
        )
    return None


def _shape(weight: Tensor, wanted: Tensor) -> str:
    return f"its weight is {tuple(weight.shape)}, and it should be {tuple(wanted.shape)}."


def _not_copied(what: str, name: str) -> str:
    return f"the shape is right, but the weights are not the {what} of {name} that stay. Copy them into the new layer."


def _wrong_bias(part: nn.Linear, wanted: Tensor, message: str) -> str | None:
    if part.bias is None:
        return f"the bias is missing: {message}"
    return None if part.bias.shape == wanted.shape and part.bias.equal(wanted) else f"the weights are right. But {message}"


ADVICE = {  # {part of an error of Python's or torch's: what usually is behind it}
    "shape of the mask": "A mask needs an entry for each row: `.repeat_interleave(q_proj.out_features // num_heads)`.",
    "must match the size": "Is the new layer made as `nn.Linear(columns, rows)`? Its weight is (rows, columns).",
    "leaf Variable": "Copy under `torch.no_grad()`: `layer.weight.copy_(…)`.",
    "cannot assign": "Copy under `torch.no_grad()`: `layer.weight.copy_(…)`.",
}
LAYERS = ("q_proj", "k_proj", "v_proj", "out_proj")
STEPS = {
    "stays": _wrong_stays,
    "small_q": functools.partial(_wrong_rows, "q_proj"),
    "small_k": functools.partial(_wrong_rows, "k_proj"),
    "small_v": functools.partial(_wrong_rows, "v_proj"),
    "small_out": _wrong_columns,
}
