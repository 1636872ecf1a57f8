import copy
import dataclasses
import time

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.data.augmentation import flip_and_crop
from attnprune_edu.networks.training import batches


def fresh(tiny_data, seed=0):
    torch.manual_seed(seed)
    return ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=3, image_size=16)


def test_a_network_learns_and_reports_every_epoch(tiny_data):
    model = fresh(tiny_data)
    seen = []
    history = ap.train(
        model, tiny_data, 12, batch_size=10, lr=0.01, progress=False, callbacks=[lambda m, row: seen.append((m, row))]
    )
    assert list(history.columns) == ["epoch", "loss", "validation_accuracy", "lr", "seconds"]
    assert history.epoch.tolist() == list(range(1, 13))
    assert history.loss.iloc[-1] < 0.5 * history.loss.iloc[0]
    assert ap.accuracy(model, tiny_data) > 0.9
    assert [row["epoch"] for _, row in seen] == list(range(1, 13)) and all(m is model for m, _ in seen)


def with_dropout():
    """A network that computes something else in evaluation mode, and draws from torch's global generator."""
    torch.manual_seed(0)
    nn = torch.nn
    layers = nn.Conv2d(3, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 4)
    return nn.Sequential(*layers).double()  # in which the order of a sum does not show


def trained_by_hand(model, data, epochs, batch_size, lr, weight_decay, seed, skipped=0):
    """What ``train`` says that it does, written down once more in the plainest way."""
    steps = -(-len(data.train.labels) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, (skipped + epochs) * steps)
    for _ in range(skipped * steps):
        schedule.step()
    generator, rows = torch.Generator().manual_seed(seed), []
    torch.manual_seed(seed)
    for epoch in range(1, epochs + 1):
        model.train()
        losses = []
        for images, labels in batches(data.train, batch_size, generator, flip_and_crop):
            each = torch.nn.functional.cross_entropy(model(data.normalize(images).double()), labels, reduction="none")
            optimizer.zero_grad()
            each.mean().backward()
            optimizer.step()
            schedule.step()
            losses += each.tolist()
        right = model.eval()(data.normalize(data.validation.images).double()).argmax(1) == data.validation.labels
        rows.append([epoch, sum(losses) / len(losses), right.double().mean().item(), optimizer.param_groups[0]["lr"]])
    return rows


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize(("seed", "skipped"), [(0, 0), (3, 2)])
def test_training_is_what_it_would_be_by_hand(uneven_data, seed, skipped):
    how = {"batch_size": 60, "lr": 0.01, "weight_decay": 0.3, "seed": seed}
    model, expected = with_dropout(), with_dropout()
    start = time.perf_counter()
    history = ap.train(model, uneven_data, 3, **how, done_epochs=skipped, progress=False)
    assert 0 < history.seconds.sum() < time.perf_counter() - start
    rows = trained_by_hand(expected, uneven_data, 3, **how, skipped=skipped)
    assert len(history) == len(rows)
    for found, row in zip(history.drop(columns="seconds").to_numpy(), rows, strict=True):
        assert found == pytest.approx(row, rel=1e-6)
    for name, tensor in expected.state_dict().items():
        assert torch.allclose(model.state_dict()[name], tensor, rtol=1e-6), name


def test_fine_tuning_is_training_with_a_lower_learning_rate_and_the_options_of_training(uneven_data, imperfect):
    tuned, trained = imperfect(), imperfect()
    ap.fine_tune(tuned, uneven_data, 1, lr=0.02, batch_size=50, seed=4, progress=False)
    ap.train(trained, uneven_data, 1, lr=0.02, batch_size=50, seed=4, progress=False)
    assert torch.equal(tuned.fc2.weight, trained.fc2.weight)


