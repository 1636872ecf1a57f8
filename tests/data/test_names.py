import torch

from attnprune_edu.data.images import Images
from attnprune_edu.data.names import load_names


def words(data, part: Images) -> list[str]:
    return [data.text(sequence) for sequence in part.images]


def test_every_surname_is_there_once_with_its_language(capsys):
    data = load_names()
    line = capsys.readouterr().out
    assert "names (3,962 / 500 / 1,000 training / validation / test sequences of up to 16 tokens out of 30" in line
    assert "faker" in line
    assert load_names(announce=False).name == "names" and capsys.readouterr().out == ""
    parts = (data.train, data.validation, data.test)
    names = [name for part in parts for name in words(data, part)]
    assert len(names) == len(set(names)) == 5_462
    assert min(map(len, names)) == 3 and max(map(len, names)) == 16
    languages = dict(zip(names, torch.cat([part.labels for part in parts]).tolist(), strict=True))
    expected = {"hughes": "English", "fontaine": "French", "zorbach": "German", "rossellini": "Italian", "alanen": "Finnish"}
    for name, language in expected.items():
        assert data.class_names[languages[name]] == language, name


def test_each_part_has_every_language_and_padding_only_at_the_end():
    data = load_names(announce=False)
    for part in (data.train, data.validation, data.test):
        assert part.labels.bincount(minlength=11).min() >= 20 and part.images.dtype == torch.int64
        ended = part.images == 0
        assert (ended[:, 1:] >= ended[:, :-1]).all(), "a letter behind padding"
        assert (part.images < data.vocab_size).all()


def test_the_split_is_the_same_for_everybody():
    data = load_names(announce=False)
    assert words(data, data.train)[:3] == ["kalamees", "alanen", "zorbach"]
    assert torch.equal(load_names(announce=False).test.images, data.test.images)
