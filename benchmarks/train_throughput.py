"""How much does the training loop cost on top of the network itself, and what would a DataLoader cost?

    python benchmarks/train_throughput.py [--images 10000] [--rounds 5]          # `make bench`

Four ways to train ArticleNet for one epoch on the same images, batch size and optimiser, each once a round, so that a slow
moment of the machine hits all alike:

- network alone: forward, backward and step on one fixed batch, again and again;
- our loop: `ap.train` with random flips and shifts of tensors in memory;
- DataLoader: torchvision's RandomCrop and RandomHorizontalFlip on PIL images, in this process or in two workers.
"""

import argparse
import dataclasses
import time

import pandas as pd
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import attnprune_edu as ap

BATCH_SIZE = 100


class PILImages(Dataset):
    """Gives what torchvision's CIFAR10 gives: a PIL image made from an array, transformed, and its label."""

    def __init__(self, data):
        from torchvision import transforms

        self.images = data.train.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.train.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(data.image_shape[1:], padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.mean, data.std),
            ]
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def fresh_model(data):
    torch.manual_seed(0)
    channels, height, width = data.image_shape
    return ap.ArticleNet(in_channels=channels, image_size=(height, width), num_classes=len(data.class_names))


def step_on(batches, data):
    """Train a fresh network on ``batches`` of (normalised images, labels), with nothing around it."""
    model = fresh_model(data).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.01)
    for images, labels in batches:
        loss = F.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def network_alone(data):
    images, labels = data.train
    batch = data.normalize(images[:BATCH_SIZE]), labels[:BATCH_SIZE]
    step_on([batch] * (len(labels) // BATCH_SIZE), data)


def our_loop(data):
    ap.train(fresh_model(data), data, epochs=1, batch_size=BATCH_SIZE, progress=False)


def data_loader(workers):
    def epoch(data):
        step_on(DataLoader(PILImages(data), BATCH_SIZE, shuffle=True, num_workers=workers), data)

    return epoch


WAYS = {
    "network alone": network_alone,
    "our loop": our_loop,
    "DataLoader, this process": data_loader(0),
    "DataLoader, two workers": data_loader(2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="training images in the epoch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    data = ap.load_data()
    count = min(arguments.images, len(data.train.labels)) // BATCH_SIZE * BATCH_SIZE
    # One validation image: the other ways validate nothing, so ours should not either.
    data = dataclasses.replace(
        data,
        train=ap.Images(*(part[:count] for part in data.train)),
        validation=ap.Images(*(part[:1] for part in data.validation)),
    )
    seconds = []
    for turn in range(arguments.rounds + 1):
        row = {}
        for name, epoch in WAYS.items():
            start = time.perf_counter()
            epoch(data)
            row[name] = time.perf_counter() - start
        print(
            "warm-up" if turn == 0 else f"round {turn}", {name: round(value, 2) for name, value in row.items()}, flush=True
        )
        seconds.append(row)
    table = pd.DataFrame(seconds[1:])
    ratios = table.div(table["network alone"], axis=0)
    summary = pd.DataFrame(
        {
            "seconds (median)": table.median(),
            "÷ network alone (median)": ratios.median(),
            "lowest": ratios.min(),
            "highest": ratios.max(),
        }
    )
    print(f"\n{count:,} images, batch {BATCH_SIZE}, {arguments.rounds} rounds, {torch.get_num_threads()} threads\n")
    print(summary.round(2).to_string())
    faster = table[[name for name in WAYS if "DataLoader" in name]].min(axis=1) / table["our loop"]
    print(f"\nthe faster DataLoader ÷ our loop: median {faster.median():.2f} ({faster.min():.2f}–{faster.max():.2f})")


if __name__ == "__main__":
    main()
