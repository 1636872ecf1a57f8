import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.data.tokens import TokenData, tokenize

SYMBOLS = ("", "a", "b", "c")


@pytest.fixture(scope="module")
def token_data():
    """Sequences of up to six letters; the class is whether there is a ``b`` among them."""
    random = torch.Generator().manual_seed(0)

    def part(count):
        lengths = torch.randint(2, 7, (count, 1), generator=random)
        tokens = torch.randint(1, 4, (count, 6), generator=random) * (torch.arange(6) < lengths)
        return ap.Images(tokens, (tokens == 2).any(dim=1).long())

    return TokenData("letters", ("without", "with"), part(300), part(40), part(50), symbols=SYMBOLS)


class Bag(nn.Module):
    """The mean of the vectors of all tokens, and a layer on it. It takes whole numbers and nothing else."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(4, 8, padding_idx=0)
        self.hidden = nn.Linear(8, 16)
        self.fc = nn.Linear(16, 2)

    def forward(self, tokens):
        return self.fc(self.hidden(self.embedding(tokens).amax(dim=1)).relu())


def test_tokens_are_given_as_they_are(token_data):
    assert (token_data.image_shape, token_data.vocab_size) == ((6,), 4)
    batch = token_data.validation.images[:3]
    assert token_data.normalize(batch) is batch
    assert token_data.example_inputs.shape == (2, 6) and token_data.example_inputs.dtype == torch.int64
    assert torch.equal(token_data.inputs(42)[40:], token_data.validation.images[:2]), "again from the first"
    assert str(token_data) == (
        "Data in use: letters (300 / 40 / 50 training / validation / test sequences of up to 6 tokens out of 4, 2 classes)."
    )
    assert token_data.text(torch.tensor([3, 1, 2, 0, 0, 0])) == "cab"
    few = token_data.subset(train=7)
    assert isinstance(few, TokenData) and few.symbols == SYMBOLS and few.train.images.shape == (7, 6)
    with pytest.raises(ValueError, match="validation must be between 1 and 40, the number of its sequences, got 41"):
        token_data.subset(validation=41)


def test_a_network_on_tokens_is_trained_judged_and_pruned_like_one_on_images(token_data):
    torch.manual_seed(0)
    model = Bag()
    ap.train(model, token_data, 6, lr=0.03, batch_size=20, progress=False)
    assert ap.accuracy(model, token_data) > 0.9
    assert ap.predict(model, token_data, token_data.test.images).shape == (50, 2)
    report = ap.evaluate(model, token_data, engines=["torch"], rounds=1)
    assert (report.macs, report.params) == (8 * 16 + 16 * 2, 4 * 8 + 9 * 16 + 17 * 2)
    for criterion in ("attention", "taylor", "activation_attention"):
        scores = ap.importance(model, criterion, data=token_data)
        assert scores["hidden"].shape == (16,) and scores["hidden"].isfinite().all(), criterion
    masked = ap.mask(model, ap.keep_by_ratio(scores, 0.5), example_inputs=token_data.example_inputs)
    small = ap.remove(masked, example_inputs=token_data.example_inputs)
    assert small.hidden.out_features == 8
    before, after = (ap.predict(network, token_data, token_data.test.images) for network in (masked, small))
    assert torch.allclose(before, after, atol=1e-6)


def test_a_teacher_of_tokens_gets_whole_numbers(token_data):
    loss = ap.Distillation(Bag())
    scores = torch.zeros(2, 2)
    assert loss(scores, torch.tensor([0, 1]), token_data.example_inputs).isfinite()


def test_texts_become_tokens():
    assert tokenize(["cab", "a"], SYMBOLS).tolist() == [[3, 1, 2], [1, 0, 0]]
    with pytest.raises(ValueError, match="texts must consist of 'abc', got 'dx' as well"):
        tokenize(["cad", "x"], SYMBOLS)
    with pytest.raises(ValueError, match=r"texts must hold at least one text, got \[\]"):
        tokenize([], SYMBOLS)
