"""What can be cut in torchvision's networks, and does the cut change what they compute?

    python benchmarks/zoo.py [network ...]

The smallest network of every classification family loses 30 % of the channels of each group by their L1 norm. Weights and
images are random, with a seed: what a cut changes does not hang on what a network has learned. Whatever starts as the same
number everywhere, as scales, shifts and running statistics do, gets random numbers too, so that an entry cut at the wrong
place shows.

Two batches of other images than those that were followed are compared: the network with masks against the smaller one, and
the smaller one against what ONNX Runtime makes of it. The dense one against the masked one shows how much the silent
channels had to say. Differences are shares of the largest output.
"""

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import attnprune_edu as ap

RATIO = 0.3
BATCHES = (1, 3)
NETWORKS = {  # pixels of a side of the images that it gets: few, where it takes few
    "alexnet": 64,
    "vgg11_bn": 64,
    "resnet18": 64,
    "resnext50_32x4d": 64,
    "wide_resnet50_2": 64,
    "squeezenet1_1": 64,
    "densenet121": 64,
    "googlenet": 64,
    "inception_v3": 299,  # for less its auxiliary classifier has no room
    "shufflenet_v2_x0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "mnasnet0_5": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "efficientnet_b0": 64,
    "efficientnet_v2_s": 64,
    "convnext_tiny": 64,
    "vit_b_16": 64,
    "swin_t": 64,
    "swin_v2_t": 64,
    "maxvit_t": 224,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
    "vit_b_16": {"image_size": 64},
}
KINDS = {  # part of a reason: what stays, in a few words
    "reach the outputs": "tied to the outputs",
    "in groups of several channels": "grouped convolution",
    "counts on its number": "its number is written in the code",
    "of another number": "shuffled into other channels",
    "used without calling": "attention that reads its weights itself",
    "mixes": "layer norm or attention mixes channels",
    "joins it": "layer norm or attention mixes channels",
    "0 becomes another number": "added to what stays",
    "does not call": "never called",
}


@dataclass(frozen=True)
class Cut:
    """A network before and after; ``stays``: {layer: why its channels stay}."""

    dense: nn.Module
    masked: nn.Module
    small: nn.Module
    groups: list[tuple[str, ...]]
    stays: dict[str, str]


def images(name: str, count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, NETWORKS[name], NETWORKS[name], generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def build(name: str) -> nn.Module:
    """The network with random weights, in evaluation mode; nothing in it is the same number everywhere."""
    import torchvision  # after attnprune_edu, which declares what a build without its operators lacks

    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, num_classes=10, **SETTINGS.get(name, {}))
    for tensor in model.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim and tensor.min() == tensor.max():
            tensor.normal_(0, 0.3) if tensor.max() == 0 else tensor.uniform_(0.5, 1.5)
    return model.eval()


def cut(name: str) -> Cut:
    dense, example = build(name), images(name, 2, seed=1)
    groups = ap.coupled_layers(dense, example_inputs=example)
    importance = ap.couple(ap.importance(dense, "l1"), groups)
    masked = ap.mask(dense, ap.keep_by_ratio(importance, RATIO), example_inputs=example)
    return Cut(dense, masked, ap.remove(masked, example, check=False), groups, ap.unprunable(dense, example))


@torch.no_grad()
def apart(one, other, name: str) -> float:
    """The largest difference between the outputs of two networks, as a share of the largest output of ``one``."""
    worst = 0.0
    for count in BATCHES:
        batch = images(name, count, seed=1 + count)
        expected = one(batch)
        worst = max(worst, ((expected - other(batch)).abs().max() / expected.abs().max()).item())
    return worst


def in_onnx_runtime(small: nn.Module, name: str) -> ap.OnnxNetwork:
    with tempfile.TemporaryDirectory() as folder:
        return ap.OnnxNetwork(ap.export_onnx(small, Path(folder) / "small.onnx", example_inputs=images(name, 2, seed=1)))


def kinds(reasons: Iterable[str]) -> Counter[str]:
    """How many layers stay for which kind of reason; a reason of no known kind stands for itself, without names."""

    def kind(reason):
        plain = re.sub(r"^coupled with '[^']*': ", "", reason)
        return next((words for part, words in KINDS.items() if part in plain), re.sub(r"'[^']*'", "…", plain))

    return Counter(map(kind, reasons))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    print(f"seed 0, {RATIO:.0%} of the channels, torch {torch.__version__}, torchvision {version('torchvision')}\n")
    print("| network | parameters | layers cut | layers that stay | dense − masked | masked − removed | removed − ONNX |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in parser.parse_args().networks:
        found = cut(name)
        params = " → ".join(f"{ap.count_params(model):,}" for model in (found.dense, found.small))
        why = kinds(found.stays.values()).most_common()
        stays = ", ".join(f"{count} {words}" if len(why) > 1 else words for words, count in why)
        onnx = in_onnx_runtime(found.small, name)
        pairs = ((found.dense, found.masked), (found.masked, found.small), (found.small, onnx))
        differences = " | ".join(f"{apart(*pair, name):.1g}" for pair in pairs)
        layers = sum(map(len, found.groups))
        print(f"| {name} | {params} | {layers} | {len(found.stays)}: {stays} | {differences} |", flush=True)


if __name__ == "__main__":
    main()