def test_same_seed_same_weights_and_the_global_generator_is_left_alone(tiny_data):
    models = [fresh(tiny_data) for _ in range(3)]
    state = torch.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        ap.train(model, tiny_data, 2, seed=seed, progress=False)
    assert torch.equal(models[0].fc1.weight, models[1].fc1.weight)
    assert not torch.equal(models[0].fc1.weight, models[2].fc1.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_test_images_are_never_looked_at(tiny_data):
    class Sealed:
        def __getattr__(self, name):
            raise AssertionError("the test part was touched")

    import dataclasses

    sealed = dataclasses.replace(tiny_data)
    object.__setattr__(sealed, "test", Sealed())
    ap.train(fresh(tiny_data), sealed, 1, progress=False)


def test_batches_hold_every_image_once_with_its_label(tiny_data):
    tagged = ap.Images(torch.arange(25, dtype=torch.uint8)[:, None, None, None].expand(25, 3, 16, 16), torch.arange(25))
    state = torch.get_rng_state()
    parts = list(batches(tagged, 10, torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), state), "the generator that is handed over draws the order"
    assert [len(labels) for _, labels in parts] == [10, 10, 5]
    labels = torch.cat([labels for _, labels in parts])
    assert labels.sort().values.tolist() == list(range(25)) and labels.tolist() != list(range(25))
    assert torch.equal(torch.cat([images for images, _ in parts])[:, 0, 0, 0].long(), labels)


def test_flip_and_crop_moves_and_mirrors_whole_images():
    image = torch.arange(1, 65, dtype=torch.uint8).view(1, 1, 8, 8).expand(500, 2, 8, 8)
    moved = flip_and_crop(image, torch.Generator().manual_seed(0), padding=2)
    assert moved.shape == image.shape and moved.dtype == torch.uint8
    padded = torch.nn.functional.pad(image[:1], (2, 2, 2, 2))
    possible = {
        tuple(window.flatten().tolist())
        for top in range(5)
        for left in range(5)
        for window in (padded[0, :, top : top + 8, left : left + 8], padded[0, :, top : top + 8, left : left + 8].flip(2))
    }
    got = {tuple(one.flatten().tolist()) for one in moved}
    assert got == possible, "500 draws from 50 possible pictures give each of them and no other"
    assert torch.equal(moved[:, 0], moved[:, 1]), "channels move together"


def test_flip_and_crop_draws_from_the_generator_alone(uneven_data):
    moved = []
    for seed in (1, 2):
        state = torch.manual_seed(seed).get_state()
        moved.append(flip_and_crop(uneven_data.train.images, torch.Generator().manual_seed(0)))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*moved)


def test_the_data_say_which_augmentation_is_usual(tiny_data, tiny_model):
    seen = []

    def darken(images, generator):
        seen.append(len(images))
        return images // 2

    dark = dataclasses.replace(tiny_data, augment=darken)
    for augment, batches_seen in (("usual", 3), (None, 0), (lambda images, generator: images, 0)):
        ap.train(tiny_model, dark.subset(train=50), 1, batch_size=20, augment=augment, progress=False)
        assert len(seen) == batches_seen
        seen.clear()
    ap.fine_tune(tiny_model, dark.subset(train=50), 1, batch_size=20, progress=False)
    assert seen == [20, 20, 10]
    with pytest.raises(ValueError, match="augment must be a function, None or 'usual', got 'flips'"):
        ap.train(tiny_model, dark, 1, augment="flips")
    assert tiny_data.augment is flip_and_crop


def test_flip_and_crop_cuts_smaller_windows_too():
    image = torch.arange(1, 31, dtype=torch.uint8).view(1, 1, 5, 6).expand(300, 1, 5, 6)
    cut = flip_and_crop(image, torch.Generator().manual_seed(0), padding=0, size=(4, 3))
    windows = [image[0, :, top : top + 4, left : left + 3] for top in range(2) for left in range(4)]
    possible = {tuple(one.flatten().tolist()) for window in windows for one in (window, window.flip(2))}
    assert {tuple(one.flatten().tolist()) for one in cut} == possible
    with pytest.raises(ValueError, match=r"size must be at most \(7, 8\), the image with its margin, got \(8, 8\)"):
        flip_and_crop(image, torch.Generator(), padding=1, size=(8, 8))


def test_any_optimizer_follows_the_schedule(tiny_data):
    made = []

    def sgd(parameters, lr, weight_decay):
        made.append(torch.optim.SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=0.9))
        return made[-1]

    model = fresh(tiny_data)
    history = ap.train(
        model, tiny_data, 12, optimizer=sgd, lr=0.05, weight_decay=0.001, batch_size=10, augment=None, progress=False
    )
    assert made[0].defaults["weight_decay"] == 0.001 and history.lr.max() > 0.04
    assert history.lr.iloc[-1] == made[0].param_groups[0]["lr"] < 1e-4, "this very optimiser ran through the cycle"
    assert history.loss.iloc[-1] < 0.5 * history.loss.iloc[0]


