"""Every classification family of torchvision, cut as benchmarks/zoo.py cuts it: a few here, all of them in `make zoo`."""

import subprocess
import sys

import pytest
from conftest import ROOT

from attnprune_edu.networks.kinds import layers_with_channels, width

sys.path.insert(0, str(ROOT / "benchmarks"))
import zoo

OUTPUTS = {"tied to the outputs": 1}
GROUPED, DIRECT = "grouped convolution", "attention that reads its weights itself"
MIXED = "layer norm or attention mixes channels"
EXPECTED = {  # {network: (layers that are cut, {why layers stay: how many})}
    "alexnet": (7, OUTPUTS),
    "vgg11_bn": (10, OUTPUTS),
    "resnet18": (20, OUTPUTS),
    "resnext50_32x4d": (21, OUTPUTS | {GROUPED: 32}),
    "wide_resnet50_2": (53, OUTPUTS),
    "squeezenet1_1": (25, OUTPUTS),
    "densenet121": (120, OUTPUTS),
    "googlenet": (61, {"tied to the outputs": 3}),
    "inception_v3": (96, {"tied to the outputs": 2}),
    "shufflenet_v2_x0_5": (35, OUTPUTS | {"shuffled into other channels": 15, "its number is written in the code": 6}),
    "mobilenet_v2": (52, OUTPUTS),
    "mobilenet_v3_small": (53, OUTPUTS),
    "mnasnet0_5": (52, OUTPUTS),
    "regnet_x_400mf": (27, OUTPUTS | {GROUPED: 44}),
    "regnet_y_400mf": (37, OUTPUTS | {GROUPED: 48}),
    "efficientnet_b0": (81, OUTPUTS),
    "efficientnet_v2_s": (170, OUTPUTS),
    "convnext_tiny": (18, OUTPUTS | {MIXED: 35, "added to what stays": 5}),
    "vit_b_16": (24, OUTPUTS | {MIXED: 25}),
    "swin_t": (12, OUTPUTS | {MIXED: 16, DIRECT: 24}),
    "swin_v2_t": (24, OUTPUTS | {MIXED: 28, DIRECT: 24}),
    "maxvit_t": (69, OUTPUTS | {MIXED: 81}),
}
QUICK = ["resnet18", "squeezenet1_1", "densenet121", "googlenet", "shufflenet_v2_x0_5", "mobilenet_v3_small"]
QUICK += ["regnet_y_400mf", "efficientnet_b0", "convnext_tiny", "swin_t"]
WRITTEN = ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small"]  # writing ONNX takes longest


def check(name, onnx):
    found = zoo.cut(name)
    spoken, apart = zoo.apart(found.dense, found.masked, name), zoo.apart(found.masked, found.small, name)
    assert spoken > 1e-3, "the silent channels had nothing to say, so that their removal proves nothing"
    assert apart < 1e-4

    cut = {layer for group in found.groups for layer in group}
    assert (len(cut), zoo.kinds(found.stays.values())) == EXPECTED[name]
    dense, small = (layers_with_channels(model) for model in (found.dense, found.small))
    assert cut | found.stays.keys() == dense.keys()
    for layer in cut | found.stays.keys():
        before, after = width(dense[layer]), width(small[layer])
        assert before - after == (round(zoo.RATIO * before) if layer in cut else 0), layer

    if onnx:
        apart = zoo.apart(found.small, zoo.in_onnx_runtime(found.small, name), name)
        assert apart < 1e-4, "ONNX Runtime computes something else"
    found.small.train()(zoo.images(name, 3, seed=0))  # an auxiliary classifier is heard only in training, and has to fit


@pytest.mark.parametrize("name", QUICK)
def test_a_network_of_torchvision_computes_the_same_without_its_silent_channels(name):
    check(name, onnx=name in WRITTEN)


@pytest.mark.zoo
@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_of_torchvision_computes_the_same_in_onnx_runtime_as_well(name):
    check(name, onnx=True)


PEAK = """
import re, time, torch, zoo
import attnprune_edu as ap

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

network, images = zoo.build("swin_t"), torch.randn(2, 3, 224, 224)
before, start = peak(), time.process_time()
print(len(ap.coupled_layers(network, example_inputs=images)), peak() - before, time.process_time() - start)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of another process is read from /proc")
def test_following_a_transformer_takes_little_memory_and_time():
    command = [sys.executable, "-c", PEAK]
    answer = subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True).stdout
    groups, grown, seconds = map(float, answer.split())
    assert groups == 12
    assert grown < 0.8e9, f"{grown / 1e9:.2f} GB"
    assert seconds < 60
