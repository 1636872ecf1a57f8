"""Small devices: what pruning and int8 save together, and whether channels in multiples of 8 are worth it.

    ATTNPRUNE_DATA=cifar10.npz OMP_NUM_THREADS=1 python benchmarks/devices.py [--networks article-net resnet20] [--rounds 15]

Each network that ships is compared in ONNX Runtime as it is and pruned in three ways, each repaired on 500 training images
and not trained, in float32 and in int8 (`ap.compare_on_device`):

    dense
    half of the channels               of each layer, which here leaves multiples of 8 anyway
    half of the MACs                   ap.allocate, the same share of each layer
    half of the MACs, round_to=8       the same within the same budget, in multiples of 8

The pruned networks are kept in build/devices/, and what was measured in attnprune_edu/experiments/results/devices.csv, so
that a run that was stopped goes on where it was; let only one run at a time. The rows of one network are measured in the
same turns, and come together. Then the stairs: the article's network with 17 to 32 channels in both convolutions and random
weights, a row for each width and type in devices-widths.csv. Times are the processor's, on one thread. At the end the tables
are printed.
"""

import argparse
import time
from pathlib import Path

import onnxruntime
import pandas as pd
import torch
from recovery import append, has
from torch import nn
from torch.utils.benchmark import Timer

import attnprune_edu as ap
from attnprune_edu.report.onnx_export import onnx_bytes
from attnprune_edu.report.quantization import quantized_bytes

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "attnprune_edu" / "experiments" / "results"
TABLE, WIDTHS = RESULTS / "devices.csv", RESULTS / "devices-widths.csv"
CRITERIA = {"article-net": "activation_attention", "resnet20": "attention"}
REPAIR = {"num_images": 500, "positions": 10}
PRUNINGS = ("dense", "half of the channels", "half of the MACs", "half of the MACs, round_to=8")


def pruned(name: str, pruning: str, data: ap.ImageData) -> nn.Module:
    """The network ``name``, pruned, repaired and really smaller; from its file if it was made before."""
    path = ROOT / "build" / "devices" / f"{name}-{data.name}-{PRUNINGS.index(pruning)}.safetensors"
    if not path.exists():
        dense, criterion = ap.load_model(name, data.name), CRITERIA[name]
        if pruning == "half of the channels":
            groups = ap.coupled_layers(dense, data.image_shape)
            keep = ap.keep_by_ratio(ap.couple(ap.importance(dense, criterion, data=data), groups), 0.5)
            masked = ap.mask(dense, keep, example_inputs=data.example_inputs)
            small = ap.remove(ap.repair(masked, data, dense=dense, **REPAIR), data.example_inputs)
        else:
            round_to = 8 if pruning.endswith("round_to=8") else 1
            small = ap.allocate(
                dense, data, 0.5, levels="filters", method="uniform", criterion=criterion, round_to=round_to, **REPAIR
            ).model
        ap.save_model(small, path)
    return ap.load_model(path)


def contents_of(networks: dict, data: ap.ImageData) -> dict[tuple, bytes]:
    """{(network, type): its ONNX file}."""
    float32 = {name: onnx_bytes(network, data) for name, network in networks.items()}
    int8 = {(name, "int8"): quantized_bytes(content, data) for name, content in float32.items()}
    return {(name, "float32"): content for name, content in float32.items()} | int8