@pytest.mark.parametrize(
    ("kind", "lr"),
    [("Adagrad", 0.02), ("Adadelta", 1.0), ("RMSprop", 0.003), ("Rprop", 0.002), ("SGD", 0.1), ("Adamax", 0.01)],
)
def test_optimizers_with_and_without_momentum_learn(tiny_data, kind, lr):
    optimizer = getattr(torch.optim, kind)
    history = ap.train(fresh(tiny_data), tiny_data, 8, optimizer=optimizer, lr=lr, batch_size=10, progress=False)
    assert history.loss.iloc[-1] < 0.8 * history.loss.iloc[0]


@pytest.mark.parametrize(
    ("momentum", "cycled", "low", "high"), [(0.9, True, 0.85, 0.95), (0.9, False, 0.9, 0.9), (0, True, 0, 0)]
)
def test_momentum_moves_against_the_learning_rate_where_there_is_some(tiny_data, momentum, cycled, low, high):
    made, seen = [], []

    def sgd(parameters, **options):
        made.append(torch.optim.SGD(parameters, momentum=momentum, **options))
        made[0].register_step_pre_hook(
            lambda sgd, *_: seen.append((sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]))
        )
        return made[0]

    ap.train(fresh(tiny_data), tiny_data, 2, optimizer=sgd, cycle_momentum=cycled, batch_size=5, progress=False)
    moved = [value for _, value in seen]
    assert min(moved) == pytest.approx(low, abs=0.01) and max(moved) == pytest.approx(high, abs=0.01)
    assert max(seen)[1] == min(moved), "where the learning rate is highest"


def test_beta_one_moves_as_momentum_does(tiny_data):
    seen = []

    def adamw(parameters, **options):
        made = torch.optim.AdamW(parameters, **options)
        made.register_step_pre_hook(lambda adamw, *_: seen.append(adamw.param_groups[0]["betas"][0]))
        return made

    ap.train(fresh(tiny_data), tiny_data, 1, optimizer=adamw, batch_size=5, progress=False)
    assert max(seen) == pytest.approx(0.95) and min(seen) == pytest.approx(0.85, abs=0.01)
    seen.clear()
    ap.train(fresh(tiny_data), tiny_data, 1, optimizer=adamw, cycle_momentum=False, batch_size=5, progress=False)
    assert set(seen) == {0.9}


def with_norm():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 5), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(576, 3)
    return torch.nn.Sequential(*layers)


def modes(model):
    return [module.training for module in model.modules()]


def test_a_frozen_norm_stays_frozen_from_one_training_to_the_next(tiny_data):
    model = with_norm()
    model[1].eval()
    before, weight = model[1].running_mean.clone(), model[0].weight.detach().clone()
    for _ in range(2):
        ap.train(model, tiny_data, 2, progress=False)
    assert torch.equal(model[1].running_mean, before) and not torch.equal(model[0].weight, weight)
    assert modes(model) == [True, True, False, True, True, True]


def test_a_model_in_evaluation_mode_is_trained_whole_and_comes_back_in_it(tiny_data):
    model, other = with_norm().eval(), with_norm()
    for network in (model, other):
        ap.train(network, tiny_data, 1, progress=False)
    assert modes(model) == [False] * 6 and modes(other) == [True] * 6
    assert torch.equal(model[1].running_mean, other[1].running_mean) and model[1].running_mean.any()


def test_a_callback_that_evaluates_does_not_stop_the_training_of_a_norm(tiny_data):
    model, means = with_norm(), []
    callbacks = [lambda network, _: means.append(network.eval()[1].running_mean.clone())]
    ap.train(model, tiny_data, 2, callbacks=callbacks, progress=False)
    assert not torch.equal(means[0], means[1]) and modes(model) == [True] * 6


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_types_are_trained_with_a_loss_in_float32_or_finer(tiny_data, dtype):
    def sgd(parameters, **options):  # a float16 cannot hold the 1e-8 that Adam divides by at least
        return torch.optim.SGD(parameters, momentum=0.9, **options)

    def loss_fn(scores, labels, inputs):
        assert scores.dtype == torch.promote_types(dtype, torch.float32) and inputs.dtype == torch.float32
        return torch.nn.functional.cross_entropy(scores, labels)

    model = fresh(tiny_data).to(dtype)
    history = ap.train(model, tiny_data, 12, optimizer=sgd, loss_fn=loss_fn, lr=0.05, batch_size=10, progress=False)
    assert model.conv1.weight.dtype == dtype and history.loss.iloc[-1] < 0.5 * history.loss.iloc[0]


