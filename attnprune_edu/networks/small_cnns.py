"""Small convolutional networks for other things than photographs, their widths free: spoken digits and faces."""

from torch import Tensor, nn

from ..data.images import ImageData


class DigitCNN(nn.Module):
    """A one-dimensional CNN that slides over the time of a log-mel picture; the mel bands are its input channels.

    ``conv 5 → ReLU → conv 5 → ReLU → conv 3 → ReLU → mean over time → linear``; the second and the third convolution take
    every other position. With the default widths, for 40 mel bands and ten digits, it has 44,570 parameters. It takes
    recordings of any length.

    ``conv_channels``: output channels of the three convolutions. ``bands``: mel bands. Raises ValueError if there are not
    three, or a width is below 1.
    """

    def __init__(self, conv_channels: tuple[int, int, int] = (48, 64, 96), bands: int = 40, num_classes: int = 10):
        super().__init__()
        conv_channels = _checked(conv_channels, 3, bands=bands, num_classes=num_classes)
        first, second, third = conv_channels
        self.conv1 = nn.Conv1d(bands, first, kernel_size=5, padding=2)
        self.conv2 = nn.Conv1d(first, second, kernel_size=5, padding=2, stride=2)
        self.conv3 = nn.Conv1d(second, third, kernel_size=3, padding=1, stride=2)
        self.fc = nn.Linear(third, num_classes)

    @classmethod
    def for_data(cls, data: ImageData) -> "DigitCNN":
        """A network with fresh weights for the mel bands and classes of ``data``; ValueError for pictures in colour."""
        channels, bands, _ = data.image_shape
        if channels != 1:
            raise ValueError(f"data must have one channel, the power in each band, got the image shape {data.image_shape}")
        return cls(bands=bands, num_classes=len(data.class_names))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised log-mel pictures (N, 1, bands, frames), or (N, bands, frames), to class scores (N, num_classes)."""
        x = images.flatten(1, -2)  # (N, bands, frames): from a picture to channels that change with time
        for conv in (self.conv1, self.conv2, self.conv3):
            x = conv(x).relu()
        return self.fc(x.mean(dim=2))

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        return {
            "conv_channels": [self.conv1.out_channels, self.conv2.out_channels, self.conv3.out_channels],
            "bands": self.conv1.in_channels,
            "num_classes": self.fc.out_features,
        }


class FaceNet(nn.Module):
    """A small CNN that tells people apart, and whose next-to-last layer compares people it has never seen.

    Four times ``conv → ReLU → pool`` (the first 5×5, the others 3×3), ``linear → ReLU``, which is the embedding, and
    ``linear``. With the default widths, for grey pictures of 64×64 pixels and 30 people, it has 161,790 parameters.

    ``conv_channels``: output channels of the four convolutions. ``embedding``: numbers by which a face is compared.
    ``image_size``: height and width in pixels, one number if they are equal; at least 16. Raises ValueError if there are not
    four convolutions, a width is below 1, or the pictures are too small for four poolings.
    """

    def __init__(
        self,
        conv_channels: tuple[int, int, int, int] = (16, 32, 64, 64),
        embedding: int = 96,
        in_channels: int = 1,
        num_classes: int = 30,
        image_size: int | tuple[int, int] = 64,
    ):
        super().__init__()
        conv_channels = _checked(conv_channels, 4, embedding=embedding, in_channels=in_channels, num_classes=num_classes)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if min(height, width) < 16:
            raise ValueError(f"image_size must be at least 16 pixels, got {image_size}")
        self.image_size = [height, width]
        first, second, third, fourth = conv_channels
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(second, third, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(third, fourth, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.embedding = nn.Linear(fourth * (height // 16) * (width // 16), embedding)
        self.fc = nn.Linear(embedding, num_classes)

    @classmethod
    def for_data(cls, data: ImageData) -> "FaceNet":
        """A network with fresh weights for the pictures and people of ``data``."""
        channels, *size = data.image_shape
        return cls(in_channels=channels, num_classes=len(data.class_names), image_size=tuple(size))

    def embed(self, images: Tensor) -> Tensor:
        """Map normalised pictures (N, in_channels, height, width) to (N, embedding), alike for pictures of one person."""
        x = images
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = self.pool(conv(x).relu())
        return self.embedding(x.flatten(1)).relu()

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised pictures (N, in_channels, height, width) to a score for each known person (N, num_classes)."""
        return self.fc(self.embed(images))

    @property
    def architecture(self) -> dict:
        """The arguments with which the class makes such a network, read from its layers."""
        return {
            "conv_channels": [conv.out_channels for conv in (self.conv1, self.conv2, self.conv3, self.conv4)],
            "embedding": self.embedding.out_features,
            "in_channels": self.conv1.in_channels,
            "num_classes": self.fc.out_features,
            "image_size": self.image_size,
        }


def _checked(conv_channels, count: int, **widths: int) -> tuple[int, ...]:
    """``conv_channels`` as a tuple, once it holds ``count`` numbers and everything is at least 1 wide."""
    conv_channels = tuple(conv_channels)
    if len(conv_channels) != count:
        raise ValueError(f"conv_channels must be {count} numbers, got {conv_channels}")
    if min(*conv_channels, *widths.values()) < 1:
        given = ", ".join(f"{name}={width}" for name, width in widths.items())
        raise ValueError(f"every width must be at least 1, got conv_channels={conv_channels}, {given}")
    return conv_channels
