import itertools

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.schedules import channels_of
from attnprune_edu.pruning.silence import masks_of


def kept(model):
    return {name: int(stays.sum()) for name, stays in masks_of(model).items()}


def test_ratios_of_the_stages():
    assert ap.ratio_schedule(0.6, 1) == ap.ratio_schedule(0.6, 1, "cubic") == [0.6]
    assert ap.ratio_schedule(0.8, 4) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert ap.ratio_schedule(0.8, 2, "cubic") == pytest.approx([0.7, 0.8]), "7/8 of the way at half time"
    for shape in ("linear", "cubic"):
        ratios = ap.ratio_schedule(0.9, 7, shape)
        assert ratios == sorted(ratios) and ratios[-1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((1.2, 2), "pruning_ratio must lie between 0 and 1, got 1.2"),
        ((0.5, 0), "stages must be at least 1, got 0"),
        ((0.5, 2, "square"), "'linear' or 'cubic', got 'square'"),
    ],
)
def test_impossible_schedules_are_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        ap.ratio_schedule(*arguments)


@pytest.mark.parametrize("scope", ["local", "global"])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_all_roads_lead_to_the_same_number_of_channels(tiny_model, tiny_data, stages, scope):
    """Whatever the stages, whether silent or cut out: the ratio is a share of what the network had at the start."""
    how = {"epochs": stages, "scope": scope, "progress": False, "criterion": "random"}
    masked = ap.prune_in_stages(tiny_model, tiny_data, 0.6, stages, **how)
    small = ap.prune_in_stages(tiny_model, tiny_data, 0.6, stages, removed=True, **how)
    if scope == "local":
        assert kept(masked.model) == channels_of(small.model) == {"conv1": 2, "conv2": 2, "fc1": 4}
    else:
        assert sum(kept(masked.model).values()) == sum(channels_of(small.model).values()) == 8
    assert masked.stages.pruning_ratio.tolist() == pytest.approx(ap.ratio_schedule(0.6, stages))
    assert masked.stages.epochs.sum() == stages and not masks_of(tiny_model)


def test_one_stage_is_mask_and_fine_tune(tiny_model, tiny_data):
    by_hand = ap.mask(tiny_model, ap.keep_by_ratio(ap.importance(tiny_model), 0.5))
    before = ap.accuracy(by_hand, tiny_data, "validation")
    ap.fine_tune(by_hand, tiny_data, 2, progress=False)
    pruned = ap.prune_in_stages(tiny_model, tiny_data, 0.5, epochs=2, progress=False)
    assert torch.equal(pruned.model.fc1.weight, by_hand.fc1.weight)
    assert pruned.stages.pruned_accuracy.tolist() == [before]
    assert pruned.stages.accuracy.tolist() == [ap.accuracy(by_hand, tiny_data, "validation")]


def test_cutting_out_the_silent_channels_before_training_changes_nothing_but_the_time(tiny_model, tiny_data):
    how = {"pruning_ratio": 0.5, "epochs": 3, "progress": False}
    masked, small = (ap.prune_in_stages(tiny_model, tiny_data, removed=cut, **how).model for cut in (False, True))
    images = tiny_data.normalize(tiny_data.test.images)
    assert (masked(images) - small(images)).abs().max() < 1e-3
    assert ap.count_params(small) < 0.5 * ap.count_params(masked)


def test_epochs_are_shared_out_and_repair_helps_at_the_start(shapes_data):
    model = ap.load_model("article-net", "shapes")
    how = {"epochs": 1, "removed": True, "progress": False}
    plain, repaired = (ap.prune_in_stages(model, shapes_data, 0.8, repaired=r, **how).stages for r in (False, True))
    assert repaired.pruned_accuracy[0] > plain.pruned_accuracy[0] + 0.1


def test_budget_is_shared_out_evenly_and_must_suffice(tiny_model, tiny_data):
    table = ap.prune_in_stages(tiny_model, tiny_data, 0.5, 3, epochs=5, progress=False).stages
    assert table.epochs.tolist() == [2, 2, 1]
    with pytest.raises(ValueError, match=r"epochs must be at least the number of stages, 3.*got 2"):
        ap.prune_in_stages(tiny_model, tiny_data, 0.5, 3, epochs=2)


