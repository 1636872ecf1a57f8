"""Verification: do two pictures show the same person, of people the network has never seen?

Two pictures are compared by the cosine of the angle between their embeddings, and called the same person from a threshold
on. A low threshold accepts strangers (false accepts), a high one rejects the right person (false rejects); the ROC curve
shows both for every threshold at once (Fawcett, *An introduction to ROC analysis*, Pattern Recognition Letters 2006).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.faces import FaceData
from ..data.images import Images
from ..networks.inference import evaluating, network_inputs
from .uncertainty import Interval


class Pairs(NamedTuple):
    """Each two of some pictures once: ``similarity`` (pairs,) from -1 to 1, ``same`` (pairs,), True where they show one
    person, and ``people`` (pairs, 2), who they show."""

    similarity: Tensor
    same: Tensor
    people: Tensor

    def among(self, people: Tensor) -> "Pairs":
        """Those pairs of which both pictures show one of ``people``, numbers as in ``people`` (pairs, 2)."""
        both = torch.isin(self.people, people).all(dim=1)
        return Pairs(*(part[both] for part in self))


@torch.no_grad()
def compare_pairs(model: nn.Module, data: FaceData, pictures: Images | None = None) -> Pairs:
    """Compare each two of some ``pictures``, by default those of the people in ``data.unseen``, by their embeddings.

    ``model``: a network whose ``embed`` maps normalised pictures to (N, numbers), such as ``FaceNet``, whole, masked or
    smaller. Raises TypeError if it has none, and ValueError if the pictures show one person alone or no person twice.
    """
    if not hasattr(model, "embed"):
        raise TypeError(f"model must have a method embed, as FaceNet has, got {type(model).__name__}")
    images, labels = data.unseen if pictures is None else pictures
    if not 1 < len(labels.unique()) < len(labels):
        name = "data.unseen" if pictures is None else "pictures"
        raise ValueError(
            f"{name} must show at least two people, and one of them at least twice, "
            f"got {len(labels)} pictures of {len(labels.unique())} people"
        )
    with evaluating(model):
        embeddings = [model.embed(network_inputs(model, data, batch)).float().cpu() for batch in images.split(100)]
    directions = F.normalize(torch.cat(embeddings), dim=1)  # (N, numbers), of length 1
    first, second = torch.triu_indices(len(labels), len(labels), offset=1)
    people = torch.stack([labels[first], labels[second]], dim=1)
    same = people[:, 0] == people[:, 1]
    return Pairs((directions[first] * directions[second]).sum(dim=1), same, people)


def roc_curve(similarity: Tensor, same: Tensor) -> pd.DataFrame:
    """Return a row for each threshold at which something changes, the highest first, and both rates (0–1) of accepts.

    A pair is accepted if its ``similarity`` (pairs,) is at least ``threshold``. ``false_accept_rate``: accepted pairs of two
    people among all such pairs; ``true_accept_rate``: accepted pairs of one person, where ``same`` (pairs,) is True, among
    all of those. The first threshold, infinity, accepts none. Raises ValueError unless there are pairs of both kinds.
    """
    _checked(same)
    order = similarity.argsort(descending=True)
    values, right = similarity[order].double().numpy(), same[order].numpy()
    last = np.append(values[1:] != values[:-1], True)  # of equal similarities all are accepted, or none
    rates = {
        "false_accept_rate": np.cumsum(~right)[last] / (~right).sum(),
        "true_accept_rate": np.cumsum(right)[last] / right.sum(),
    }
    table = pd.DataFrame({"threshold": values[last], **rates})
    return pd.concat(
        [pd.DataFrame([{"threshold": np.inf, "false_accept_rate": 0.0, "true_accept_rate": 0.0}]), table], ignore_index=True
    )


def error_rates(pairs: Pairs, threshold: float) -> tuple[float, float]:
    """The false accept rate and the false reject rate (0–1) of ``pairs`` that are accepted from ``threshold`` on.

    Errors as for ``roc_curve``.
    """
    _checked(pairs.same)
    accepted = pairs.similarity >= threshold
    return accepted[~pairs.same].double().mean().item(), (~accepted[pairs.same]).double().mean().item()


def accept_threshold(pairs: Pairs, false_accept_rate: float = 0.01) -> float:
    """The lowest threshold that accepts no larger share of the pairs of two people than ``false_accept_rate`` (0–1).

    So it is the one with the highest true accept rate; infinity, which accepts none, where the most alike pairs show too
    many strangers. On pairs of other people it may accept more. Raises ValueError outside 0–1, and as ``roc_curve`` does.
    """
    if not 0 <= false_accept_rate <= 1:
        raise ValueError(f"false_accept_rate must lie between 0 and 1, got {false_accept_rate}")
    curve = roc_curve(pairs.similarity, pairs.same)
    return float(curve.threshold[curve.false_accept_rate <= false_accept_rate].iloc[-1])


def auc(similarity: Tensor, same: Tensor) -> float:
    """The area under the ROC curve (0–1): how often a pair of one person is more alike than a pair of two, ½ for a tie.

    ½ is chance. Computed from ranks (Hanley and McNeil, *Radiology* 1982). Errors as for ``roc_curve``.
    """
    _checked(same)
    ranks, right = stats.rankdata(similarity.double().numpy()), same.numpy()
    ones, others = int(right.sum()), int((~right).sum())
    return float((ranks[right].sum() - ones * (ones + 1) / 2) / (ones * others))


def equal_error_rate(similarity: Tensor, same: Tensor) -> float:
    """The error rate (0–1) at the threshold where as large a share of strangers is accepted as of the right people rejected.

    Where no threshold makes them equal, the mean of both where they are closest. Errors as for ``roc_curve``.
    """
    table = roc_curve(similarity, same)
    accepts, rejects = table.false_accept_rate, 1 - table.true_accept_rate
    closest = (accepts - rejects).abs().idxmin()
    return float((accepts[closest] + rejects[closest]) / 2)


def auc_interval(pairs: Pairs, *, repeats: int = 500, seed: int = 0) -> Interval:
    """The area under the ROC curve and its 95 % interval, by a bootstrap over people.

    Pairs share pictures and people, so that they are not independent, and a bootstrap over pairs would look too sure. Here
    whole people are drawn with replacement, each with all their pictures; pairs of a person's two copies are left out, for
    they are no strangers (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, percentile interval).
    Draws without a pair of either kind do not count.

    Raises ValueError if ``repeats`` is below 100, and as ``roc_curve`` does.
    """
    if repeats < 100:
        raise ValueError(f"repeats must be at least 100, got {repeats}")
    _checked(pairs.same)
    generator = torch.Generator().manual_seed(seed)
    people = pairs.people.unique()
    places = torch.searchsorted(people, pairs.people)  # (pairs, 2)
    found = []
    while len(found) < repeats:
        drawn = torch.randint(len(people), (len(people),), generator=generator).bincount(minlength=len(people))
        copies = drawn[places]
        # A person drawn n times brings the own pairs n times, and pairs with another, drawn m times, n · m times.
        weight = torch.where(pairs.same, copies[:, 0], copies[:, 0] * copies[:, 1])
        if weight[pairs.same].any() and weight[~pairs.same].any():
            found.append(_weighted_auc(pairs.similarity, pairs.same, weight))
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(auc(pairs.similarity, pairs.same), float(low), float(high))


def _weighted_auc(similarity: Tensor, same: Tensor, weight: Tensor) -> float:
    """``auc`` where each pair counts ``weight`` (pairs,) times."""
    values, place = similarity.double().unique(return_inverse=True)
    ones, others = (
        torch.zeros(len(values)).double().index_add(0, place, (weight * mine).double()) for mine in (same, ~same)
    )
    below = others.cumsum(0) - others / 2
    return float((ones * below).sum() / (ones.sum() * others.sum()))


def _checked(same: Tensor) -> None:
    if same.dtype != torch.bool or not 0 < int(same.sum()) < len(same):
        raise ValueError(
            "same must hold truth values, at least one True (one person) and one False (two people), "
            f"got {same.dtype} with {int(same.sum())} of {len(same)} True"
        )
