"""The training loop: batches cut from tensors in memory, augmentation on whole batches, one-cycle schedule."""

import copy
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from ..data.augmentation import Augmentation
from ..data.images import ImageData, Images
from .inference import accuracy, best_device, fast_layout, inputs_for, modes_of, set_modes

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
USUAL = "usual"  # the augmentation that the data call so


def batches(
    part: Images, batch_size: int, generator: torch.Generator, augment: Augmentation | None = None
) -> Iterator[Images]:
    """Yield ``part`` once, in random order, as ``Images`` of up to ``batch_size`` augmented pictures or sequences each."""
    for chosen in torch.randperm(len(part.labels), generator=generator).split(batch_size):
        images = part.images[chosen]
        yield Images(augment(images, generator) if augment else images, part.labels[chosen])


def cross_entropy(scores: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
    """The loss of plain training: class scores (N, classes) against ``labels`` (N,); the ``inputs`` do not matter."""
    return F.cross_entropy(scores, labels)


@dataclass
class Distillation:
    """A loss for ``train`` that also asks for the answers of a ``teacher``, such as the dense network before pruning.

    (1 − ``weight``) · cross-entropy with the labels + ``weight`` · T² · KL(teacher ‖ network), both softened by the
    ``temperature`` T: softmax(scores / T) (Hinton, Vinyals, Dean, 2015, arXiv:1503.02531, section 2). The teacher computes
    in the type of its weights: one in bfloat16 takes less time and asks for nearly the same.

    Raises ValueError for a temperature that is not above 0, or a weight outside 0–1.
    """

    teacher: nn.Module
    temperature: float = 4.0
    weight: float = 0.8

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight must lie between 0 and 1, got {self.weight}")
        self.teacher = copy.deepcopy(self.teacher).eval()  # nobody else's mode or device changes

    def __call__(self, scores: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """The loss of class ``scores`` (N, classes) for normalised ``inputs`` (N, …)."""
        with torch.no_grad():
            targets = self.teacher.to(inputs.device)(inputs_for(self.teacher, inputs)).to(scores)
        soft = F.kl_div(
            (scores / self.temperature).log_softmax(dim=1),
            (targets / self.temperature).log_softmax(dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return (1 - self.weight) * F.cross_entropy(scores, labels) + self.weight * self.temperature**2 * soft


@dataclass
class Rewind:
    """Where ``fine_tune`` goes back to in the training of the dense network (Renda et al., ICLR 2020, arXiv:2003.02389).

    ``total_epochs`` and ``lr`` are those of that training; fine-tuning for n epochs repeats the learning rates of its last n
    (learning-rate rewinding). With ``weights``, the ``state_dict`` that the dense network had n epochs before its end, what
    the masks keep and the statistics of batch normalisation go back to these values as well (weight rewinding).
    """

    total_epochs: int
    lr: float = 0.003
    weights: dict[str, Tensor] | None = None


def train(
    model: nn.Module,
    data: ImageData,
    epochs: int = 10,
    *,
    lr: float = 0.003,
    batch_size: int = 100,
    weight_decay: float = 0.01,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    augment: Augmentation | str | None = USUAL,
    loss_fn: Loss = cross_entropy,
    cycle_momentum: bool = True,
    done_epochs: int = 0,
    seed: int = 0,
    callbacks: Iterable[Callable[[nn.Module, dict], None]] = (),
    progress: bool = True,
) -> pd.DataFrame:
    """Train ``model`` in place on ``data.train`` and return what happened, one row an epoch.

    ``optimizer(parameters, lr=…, weight_decay=…)`` makes the optimiser, by default AdamW (Adam with decoupled weight decay);
    one that knows no weight decay, such as Rprop, is made without. It follows a one-cycle schedule whose peak learning rate
    is ``lr``. With ``cycle_momentum`` its momentum, or β₁, goes the other way, from 0.95 down to 0.85 and back, whatever it
    was before (Smith, 2018, arXiv:1803.09820, section 4.3); an optimiser whose momentum is 0, or that has none, stays
    without. ``augment(images, generator)`` changes each batch of images; ``"usual"`` is what ``data.augment`` does, and None
    leaves them as they are. ``loss_fn(scores, labels, inputs)``, all in float32 (or double, if the model is), is what gets
    smaller.
    ``done_epochs``: begin in the middle of the schedule, as if so many epochs had gone before these. After each epoch every
    callback is called with the model and the epoch's row: ``epoch``, ``loss`` (mean over the epoch's training batches),
    ``validation_accuracy`` (0–1), ``lr`` and ``seconds``.

    A model in evaluation mode is trained in training mode, all of it. In one that is in training mode, what was put into
    evaluation mode by itself, such as a batch normalisation whose statistics are to stay, remains in it. The GPU is used if
    there is one. Afterwards the model is back on its device, and each of its modules in the mode that it had.

    Nothing is chosen here: the last epoch's weights stay, and the test images are never looked at. On a CPU the same seed on
    the same machine gives the same weights. Raises ValueError if a number is out of its range or there is nothing to train.
    """
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, got epochs={epochs}, batch_size={batch_size}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if isinstance(augment, str):
        if augment != USUAL:
            raise ValueError(f"augment must be a function, None or {USUAL!r}, got {augment!r}")
        augment = data.augment
    if done_epochs < 0:
        raise ValueError(f"done_epochs must be at least 0, got {done_epochs}")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("model has no parameters to train")

    home, device = parameters[0].device, best_device()
    generator = torch.Generator().manual_seed(seed)
    steps_per_epoch = -(-len(data.train.labels) // batch_size)
    optimizer = _make_optimizer(optimizer, parameters, lr, weight_decay)
    # A cycle of a single step would be all end and no peak: its learning rate is next to nothing.
    total_steps = max(2, (done_epochs + epochs) * steps_per_epoch)
    cycle_momentum = cycle_momentum and _has_momentum(optimizer)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps, cycle_momentum=cycle_momentum)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's reminder that no step of the optimiser went before
        for _ in range(done_epochs * steps_per_epoch):
            schedule.step()
    history, modes = [], modes_of(model)
    try:
        if not model.training:
            model.train()
        training_modes = modes_of(model)
        layout = fast_layout(model.to(device), data)
        model.to(memory_format=layout)
        # Layers such as dropout draw from torch's global generator, so it is seeded too, and given back as it was.
        with torch.random.fork_rng(), tqdm(total=epochs * steps_per_epoch, unit="batch", disable=not progress) as bar:
            torch.manual_seed(seed)
            for epoch in range(1, epochs + 1):
                start, total_loss = time.perf_counter(), 0.0
                bar.set_description(f"epoch {epoch}/{epochs}")
                set_modes(training_modes)  # a callback may have changed them
                for images, labels in batches(data.train, batch_size, generator, augment):
                    inputs = data.normalize(images.to(device)).contiguous(memory_format=layout)
                    scores = model(inputs_for(model, inputs))
                    loss = loss_fn(scores.to(torch.promote_types(scores.dtype, torch.float32)), labels.to(device), inputs)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    total_loss += loss.item() * len(labels)
                    bar.update()
                row = {
                    "epoch": epoch,
                    "loss": total_loss / len(data.train.labels),
                    "validation_accuracy": accuracy(model, data, "validation"),
                    "lr": schedule.get_last_lr()[0],
                    "seconds": time.perf_counter() - start,
                }
                bar.set_postfix(loss=f"{row['loss']:.3f}", validation=f"{row['validation_accuracy']:.1%}")
                history.append(row)
                for callback in callbacks:
                    callback(model, row)
    finally:  # also after Ctrl-C, or a callback that raises
        model.to(home, memory_format=torch.contiguous_format)
        set_modes(modes)
    return pd.DataFrame(history)


def _make_optimizer(optimizer: Callable, parameters: list[Tensor], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    known = inspect.signature(optimizer).parameters.values()
    takes_decay = any(argument.name == "weight_decay" or argument.kind is argument.VAR_KEYWORD for argument in known)
    return optimizer(parameters, lr=lr, **({"weight_decay": weight_decay} if takes_decay else {}))


def _has_momentum(optimizer: torch.optim.Optimizer) -> bool:
    """Is its momentum, or β₁, above 0? The schedule would give some to plain gradient descent as well."""
    options = optimizer.defaults
    return bool(options["betas"][0] if "betas" in options else options.get("momentum", 0))


def fine_tune(
    model: nn.Module, data: ImageData, epochs: int = 2, *, lr: float = 0.001, rewind: Rewind | None = None, **options
) -> pd.DataFrame:
    """Train a pruned ``model`` a little more, in place: ``train`` with a lower peak learning rate and fewer epochs.

    Masks stay in force. ``rewind``: go back into the training of the dense network instead; ``lr`` is then not used.
    ``options`` are those of ``train``, and so are the result and the errors; ValueError also if ``rewind`` does not fit.
    """
    if rewind is None:
        return train(model, data, epochs, lr=lr, **options)
    if rewind.total_epochs < epochs:
        raise ValueError(f"rewind.total_epochs must be at least epochs={epochs}, got {rewind.total_epochs}")
    if rewind.weights is not None:
        _set_weights(model, rewind.weights)
    return train(model, data, epochs, lr=rewind.lr, done_epochs=rewind.total_epochs - epochs, **options)


@torch.no_grad()
def _set_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give ``model`` the values of ``weights``, behind its masks where it has any."""
    # torch stores a masked `layer.weight` as `layer.parametrizations.weight.original`, and the mask beside it.
    tensors = [*model.named_parameters(), *model.named_buffers()]
    targets = {
        name.replace("parametrizations.", "").removesuffix(".original"): tensor
        for name, tensor in tensors
        if not ("parametrizations." in name and name.endswith(".keep"))
    }
    wrong = [name for name in targets if name not in weights or weights[name].shape != targets[name].shape]
    if wrong:
        raise ValueError(
            f"rewind.weights does not fit the model: {wrong} are missing or of another shape. A network whose channels were "
            "removed cannot go back; rewind a masked one."
        )
    for name, tensor in targets.items():
        tensor.copy_(weights[name])
