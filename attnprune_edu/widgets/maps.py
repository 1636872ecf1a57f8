"""A widget that shows where networks look in a picture."""

from collections.abc import Mapping, Sequence

import ipywidgets
import torch
from torch import nn
from torch.nn import functional as F

from .. import plots
from ..data.images import ImageData, Images
from ..networks.inference import predict_classes
from ..report.attention_maps import attention_maps
from .picture_widget import SLIDER, PictureWidget, choice

POWERS = (1, 2, 4)


def map_explorer(
    networks: Mapping[str, nn.Module], data: ImageData, pictures: Images, layers: Sequence[str], powers=POWERS
) -> PictureWidget:
    """Choose a picture, a layer and a power, and see where each of the ``networks`` looks.

    ``networks``: {name: network}, the first of which the others are compared with. ``pictures``: uint8 (N, channels, height,
    width) and their labels (N,). ``layers``: names that all networks have, as ``attention_maps`` takes them, and ``powers``
    above 0; the first picture, the last layer and the middle power are shown at first.
    """
    if not networks or not layers or not powers or not len(pictures.labels):
        raise ValueError(
            "networks, pictures, layers and powers must hold at least one each, "
            f"got {len(networks)}, {len(pictures.labels)}, {len(layers)} and {len(powers)}"
        )
    number = ipywidgets.IntSlider(value=1, min=1, max=len(pictures.labels), description="picture", **SLIDER)
    layer = choice(layers, "layer", layers[-1])
    power = choice(powers, "power", powers[len(powers) // 2])

    def draw(number, layer, power):
        return map_picture(networks, data, pictures, number, layer, power)

    return PictureWidget(draw, number=number, layer=layer, power=power)


def map_picture(
    networks: Mapping[str, nn.Module], data: ImageData, pictures: Images, number: int, layer: str, power: float
) -> tuple[bytes, str]:
    """The picture behind ``map_explorer`` for the picture ``number``, from 1, and the sentence that describes it."""
    if not 1 <= number <= len(pictures.labels):
        raise ValueError(f"number must lie between 1 and {len(pictures.labels)}, got {number}")
    image, shown = pictures.images[number - 1 : number], data.class_names[pictures.labels[number - 1]]
    maps, said = {}, []
    for name, network in networks.items():
        guess = data.class_names[predict_classes(network, data, image)[0]]
        maps[f"{name}: {guess}"] = attention_maps(network, data, image, layer, power)
        said.append(f"{name} says {guess}")
    flat = torch.stack([values.flatten() for values in maps.values()])  # (networks, positions)
    alike = F.cosine_similarity(flat[:1], flat).tolist()[1:]
    for place, cosine in enumerate(alike, start=1):
        said[place] += f", and its map has the cosine {cosine:.2f} with the first"
    figure = plots.plot_attention_maps(image, maps, [shown])
    figure.suptitle(f"{layer}, power {power:g}", fontsize=10)  # the picture must also be understood without its controls
    alt = (
        f"Where the networks look in picture {number}, of class {shown}, at {layer} with power {power:g}: {'; '.join(said)}."
    )
    return plots.png(figure), alt
