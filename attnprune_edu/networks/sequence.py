"""Networks for sequences of tokens, such as the letters of a name: a recurrent one and a Transformer, their widths free."""

import torch
from torch import Tensor, nn

from ..data.tokens import PADDING, TokenData
from .attention_layer import Attention


class NameGRU(nn.Module):
    """A recurrent network that reads a sequence from left to right: ``embedding → GRU → linear`` on the state at its end.

    ``embed_dim``: numbers for each token; ``hidden``: units of the GRU (Cho et al., EMNLP 2014, arXiv:1406.1078). With the
    default widths, 30 tokens and 11 classes it has 18,715 parameters. Raises ValueError if a width is below 1.
    """

    def __init__(self, vocab_size: int, num_classes: int, embed_dim: int = 24, hidden: int = 64):
        super().__init__()
        _check_widths(vocab_size=vocab_size, num_classes=num_classes, embed_dim=embed_dim, hidden=hidden)
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=PADDING)
        self.gru = nn.GRU(embed_dim, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, num_classes)

    @classmethod
    def for_data(cls, data: TokenData) -> "NameGRU":
        """A network with fresh weights for the tokens and classes of ``data``."""
        return cls(data.vocab_size, len(data.class_names))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens, int64 (N, length) with 0 for padding at the end, to class scores (N, num_classes)."""
        states, _ = self.gru(self.embedding(tokens))  # (N, length, hidden)
        last = (tokens != PADDING).sum(dim=1).clamp(min=1) - 1
        # Other ways to pick them are exported to ONNX for a fixed number of sequences.
        return self.fc(states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1))

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        return {
            "vocab_size": self.embedding.num_embeddings,
            "num_classes": self.fc.out_features,
            "embed_dim": self.embedding.embedding_dim,
            "hidden": self.gru.hidden_size,
        }


class NameTransformer(nn.Module):
    """A Transformer encoder that sees a whole sequence at once (Vaswani et al., NeurIPS 2017, arXiv:1706.03762).

    Each token gets its embedding and that of its position; then come the layers, a normalisation, the mean over the tokens
    that are no padding, and a linear layer. With the default widths, 30 tokens, a length of 16 and 11 classes it has 70,731
    parameters.

    ``length``: of the longest sequence. ``embed_dim``: numbers for each token between the layers. ``num_heads`` and
    ``hidden``: heads and feed-forward neurons of each layer, as many as there are layers; a head is ``head_dim`` wide.
    Raises ValueError if there are not as many ``num_heads`` as ``hidden``, or a width is below 1.
    """

    def __init__(
        self,
        vocab_size: int,
        length: int,
        num_classes: int,
        embed_dim: int = 64,
        num_heads: tuple[int, ...] = (4, 4),
        head_dim: int = 16,
        hidden: tuple[int, ...] = (128, 128),
    ):
        super().__init__()
        widths = {"vocab_size": vocab_size, "length": length, "num_classes": num_classes, "embed_dim": embed_dim}
        _check_widths(**widths, num_heads=num_heads, head_dim=head_dim, hidden=hidden)
        if len(num_heads) != len(hidden) or not hidden:
            raise ValueError(f"num_heads and hidden must have a number for each layer, got {num_heads} and {hidden}")
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=PADDING)
        self.positions = nn.Parameter(0.02 * torch.randn(length, embed_dim))
        self.layers = nn.ModuleList(
            EncoderLayer(embed_dim, heads, head_dim, inside) for heads, inside in zip(num_heads, hidden, strict=True)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.fc = nn.Linear(embed_dim, num_classes)

    @classmethod
    def for_data(cls, data: TokenData) -> "NameTransformer":
        """A network with fresh weights for the tokens, length and classes of ``data``."""
        (length,) = data.image_shape
        return cls(data.vocab_size, length, len(data.class_names))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens, int64 (N, up to length) with 0 for padding, to class scores (N, num_classes)."""
        padding = tokens == PADDING  # (N, length)
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]  # (N, length, embed_dim)
        for layer in self.layers:
            x = layer(x, padding)
        x = self.norm(x).masked_fill(padding[..., None], 0.0)
        return self.fc(x.sum(dim=1) / (~padding).sum(dim=1, keepdim=True).clamp(min=1))

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        length, embed_dim = self.positions.shape
        return {
            "vocab_size": self.embedding.num_embeddings,
            "length": length,
            "num_classes": self.fc.out_features,
            "embed_dim": embed_dim,
            "num_heads": [layer.attention.num_heads for layer in self.layers],
            "head_dim": self.layers[0].attention.head_dim,
            "hidden": [layer.linear1.out_features for layer in self.layers],
        }


class EncoderLayer(nn.Module):
    """Attention between the tokens and two linear layers on each token, both added to what came in; a part of
    ``NameTransformer``. The normalisations come first (Xiong et al., ICML 2020, arXiv:2002.04745)."""

    def __init__(self, embed_dim: int, num_heads: int, head_dim: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim)
        self.attention = Attention(embed_dim, num_heads, head_dim)
        self.norm2 = nn.LayerNorm(embed_dim)
        self.linear1 = nn.Linear(embed_dim, hidden)
        self.linear2 = nn.Linear(hidden, embed_dim)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """Map (N, length, embed_dim) to the same shape; nobody looks at the tokens where ``padding`` (N, length) is True."""
        tokens = self.norm1(x)
        x = x + self.attention(tokens, tokens, tokens, key_padding_mask=padding, need_weights=False)[0]
        return x + self.linear2(self.linear1(self.norm2(x)).relu())


def _check_widths(**widths) -> None:
    for name, value in widths.items():
        if min([value] if isinstance(value, int) else value, default=1) < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
