"""Multi-head attention that can lose heads, written out so that each step can be read; and what its heads look at."""

import contextlib
import inspect
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .inference import call, evaluating, inputs_for, without_fast_path


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., NeurIPS 2017, arXiv:1706.03762, section 3.2.2) with any number of heads.

    Each head looks with its own query, key and value, softmax(q kᵀ / √head_dim) v, and ``out_proj`` mixes what the heads
    found. A head is ``head_dim`` neighbouring rows of ``q_proj``, ``k_proj`` and ``v_proj``, which are ordinary ``Linear``
    layers, and as many columns of ``out_proj``. ``nn.MultiheadAttention`` computes the same, but only with heads that are
    together as wide as the embedding.

    ``embed_dim``: of the queries and the output; ``kdim`` and ``vdim``: of keys and values, if they differ. ``head_dim``:
    None shares ``embed_dim`` out. ``batch_first``: (N, length, embed_dim), else (length, N, embed_dim).
    Raises ValueError for a size below 1, or if ``embed_dim`` cannot be shared out.
    """

    in_proj_weight = in_proj_bias = None  # torch's Transformer layers ask, and then keep off their fast path
    _qkv_same_embed_dim = False

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
    ):
        super().__init__()
        if min(embed_dim, num_heads, 1 if head_dim is None else head_dim) < 1:
            raise ValueError(
                f"every size must be at least 1, got embed_dim={embed_dim}, num_heads={num_heads}, head_dim={head_dim}"
            )
        if head_dim is None and embed_dim % num_heads:
            raise ValueError(f"without head_dim, embed_dim must be a multiple of num_heads, got {embed_dim} and {num_heads}")
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.head_dim = embed_dim // num_heads if head_dim is None else head_dim
        self.dropout, self.batch_first = dropout, batch_first
        inside = num_heads * self.head_dim
        self.q_proj = nn.Linear(embed_dim, inside, bias)
        self.k_proj = nn.Linear(embed_dim if kdim is None else kdim, inside, bias)
        self.v_proj = nn.Linear(embed_dim if vdim is None else vdim, inside, bias)
        self.out_proj = nn.Linear(inside, embed_dim, bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Map queries (N, length, embed_dim) and keys and values (N, key length, …) to (N, length, embed_dim).

        Called as ``nn.MultiheadAttention``: ``key_padding_mask`` (N, key length) is True, or -inf, for keys that nobody
        shall look at; ``attn_mask`` (length, key length) or (N · heads, length, key length) says so for each query.
        ``need_weights`` asks for the attention probabilities as well: (N, length, key length), the mean over the heads, or
        (N, heads, length, key length) with ``average_attn_weights=False``; else the second result is None. ``is_causal``
        only hints at what ``attn_mask`` says, and is not needed here.
        """
        swap = not self.batch_first and query.ndim == 3
        if swap:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q = self._heads(self.q_proj(query))  # (N, heads, length, head_dim)
        k = self._heads(self.k_proj(key))
        v = self._heads(self.v_proj(value))
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)  # (N, heads, length, key length)
        probabilities = _softmax(scores, _hidden(attn_mask, key_padding_mask, scores))
        probabilities = F.dropout(probabilities, self.dropout, self.training)
        output = self.out_proj((probabilities @ v).transpose(-3, -2).flatten(-2))
        if swap:
            output = output.transpose(0, 1)
        if not need_weights:
            return output, None
        return output, probabilities.mean(-3) if average_attn_weights else probabilities

    def _heads(self, x: Tensor) -> Tensor:
        """(N, length, heads · head_dim) → (N, heads, length, head_dim)."""
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(-3, -2)

    @classmethod
    def from_torch(cls, attention: nn.MultiheadAttention) -> "Attention":
        """The same as ``attention``, whose weights it copies. Raises ValueError for one that ``why_not_ours`` refuses."""
        if reason := why_not_ours(attention):
            raise ValueError(f"attention cannot be taken over: {reason}")
        bias, same = attention.in_proj_bias, attention.in_proj_weight is not None
        with torch.random.fork_rng(devices=[]):  # for first weights that nobody will see
            ours = cls(
                attention.embed_dim, attention.num_heads, attention.head_dim, dropout=attention.dropout,
                bias=bias is not None, kdim=attention.kdim, vdim=attention.vdim, batch_first=attention.batch_first,
            )  # fmt: skip
        ours.to(attention.out_proj.weight).train(attention.training)
        names = ("q_proj", "k_proj", "v_proj")
        weights = attention.in_proj_weight.chunk(3) if same else [getattr(attention, f"{name}_weight") for name in names]
        with torch.no_grad():
            for number, name in enumerate(names):
                layer = ours.get_submodule(name)
                layer.weight.copy_(weights[number])
                layer.weight.requires_grad_(weights[number].requires_grad)
                if bias is not None:
                    layer.bias.copy_(bias.chunk(3)[number])
                    layer.bias.requires_grad_(bias.requires_grad)
            ours.out_proj = attention.out_proj
        return ours

    def as_in_torch(self, attention: nn.MultiheadAttention) -> dict[str, Tensor]:
        """{parameter of ``attention``: what it is here} for those that make queries, keys and values."""
        layers = {"q_proj": self.q_proj, "k_proj": self.k_proj, "v_proj": self.v_proj}
        if attention.in_proj_weight is not None:
            parts = {"in_proj_weight": torch.cat([layer.weight for layer in layers.values()])}
        else:
            parts = {f"{name}_weight": layer.weight for name, layer in layers.items()}
        if attention.in_proj_bias is not None:
            parts["in_proj_bias"] = torch.cat([layer.bias for layer in layers.values()])
        return parts


