"""What happens in training, for TensorBoard: a callback of ``train`` that writes curves and histograms to a folder."""

from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path

from torch import Tensor, nn


class _Writer:
    """A callback that writes each epoch's row to ``folder``. Trainings after the first go on with its count of epochs."""

    def __init__(self, folder: Path, histograms: Callable[[], Mapping[str, Tensor]] | None):
        try:
            from torch.utils.tensorboard import SummaryWriter  # here, because it is an extra that few need
        except ImportError as error:
            raise ImportError(
                "to_tensorboard needs the package tensorboard, which is not installed. "
                'Install it with: pip install "attnprune-edu[tensorboard]"'
            ) from error
        self._writer, self._histograms, self._epochs = SummaryWriter(str(folder)), histograms, 0

    def __call__(self, model: nn.Module, row: dict) -> None:
        self._epochs += 1
        for name, value in row.items():
            if name != "epoch" and isinstance(value, Real):
                self._writer.add_scalar(name, value, self._epochs)
        for name, values in (self._histograms() if self._histograms else {}).items():
            self._writer.add_histogram(name, values.detach(), self._epochs)
        self._writer.flush()  # so that a page which is open meanwhile shows it at once


def to_tensorboard(
    folder: str | Path, histograms: Callable[[], Mapping[str, Tensor]] | None = None
) -> Callable[[nn.Module, dict], None]:
    """Return a callback for ``train`` that writes what happens to ``folder``, where TensorBoard reads it.

    After each epoch it writes the numbers in the row: the training loss, the validation accuracy (0–1), the learning rate,
    the seconds, and what callbacks before it have added, such as ``pruning_ratio``. ``histograms``: a function without
    arguments that returns {name: tensor} to be written as histograms, such as the gates of an adaptive pruner or the weights
    of a layer; it is called after each epoch. Give each training a folder of its own inside of one, and look at them
    together with ``tensorboard --logdir THAT_FOLDER``. Used for a second training, the callback goes on counting epochs.

    Raises ImportError with what to install if the optional package tensorboard is missing.
    """
    return _Writer(Path(folder), histograms)