def test_a_teacher_computes_in_its_own_type():
    torch.manual_seed(0)
    teacher, inputs, labels, scores = (
        torch.nn.Linear(4, 3),
        torch.randn(5, 4),
        torch.tensor([0, 1, 2, 0, 1]),
        torch.randn(5, 3),
    )
    whole, rough = (
        ap.Distillation(network)(scores, labels, inputs) for network in (teacher, copy.deepcopy(teacher).bfloat16())
    )
    assert rough.dtype == torch.float32 and rough != whole and rough.item() == pytest.approx(whole.item(), rel=0.02)


def test_the_weights_lie_as_the_network_computes_fastest_while_it_is_trained(tiny_data):
    model, layouts = fresh(tiny_data), []
    callbacks = [lambda network, _: layouts.append(network.conv2.weight.is_contiguous(memory_format=torch.channels_last))]
    ap.train(model, tiny_data, 1, callbacks=callbacks, progress=False)
    assert layouts == [True] and model.conv2.weight.is_contiguous()


def test_batches_of_one_image_train(tiny_data):
    model, few = fresh(tiny_data), tiny_data.subset(train=3, validation=1)
    history = ap.train(model, few, 1, batch_size=1, progress=False)
    assert history.loss.notna().all() and not torch.equal(model.fc2.weight, fresh(tiny_data).fc2.weight)


@pytest.mark.parametrize("batch_size", [54, 27])
def test_even_one_step_trains(tiny_data, batch_size):
    model = fresh(tiny_data)
    before = model.fc2.weight.detach().clone()
    ap.train(model, tiny_data, 1, batch_size=batch_size, progress=False)
    assert (before - model.fc2.weight).abs().max() > 1e-4


def test_a_callback_that_raises_leaves_the_model_in_order(tiny_data):
    def stop(model, row):
        raise KeyboardInterrupt

    model = fresh(tiny_data)
    with pytest.raises(KeyboardInterrupt):
        ap.train(model, tiny_data, 1, progress=False, callbacks=[stop])
    assert model.training
    assert model.conv2.weight.is_contiguous()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"lr": 0}, "lr must be above 0, got 0"),
        ({"weight_decay": -1}, "weight_decay value: -1"),
    ],
)
def test_bad_numbers_are_named_and_leave_the_model_as_it_was(tiny_data, options, says):
    model = fresh(tiny_data)
    with pytest.raises(ValueError, match=says):
        ap.train(model, tiny_data, **({"epochs": 1} | options))
    assert model.conv2.weight.is_contiguous()