def _hidden(attn_mask: Tensor | None, key_padding_mask: Tensor | None, scores: Tensor) -> Tensor | None:
    """What the masks add to ``scores``, in a shape that fits: -inf where a query shall not look; None without masks."""
    added = []
    if attn_mask is not None:
        added.append(attn_mask.view(scores.shape) if attn_mask.ndim == 3 else attn_mask)
    if key_padding_mask is not None:
        added.append(key_padding_mask[..., None, None, :])
    numbers = [scores.new_zeros(()).masked_fill(one, -torch.inf) if one.dtype == torch.bool else one for one in added]
    return sum(numbers) if numbers else None


def _softmax(scores: Tensor, hidden: Tensor | None) -> Tensor:
    """Attention probabilities; a query that may look at nothing gets zeros, as in torch's scaled_dot_product_attention."""
    if hidden is None:
        return scores.softmax(-1)
    blind = (hidden == -torch.inf).all(-1, keepdim=True)
    return (scores + hidden).masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)


def is_torch_attention(module: nn.Module) -> bool:
    """Is this ``nn.MultiheadAttention`` itself, also with masks? A subclass may compute something else."""
    kind = type(module).__base__ if parametrize.is_parametrized(module) else type(module)
    return kind is nn.MultiheadAttention


def why_not_ours(attention: nn.MultiheadAttention) -> str | None:
    """Why ``Attention`` cannot take the place of ``attention``; None if it can."""
    if attention.bias_k is not None or attention.add_zero_attn:
        return "it attends to a key that no input has (add_bias_kv, add_zero_attn)"
    return None


def take_over(model: nn.Module, name: str) -> None:
    """Put an ``Attention`` with the same weights in the place of the ``nn.MultiheadAttention`` called ``name``.

    Torch's Transformer layers read the weights of their attention themselves where they can; here they cannot.
    """
    ours = Attention.from_torch(model.get_submodule(name))
    model.set_submodule(name, ours)
    for parent in model.modules():
        if isinstance(parent, nn.TransformerEncoder) and any(module is ours for module in parent.modules()):
            parent.use_nested_tensor = False


class Looked(NamedTuple):
    """What an attention layer looked at: ``probabilities`` (N, heads, length, key length), and which keys were padding."""

    probabilities: Tensor
    key_padding_mask: Tensor | None


@contextlib.contextmanager
def watched_attention(model: nn.Module) -> Iterator[dict[str, Looked]]:
    """Give a dictionary that holds, after each pass of ``model``, what each of its attention layers looked at."""
    seen: dict[str, Looked] = {}
    asked: dict[str, tuple[bool, bool]] = {}
    handles = []

    def watch(name, module):
        signature = inspect.signature(module.forward)

        def ask(_, args, kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            asked[name] = bound.arguments["need_weights"], bound.arguments["average_attn_weights"]
            bound.arguments |= {"need_weights": True, "average_attn_weights": False}
            return bound.args, bound.kwargs

        def answer(_, args, kwargs, outputs):
            output, probabilities = outputs
            seen[name] = Looked(probabilities, signature.bind(*args, **kwargs).arguments.get("key_padding_mask"))
            wanted, averaged = asked[name]
            return output, (probabilities.mean(-3) if averaged else probabilities) if wanted else None

        handles.append(module.register_forward_pre_hook(ask, with_kwargs=True))
        handles.append(module.register_forward_hook(answer, with_kwargs=True))

    for name, module in model.named_modules():
        if isinstance(module, Attention) or is_torch_attention(module):
            watch(name, module)
    try:
        with without_fast_path():
            yield seen
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def attention_probabilities(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    """Return {name: probabilities (N, heads, length, key length)} of each attention layer of ``model`` for ``inputs``.

    Entry [n, h, i, j] says how much token i looks at token j in head h of input n; each row sums to 1. Both ``Attention``
    and ``nn.MultiheadAttention`` are read, in evaluation mode. ``inputs``: a tensor, a tuple (positional arguments) or a
    dictionary (keyword arguments). Raises ValueError if ``model`` calls no attention layer.
    """
    with evaluating(model), watched_attention(model) as seen:
        call(model, inputs_for(model, inputs))
    if not seen:
        raise ValueError(f"model must call an Attention or nn.MultiheadAttention, but {type(model).__name__} calls none")
    return {name: looked.probabilities for name, looked in seen.items()}
