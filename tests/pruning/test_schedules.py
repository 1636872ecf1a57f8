import copy
import itertools

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.schedules import channels_of, prune_to
from attnprune_edu.pruning.silence import live_channels, masks_of


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


def pruned_by_hand(model, data, ratios, epochs, criterion, scope, repaired, removed, seed, **training):
    """What ``prune_in_stages`` promises, stage by stage."""
    widths, rows = channels_of(model), []
    for number, (ratio, share) in enumerate(zip(ratios, epochs, strict=True)):
        scores = ap.importance(model, criterion, data=data, seed=seed)
        live = {name: live_channels(model)[name] for name in widths}
        keep = {name: torch.zeros_like(stays) for name, stays in live.items()}
        for layers in [list(widths)] if scope == "global" else [[name] for name in widths]:
            count = sum(widths[name] for name in layers)
            candidates = [(scores[name][c].item(), name, c) for name in layers for c in live[name].nonzero().flatten()]
            for _, name, channel in sorted(candidates, reverse=True, key=lambda one: one[0])[: count - round(ratio * count)]:
                keep[name][channel] = True
        dense, model = model, ap.mask(model, keep)
        model = ap.repair(model, data, dense=dense, seed=seed) if repaired else model
        model = ap.remove(model) if removed else model
        before = ap.accuracy(model, data, "validation")
        ap.fine_tune(model, data, share, seed=seed + number, progress=False, **training)
        rows.append([number + 1, ratio, before, share, ap.accuracy(model, data, "validation")])
    return model, rows


COLUMNS = ["stage", "pruning_ratio", "pruned_accuracy", "epochs", "accuracy"]


@pytest.mark.parametrize(
    ("criterion", "scope", "shape", "repaired", "removed"),
    [
        ("taylor", "local", "linear", False, False),
        ("taylor", "global", "cubic", True, False),
        ("random", "local", "cubic", False, True),
        ("random", "global", "linear", True, True),
    ],
)
def test_stages_by_hand(imperfect, uneven_data, criterion, scope, shape, repaired, removed):
    model = imperfect()
    weights = copy.deepcopy(model.state_dict())
    how = {"criterion": criterion, "scope": scope, "repaired": repaired, "removed": removed, "seed": 7}
    training = {"lr": 0.01, "batch_size": 40}
    found = ap.prune_in_stages(model, uneven_data, 0.6, 2, 3, shape=shape, progress=False, **how, **training)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items()), "a copy is pruned"
    ratios = [0.3, 0.6] if shape == "linear" else [0.6 * 7 / 8, 0.6]
    wanted, rows = pruned_by_hand(model, uneven_data, ratios, [2, 1], **how, **training)
    assert found.stages[COLUMNS].values.tolist() == [pytest.approx(row) for row in rows]
    assert (found.stages.seconds > 0).all()
    state = found.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in wanted.state_dict().items())
    assert found.stages.accuracy.nunique() == 2 > found.stages.accuracy.max(), "an imperfect network tells mistakes apart"


def test_cutting_out_the_silent_channels_before_training_changes_nothing_but_the_time(tiny_model, tiny_data):
    how = {"pruning_ratio": 0.5, "epochs": 3, "progress": False}
    masked, small = (ap.prune_in_stages(tiny_model, tiny_data, removed=cut, **how).model for cut in (False, True))
    images = tiny_data.normalize(tiny_data.test.images)
    assert (masked(images) - small(images)).abs().max() < 1e-3
    assert ap.count_params(small) < 0.5 * ap.count_params(masked)


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


def test_what_is_gone_beyond_the_ratio_stays_gone_and_nothing_else_goes(imperfect, uneven_data):
    model = imperfect()
    half = ap.mask(model, ap.keep_by_ratio(ap.importance(model), 0.5))
    for scope in ("local", "global"):
        same = prune_to(half, uneven_data, 0.2, channels_of(model), scope=scope)
        assert {name: stays.tolist() for name, stays in masks_of(same).items()} == {
            name: stays.tolist() for name, stays in masks_of(half).items()
        }
    with pytest.raises(ValueError, match=r"criterion scored \['conv2', 'fc1'\], but the prunable layers .* \['conv1'\]"):
        prune_to(model, uneven_data, 0.2, {"conv1": 6})


@pytest.mark.parametrize(
    ("options", "ratios", "scored"),
    [
        ({}, [0.6 * 19 / 27, 0.6 * 26 / 27, 0.6], {"criterion": "attention"}),
        ({"scope": "global", "shape": "linear", "criterion": "random"}, [0.2, 0.4, 0.6], {"criterion": "random"}),
        ({"shape": "linear", "criterion": "random", "seed": 5}, [0.2, 0.4, 0.6], {"criterion": "random", "seed": 5}),
    ],
)
def test_the_pruner_by_hand(imperfect, options, ratios, scored):
    model, pruner = imperfect(), ap.AttentionPruner(0.6, 3, **options)
    for epoch, ratio in enumerate([*ratios, 0.6], start=1):
        scores = ap.importance(model, **scored)  # of what is silent already, these are the lowest
        row = {"epoch": epoch}
        pruner(model, row)
        assert row == {"epoch": epoch, "pruning_ratio": pytest.approx(ratio)}
        wanted = ap.keep_by_ratio(scores, ratio, options.get("scope", "local"))
        assert {name: stays.tolist() for name, stays in masks_of(model).items()} == {
            name: stays.tolist() for name, stays in wanted.items()
        }


def test_the_pruner_leaves_the_network_alone_after_its_last_epoch(imperfect):
    calls = []

    def criterion(model):
        calls.append(model)
        return {"fc1": torch.rand(12)}

    model, pruner = imperfect(), ap.AttentionPruner(0.5, 2, criterion=criterion)
    for epoch in range(1, 5):
        pruner(model, {"epoch": epoch})
    assert calls == [model, model]


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