def processor_ms(contents: dict[tuple, bytes], data: ap.ImageData, batch_size: int, rounds: int) -> pd.DataFrame:
    """Milliseconds of one thread for a batch: a column per network, a row per turn.

    The clock is the processor's own for this program, which stands still while others have their turn; `ap.latency_ms` looks
    at the clock on the wall.
    """
    images = data.normalize(data.validation.images[:batch_size])
    timers = {
        key: Timer(
            "network(images)", timer=time.process_time, globals={"network": ap.OnnxNetwork(content, 1), "images": images}
        )
        for key, content in contents.items()
    }
    passes = max(2, 64 // batch_size)
    for timer in timers.values():
        timer.timeit(passes)  # to warm up
    return pd.DataFrame([{key: 1000 * timer.timeit(passes).mean for key, timer in timers.items()} for _ in range(rounds)])


def times(networks: dict[str, nn.Module], data: ap.ImageData, rounds: int) -> dict[tuple, dict[str, float]]:
    """{(network, type): milliseconds, and how many times as fast as the first in float32, with quartiles over the turns}."""
    contents, found = contents_of(networks, data), {}
    for count in (1, 64):
        turns = processor_ms(contents, data, count, rounds)
        for key in contents:
            ratios = (turns.iloc[:, 0] / turns[key]).quantile([0.25, 0.5, 0.75]).tolist()
            names = (f"speedup_{count}_low", f"speedup_{count}", f"speedup_{count}_high")
            found.setdefault(key, {})[f"ms_{count}"] = turns[key].median()
            found[key] |= dict(zip(names, ratios, strict=True))
    return found


def compare(name: str, data: ap.ImageData, rounds: int) -> None:
    networks = {"dense": ap.load_model(name, data.name)} | {how: pruned(name, how, data) for how in PRUNINGS[1:]}
    exact = ["bytes", "accuracy", "accuracy_low", "accuracy_high", "peak_memory"]
    table = ap.compare_on_device(networks, data, rounds=1)[exact].astype(object)  # whole numbers stay whole
    measured = times(networks, data, rounds)
    for (pruning, kind), row in table.iterrows():
        costs = {
            "macs": ap.count_macs(networks[pruning], data.image_shape),
            "params": ap.count_params(networks[pruning]),
        }
        cell = {"network": name, "pruning": pruning, "type": kind}
        append(cell | costs | row.to_dict() | measured[pruning, kind], TABLE)


def stairs(data: ap.ImageData, rounds: int) -> None:
    """Milliseconds for a batch of 64, all widths and types in the same turns, and billions of MACs in a second."""
    models = {}
    for width in range(17, 33):
        torch.manual_seed(0)
        models[width] = ap.ArticleNet((width, width), 64).eval()
    turns = processor_ms(contents_of(models, data), data, 64, rounds)
    for (width, kind), milliseconds in turns.median().items():
        macs = ap.count_macs(models[width], data.image_shape)
        rate = 64 * macs / milliseconds / 1e6
        append({"width": width, "type": kind, "macs": macs, "ms": milliseconds, "gmacs_per_s": rate}, WIDTHS)


def report(data: ap.ImageData) -> None:
    table = pd.read_csv(TABLE)
    vnni = "with" if torch.cpu.get_capabilities().get("avx512_vnni") else "without"
    print(f"\n{data}\n{torch.get_num_threads()} threads, {vnni} VNNI (AVX-512), ONNX Runtime {onnxruntime.__version__}")
    for name, rows in table.groupby("network"):
        print(f"\n| {name} | type | MACs | bytes | accuracy | 1 image, times as fast | 64 images | peak memory |")
        print("| --- |" + " --- |" * 7)
        for row in rows.itertuples():
            costs = f"{row.macs:,} | {row.bytes:,} | {row.accuracy:.1%} | {row.speedup_1:.1f} | {row.speedup_64:.1f}"
            print(f"| {row.pruning} | {row.type} | {costs} | {row.peak_memory / 1e6:.1f} MB |")
    rates = pd.read_csv(WIDTHS).pivot_table("gmacs_per_s", "width", "type")
    print("\n| channels | " + " | ".join(rates.columns) + " |\n| --- |" + " --- |" * len(rates.columns))
    for width, row in rates.iterrows():
        print(f"| {width} | " + " | ".join(f"{rate:.1f}" for rate in row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(CRITERIA))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    data = ap.load_data()
    for name in arguments.networks:
        if not has(TABLE, network=name, pruning=PRUNINGS[-1], type="int8"):
            compare(name, data, arguments.rounds)
    if not has(WIDTHS, width=32, type="int8"):
        stairs(data, arguments.rounds)
    report(data)


if __name__ == "__main__":
    main()
