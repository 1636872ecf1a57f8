"""Sequences of tokens in place of images: names as letters, for recurrent networks and Transformers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from .augmentation import Augmentation
from .images import ImageData

PADDING = 0  # the token that fills a sequence up to the common length


@dataclass(frozen=True, repr=False)
class TokenData(ImageData):
    """A data set of token sequences, with the parts and methods of ``ImageData``, so that networks train on it likewise.

    The ``images`` of a part are int64 tokens (N, length), 0 to ``vocab_size`` − 1; 0 is padding, behind the last token of a
    shorter sequence. ``symbols`` says what each token stands for, the padding first. Tokens are neither normalised
    (``mean`` is 0 and ``std`` is 1) nor augmented.
    """

    each: ClassVar[str] = "sequences"
    augment: Augmentation | None = None
    symbols: tuple[str, ...] = field(kw_only=True)

    def __post_init__(self):
        object.__setattr__(self, "mean", torch.zeros(1))
        object.__setattr__(self, "std", torch.ones(1))

    @property
    def image_shape(self) -> tuple[int]:
        """(length,) of every sequence, padding included."""
        return tuple(self.train.images.shape[1:])

    @property
    def vocab_size(self) -> int:
        """The number of different tokens, the padding among them."""
        return len(self.symbols)

    def normalize(self, images: Tensor) -> Tensor:
        """Give the tokens (N, length) back as they are: a network looks up a vector for each, and needs whole numbers."""
        return images

    def text(self, sequence: Tensor) -> str:
        """What the tokens (length,) stand for, without padding."""
        return "".join(self.symbols[token] for token in sequence.tolist() if token != PADDING)

    @property
    def _size(self) -> str:
        return f"up to {self.image_shape[0]} tokens out of {self.vocab_size}"


def tokenize(texts: Sequence[str], symbols: Sequence[str]) -> Tensor:
    """Turn texts into int64 tokens (N, length of the longest), one for each character; ``symbols[0]`` is the padding.

    Raises ValueError for a character that is not among the symbols, or if there are no texts.
    """
    if not len(texts):
        raise ValueError(f"texts must hold at least one text, got {texts!r}")
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    if unknown := sorted(set("".join(texts)) - set(numbers)):
        raise ValueError(f"texts must consist of {''.join(symbols)!r}, got {''.join(unknown)!r} as well")
    length = max(map(len, texts))
    return torch.tensor([[numbers[letter] for letter in text] + [PADDING] * (length - len(text)) for text in texts])