def test_a_network_that_reshapes_by_view_is_trained_too(tiny_data):
    class Older(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = torch.nn.Conv2d(3, 4, 5), torch.nn.Linear(4 * 12 * 12, 3)

        def forward(self, x):
            return self.fc(self.conv(x).relu().view(-1, 4 * 12 * 12))

    model = Older()
    history = ap.train(model, tiny_data, 8, batch_size=10, progress=False)
    assert history.validation_accuracy.iloc[-1] == ap.accuracy(model, tiny_data, "validation") > 0.8


def test_a_model_with_nothing_to_train_is_named(tiny_data):
    with pytest.raises(ValueError, match="no parameters to train"):
        ap.train(torch.nn.Flatten(), tiny_data, 1)


def test_progress_shows_loss_and_validation_accuracy(tiny_data, capsys):
    last = ap.train(fresh(tiny_data), tiny_data, 2, batch_size=20).iloc[-1]
    bar = capsys.readouterr().err
    assert f"loss={last.loss:.3f}, validation={last.validation_accuracy:.1%}" in bar
    assert "epoch 2/2" in bar and "6/6" in bar


def test_distillation_follows_its_formula():
    teacher = torch.nn.Linear(4, 3).eval()
    inputs, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    scores = torch.randn(5, 3)
    hard = torch.nn.functional.cross_entropy(scores, labels)
    p, q = (teacher(inputs) / 2).softmax(1), (scores / 2).softmax(1)
    soft = (p * (p.log() - q.log())).sum(1).mean()
    loss = ap.Distillation(teacher, temperature=2, weight=0.7)(scores, labels, inputs)
    assert loss.item() == pytest.approx((0.3 * hard + 0.7 * 4 * soft).item(), rel=1e-5)
    assert ap.Distillation(teacher, weight=0.0)(scores, labels, inputs).item() == pytest.approx(hard.item(), rel=1e-6)
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        ap.Distillation(teacher, temperature=0)
    with pytest.raises(ValueError, match="weight must lie between 0 and 1, got 2"):
        ap.Distillation(teacher, weight=2)


def test_a_network_learns_from_a_teacher_alone_and_leaves_it_as_it_was(tiny_data):
    teacher = fresh(tiny_data)
    ap.train(teacher, tiny_data, 12, batch_size=10, lr=0.01, progress=False)
    before = teacher.fc1.weight.detach().clone()
    teacher.zero_grad()
    pupil = fresh(tiny_data, seed=1)
    loss_fn = ap.Distillation(teacher.train(), weight=1.0)
    ap.train(pupil, tiny_data, 12, batch_size=10, lr=0.01, progress=False, loss_fn=loss_fn)
    expected, found = (ap.predict(model, tiny_data, tiny_data.test.images).argmax(1) for model in (teacher, pupil))
    assert (expected == found).float().mean() > 0.9
    assert torch.equal(teacher.fc1.weight, before) and teacher.fc1.weight.grad is None and teacher.training


def test_learning_rate_rewinding_repeats_the_last_epochs_of_the_schedule(tiny_data):
    whole = ap.train(fresh(tiny_data), tiny_data, 6, batch_size=20, progress=False).lr
    rest = ap.fine_tune(fresh(tiny_data), tiny_data, 4, rewind=ap.Rewind(6), batch_size=20, progress=False).lr
    assert rest.tolist() == pytest.approx(whole.tolist()[2:])
    with pytest.raises(ValueError, match="total_epochs must be at least epochs=4, got 3"):
        ap.fine_tune(fresh(tiny_data), tiny_data, 4, rewind=ap.Rewind(3), progress=False)
    with pytest.raises(ValueError, match="done_epochs must be at least 0, got -1"):
        ap.train(fresh(tiny_data), tiny_data, 1, done_epochs=-1, progress=False)


def test_weight_rewinding_goes_back_behind_the_masks(tiny_data):
    model = fresh(tiny_data)
    early = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ap.train(model, tiny_data, 2, progress=False)
    masked = ap.mask(model, {"conv1": torch.tensor([True, True, False, False])})
    ap.fine_tune(masked, tiny_data, 1, rewind=ap.Rewind(100, lr=1e-12, weights=early), progress=False)
    assert torch.allclose(masked.conv1.weight[:2], early["conv1.weight"][:2], atol=1e-6)
    assert torch.allclose(masked.fc2.bias, early["fc2.bias"], atol=1e-6) and (masked.conv1.weight[2:] == 0).all()
    with pytest.raises(ValueError, match=r"rewind\.weights does not fit .*'conv1\.weight'"):
        ap.fine_tune(ap.remove(masked), tiny_data, 1, rewind=ap.Rewind(5, weights=early), progress=False)


def test_weight_rewinding_takes_the_statistics_of_the_norms_along(tiny_data):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 5), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.LazyLinear(3)
    )
    model(tiny_data.normalize(tiny_data.test.images))
    early = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ap.train(model, tiny_data, 2, progress=False)
    masked = ap.mask(model, {"0": torch.tensor([True, True, False, False])})
    seen = []
    masked[1].register_forward_pre_hook(lambda norm, _: seen.append(norm.running_mean.clone()))
    ap.fine_tune(masked, tiny_data, 1, rewind=ap.Rewind(100, weights=early), progress=False)
    assert torch.equal(seen[0], early["1.running_mean"]) and (masked[0].weight[2:] == 0).all()


def test_a_callback_may_add_to_the_row(tiny_data):
    history = ap.train(fresh(tiny_data), tiny_data, 2, callbacks=[lambda m, row: row.update(more=7)], progress=False)
    assert history.more.tolist() == [7, 7]
