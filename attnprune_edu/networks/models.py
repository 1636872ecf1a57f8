"""Networks that can be rebuilt from a few numbers, so that a pruned one can be stored and loaded without pickle."""

import copy
import warnings

import torch
from torch import Tensor, nn

from ..data.images import ImageData
from .sequence import NameGRU, NameTransformer
from .small_cnns import DigitCNN, FaceNet

CONV_CHANNELS, HIDDEN = (32, 64), 1024  # the article's
MANY_WEIGHTS = 20_000_000  # in one layer: a dozen times the article's whole network


class ArticleNet(nn.Module):
    """The article's CNN for 32×32 colour images, with its widths free.

    ``conv 5×5 → ReLU → pool → conv 5×5 → ReLU → pool → linear → ReLU → linear``. With the default widths, 32 and 64
    channels and 1,024 hidden neurons, it has 1,703,370 parameters (``article.md``, row 7).

    ``conv_channels``: output channels of the two convolutions. ``hidden``: neurons between the two linear layers.
    ``image_size``: height and width of the images in pixels, one number if they are equal; at least 16.
    Raises ValueError if a width is below 1 or the images are too small for two convolutions and two poolings. A UserWarning
    says so if large images bring more than 20 million weights into one layer.
    """

    def __init__(
        self,
        conv_channels: tuple[int, int] = CONV_CHANNELS,
        hidden: int = HIDDEN,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int | tuple[int, int] = 32,
    ):
        super().__init__()
        conv_channels = tuple(conv_channels)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if len(conv_channels) != 2:
            raise ValueError(f"conv_channels must be two numbers, got {conv_channels}")
        if min(*conv_channels, hidden, in_channels, num_classes) < 1:
            raise ValueError(
                f"every width must be at least 1, got conv_channels={conv_channels}, hidden={hidden}, "
                f"in_channels={in_channels}, num_classes={num_classes}"
            )
        if min(height, width) < 16:
            raise ValueError(f"image_size must be at least 16 pixels, got {image_size}")

        self.image_size = [height, width]
        first, second = conv_channels
        flat = second * _after_two(height) * _after_two(width)
        if flat * hidden > MANY_WEIGHTS:
            warnings.warn(
                f"for images of {height}×{width} pixels, with hidden={hidden}, fc1 of ArticleNet has {flat * hidden:,} "
                f"weights; make the images smaller, or hidden at most {max(1, MANY_WEIGHTS // flat)}",
                stacklevel=2,
            )
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=5)
        self.conv2 = nn.Conv2d(first, second, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(flat, hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    @classmethod
    def for_data(cls, data: ImageData) -> "ArticleNet":
        """A network with fresh weights for the images and classes of ``data``; for large images fewer are ``hidden``."""
        channels, height, width = data.image_shape
        flat = CONV_CHANNELS[1] * _after_two(height) * _after_two(width)
        return cls(
            hidden=min(HIDDEN, max(1, MANY_WEIGHTS // max(1, flat))),
            in_channels=channels,
            num_classes=len(data.class_names),
            image_size=(height, width),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, in_channels, height, width) to class scores (N, num_classes)."""
        x = self.pool(self.conv1(images).relu())  # (N, 32, 14, 14)
        x = self.pool(self.conv2(x).relu())  # (N, 64, 5, 5)
        x = self.fc1(x.flatten(1)).relu()  # (N, 1024)
        return self.fc2(x)  # (N, 10)

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        return {
            "conv_channels": [self.conv1.out_channels, self.conv2.out_channels],
            "hidden": self.fc1.out_features,
            "in_channels": self.conv1.in_channels,
            "num_classes": self.fc2.out_features,
            "image_size": self.image_size,
        }


class ResNet20(nn.Module):
    """The residual network with 20 layers for CIFAR-10, with its widths free (He et al., CVPR 2016, arXiv:1512.03385, 4.2).

    A first convolution, three stages of three blocks, the mean over all positions, and a linear layer. In each block
    ``conv 3×3 → batch norm → ReLU → conv 3×3 → batch norm``, added to the block's input, then a ReLU. The second and the
    third stage halve height and width; there a 1×1 convolution with batch norm brings the input to the new shape (option B
    of the paper). 272,474 parameters, 2,752 of which are in these shortcuts.

    ``stage_channels``: channels between the blocks of each stage, which the additions tie together. ``block_channels``:
    those inside each block, three numbers for each stage; 0 where a block has been taken out, which only one that keeps the
    shape can be. Raises ValueError if the widths do not fit, or one is too small.
    """

    def __init__(
        self,
        stage_channels: tuple[int, int, int] = (16, 32, 64),
        block_channels: tuple[tuple[int, int, int], ...] = ((16,) * 3, (32,) * 3, (64,) * 3),
        in_channels: int = 3,
        num_classes: int = 10,
    ):
        super().__init__()
        if len(stage_channels) != 3 or [len(widths) for widths in block_channels] != [3, 3, 3]:
            raise ValueError(
                "stage_channels must be three numbers and block_channels three times three, got "
                f"stage_channels={stage_channels}, block_channels={block_channels}"
            )
        inside = [width for widths in block_channels for width in widths]
        if min(*stage_channels, inside[3], inside[6], in_channels, num_classes) < 1 or min(inside) < 0:
            raise ValueError(
                "a block that keeps the shape may be 0, for left out; every other width must be at least 1, got "
                f"stage_channels={stage_channels}, block_channels={block_channels}, in_channels={in_channels}, "
                f"num_classes={num_classes}"
            )
        self.conv1 = nn.Conv2d(in_channels, stage_channels[0], kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stage_channels[0])
        before = stage_channels[0]
        for number, (channels, inside) in enumerate(zip(stage_channels, block_channels, strict=True), start=1):
            blocks = []
            for width in inside:
                stride = 2 if number > 1 and not blocks else 1
                blocks.append(ResidualBlock(before, width, channels, stride) if width else nn.Identity())
                before = channels
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, in_channels, height, width) to class scores (N, num_classes)."""
        x = self.bn1(self.conv1(images)).relu()  # (N, 16, 32, 32)
        x = self.stage3(self.stage2(self.stage1(x)))  # (N, 64, 8, 8)
        return self.fc(x.mean(dim=(2, 3)))  # (N, 10)

    @classmethod
    def for_data(cls, data: ImageData) -> "ResNet20":
        """A network with fresh weights for the images and classes of ``data``."""
        return cls(in_channels=data.image_shape[0], num_classes=len(data.class_names))

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        stages = (self.stage1, self.stage2, self.stage3)
        return {
            "stage_channels": [self.conv1.out_channels, *(stage[0].conv2.out_channels for stage in stages[1:])],
            "block_channels": [
                [0 if isinstance(block, nn.Identity) else block.conv1.out_channels for block in stage] for stage in stages
            ],
            "in_channels": self.conv1.in_channels,
            "num_classes": self.fc.out_features,
        }


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what came in; a part of ``ResNet20``."""

    def __init__(self, in_channels: int, inside: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, inside, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv2 = nn.Conv2d(inside, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if stride > 1:
            projection = nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, height, width) to (N, channels, height / stride, width / stride)."""
        inside = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(inside)) + self.shortcut(x)).relu()


class VGG(nn.Module):
    """A VGG with eleven layers and batch normalisation for 32×32 images, with its widths free.

    Eight times ``conv 3×3 → batch norm → ReLU``, a 2×2 pooling behind the first, second, fourth, sixth and eighth, and a
    linear layer (Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556, network A; one linear layer in place of three, as is
    usual for CIFAR-10). 9,228,362 parameters.

    ``conv_channels``: output channels of the eight convolutions. Raises ValueError if there are not eight or one is below 1.
    """

    def __init__(
        self,
        conv_channels: tuple[int, ...] = (64, 128, 256, 256, 512, 512, 512, 512),
        in_channels: int = 3,
        num_classes: int = 10,
    ):
        super().__init__()
        if len(conv_channels) != 8:
            raise ValueError(f"conv_channels must be eight numbers, got {conv_channels}")
        if min(*conv_channels, in_channels, num_classes) < 1:
            raise ValueError(
                f"every width must be at least 1, got conv_channels={conv_channels}, in_channels={in_channels}, "
                f"num_classes={num_classes}"
            )
        layers: list[nn.Module] = []
        before = in_channels
        for number, channels in enumerate(conv_channels, start=1):
            layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
            if number in (1, 2, 4, 6, 8):
                layers.append(nn.MaxPool2d(2))
            before = channels
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(before, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, in_channels, 32, 32) to class scores (N, num_classes)."""
        return self.fc(self.features(images).flatten(1))

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        convolutions = [layer for layer in self.features if isinstance(layer, nn.Conv2d)]
        return {
            "conv_channels": [layer.out_channels for layer in convolutions],
            "in_channels": convolutions[0].in_channels,
            "num_classes": self.fc.out_features,
        }


def _after_two(size: int) -> int:
    """Pixels left of ``size`` after two 5×5 convolutions without padding, each followed by 2×2 pooling."""
    return ((size - 4) // 2 - 4) // 2


def copy_of(model: nn.Module, known: dict[int, object] | None = None) -> nn.Module:
    """A deep copy of ``model``. ``known``: {id of a part: what stands in its place in the copy}.

    Each module has a dozen of empty dictionaries, most of them for hooks; to know them beforehand saves half of the time.
    """
    parts = (part for module in model.modules() for part in vars(module).values())
    empty = {id(part): type(part)() for part in parts if isinstance(part, dict | set) and not part}
    return copy.deepcopy(model, empty | (known or {}))


ARCHITECTURES = {kind.__name__: kind for kind in (ArticleNet, ResNet20, VGG, NameGRU, NameTransformer, DigitCNN, FaceNet)}


def architecture_of(model: nn.Module) -> dict:
    """Return what ``rebuild`` needs to know of ``model``; TypeError if it is no network of ``ARCHITECTURES``."""
    kind = type(model).__name__
    if ARCHITECTURES.get(kind) is not type(model):
        raise TypeError(f"model must be one of {', '.join(ARCHITECTURES)}, got {kind}")
    return {"class": kind, **model.architecture}


def rebuild(architecture: dict) -> nn.Module:
    """Return a network of ``architecture``: {"class": a name in ``ARCHITECTURES``, and the arguments of that class}.

    Its weights are whatever torch begins with. Unlike a plain call, this leaves torch's random numbers as they were, so
    that loading a network in the middle of an experiment does not change the experiment.
    """
    widths = dict(architecture)
    with torch.random.fork_rng(devices=[]):
        return ARCHITECTURES[widths.pop("class")](**widths)