def test_a_function_of_the_model_may_be_the_criterion(tiny_model, tiny_data):
    def last_first(model):
        return {"fc1": torch.arange(10.0)}

    pruned = ap.prune_in_stages(tiny_model, tiny_data, 0.3, epochs=1, criterion=last_first, progress=False)
    assert masks_of(pruned.model)["fc1"].tolist() == [False] * 3 + [True] * 7 and set(masks_of(pruned.model)) == {"fc1"}


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("criterion", ["attention_signed", "by hand"])
def test_what_is_silent_is_no_candidate_any_more(tiny_model, tiny_data, criterion, removed):
    """Also where all live channels rank below zero, and where a function gives the silent ones a high rank."""

    def by_hand(model):
        return {
            name: -layer.weight.detach().flatten(1).abs().mean(dim=1)
            for name, layer in model.named_children()
            if name != "pool"
        }

    def without_output(model):
        return {name: values for name, values in by_hand(model).items() if name != "fc2"}

    with torch.no_grad():
        for layer in (tiny_model.conv1, tiny_model.conv2, tiny_model.fc1):
            layer.weight.copy_(-1 - torch.rand(len(layer.weight), *[1] * (layer.weight.ndim - 1)).expand_as(layer.weight))
    chosen = without_output if criterion == "by hand" else criterion
    how = {"epochs": 2, "scope": "global", "criterion": chosen, "progress": False, "removed": removed}
    pruned = ap.prune_in_stages(tiny_model, tiny_data, 0.4, 2, lr=1e-6, **how).model
    assert sum((channels_of(pruned) if removed else kept(pruned)).values()) == 12
    masked = ap.prune_in_stages(tiny_model, tiny_data, 0.4, **how | {"criterion": by_hand, "removed": False}).model
    assert "fc2" not in masks_of(masked), "the classes are safe, whatever a criterion says"
    ap.train(tiny_model, tiny_data, 1, callbacks=[ap.AttentionPruner(0.5, 1, criterion=by_hand)], progress=False)
    assert masks_of(tiny_model).keys() == {"conv1", "conv2", "fc1"}


def test_the_pruner_couples_layers_like_every_other_way(tiny_data):
    torch.manual_seed(0)
    model = ap.ResNet20((4, 4, 4), ((4,) * 3,) * 3, num_classes=3)
    ap.train(model, tiny_data, 1, callbacks=[ap.AttentionPruner(0.5, 1)], batch_size=10, progress=False)
    masks = masks_of(model)
    for group in ap.coupled_layers(model, tiny_data.image_shape):
        assert all(torch.equal(masks[name], masks[group[0]]) and masks[name].sum() == 2 for name in group)
    assert ap.remove(model, tiny_data.normalize(tiny_data.test.images[:2])).architecture["stage_channels"] == [2, 2, 2]


def test_the_pruner_prunes_after_each_epoch_and_nothing_comes_back(tiny_model, tiny_data):
    seen = []
    pruner = ap.AttentionPruner(0.5, epochs=3)
    watch = lambda model, row: seen.append({name: k.clone() for name, k in masks_of(model).items()})  # noqa: E731
    history = ap.train(tiny_model, tiny_data, 5, callbacks=[pruner, watch], batch_size=10, progress=False)
    assert history.pruning_ratio.tolist() == pytest.approx([*ap.ratio_schedule(0.5, 3, "cubic"), 0.5, 0.5])
    counts = [sum(int(k.sum()) for k in masks.values()) for masks in seen]
    assert counts == sorted(counts, reverse=True) and counts[2:] == [10] * 3
    for earlier, later in itertools.pairwise(seen):
        assert all((later[name] <= earlier[name]).all() for name in later), "what was silent stays silent"
    assert all((tiny_model.get_submodule(name).weight[~stays] == 0).all() for name, stays in seen[-1].items())
    assert kept(tiny_model) == {"conv1": 2, "conv2": 3, "fc1": 5}


def test_the_pruner_works_on_any_network_and_with_other_criteria(tiny_data):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 144, 3))
    ap.train(model, tiny_data, 3, callbacks=[ap.AttentionPruner(0.5, 2, criterion="l1", shape="linear")], progress=False)
    assert kept(model) == {"0": 3}
