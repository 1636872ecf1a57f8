import pytest
import torch

import attnprune_edu as ap


def test_only_the_pictures_of_some_classes_stay_with_labels_and_scale_as_they_were(uneven_data):
    few = ap.only_classes(uneven_data, ["d", "b"])
    for part in ("train", "validation", "test"):
        images, labels = uneven_data.part(part)
        such = (labels == 1) | (labels == 3)
        assert torch.equal(few.part(part).images, images[such]) and torch.equal(few.part(part).labels, labels[such])
        assert 0 < len(few.part(part).labels) < len(labels)
    assert few.class_names == uneven_data.class_names and torch.equal(few.mean, uneven_data.mean)
    assert len(uneven_data.train.labels) == 230, "the data themselves are untouched"


def test_classes_that_cannot_be_chosen_are_named(uneven_data):
    for names in (["a", "cat"], []):
        with pytest.raises(ValueError, match=r"names must be one or more of \['a', 'b', 'c', 'd'\], got "):
            ap.only_classes(uneven_data, names)
    other = "ba"[int(uneven_data.validation.labels[0] == 1)]
    with pytest.raises(ValueError, match=rf"pictures in each part, got \['{other}'\] without any in 'validation'"):
        ap.only_classes(uneven_data.subset(validation=1), [other])
