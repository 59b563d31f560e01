# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 (Sandler et al., CVPR 2018) with torchvision's parameter names.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

from typing import ClassVar, Final

from torch import nn, Tensor

from vidseg_training.networks.layers import initialise

_STAGES: Final = (
    # expansion, channels, blocks, stride, dilation
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),
    (6, 32, 3, 2, 1),
    (6, 64, 4, 1, 2),
    (6, 96, 3, 1, 2),
    (6, 160, 3, 1, 4),
    (6, 320, 1, 1, 4),
)
"""Table 2 of the paper; where it strides beyond 8, dilation takes the place."""

_MIDDLE: Final = 13
"""Last of the ``features`` before the stage of 160 channels."""


def _conv_norm(
    in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1, dilation: int = 0
) -> nn.Sequential:
    """Build convolution + batch norm + ReLU6; with a ``dilation`` it is depthwise."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            kernel // 2 * max(dilation, 1),
            dilation=max(dilation, 1),
            groups=in_channels if dilation else 1,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Few channels in and out, many in a depthwise 3x3 convolution between."""

    def __init__(
        self, in_channels: int, channels: int, expansion: int, *, stride: int, dilation: int
    ) -> None:
        """Build the block; it has a shortcut where size and channels stay."""
        super().__init__()
        wide = in_channels * expansion
        layers: list[nn.Module] = [_conv_norm(in_channels, wide)] if expansion > 1 else []
        layers += [
            _conv_norm(wide, wide, kernel=3, stride=stride, dilation=dilation),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
        self.conv = nn.Sequential(*layers)
        self._shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return x + out if self._shortcut else out


class MobileNetV2(nn.Module):
    """MobileNetV2 without its last 1x1 convolution and classifier, at stride 8.

    Attributes:
        channels: Of the last but two and of the last stage.
    """

    classifier_names: ClassVar[tuple[str, ...]] = ('features.18.', 'classifier.')
    """How parameters of published weights start that are left out here."""

    def __init__(self) -> None:
        """Build the network."""
        super().__init__()
        width = 32
        layers: list[nn.Module] = [_conv_norm(3, width, kernel=3, stride=2)]
        before = 1
        for expansion, channels, blocks, stride, dilation in _STAGES:
            for index in range(blocks):
                layers.append(
                    InvertedResidual(
                        width,
                        channels,
                        expansion,
                        stride=stride if index == 0 else 1,
                        dilation=before if index == 0 else dilation,
                    )
                )
                width = channels
            before = dilation
        self.features = nn.Sequential(*layers)
        self.channels = (96, 320)
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 3, H, W) to two features, (B, C, H/8, W/8) each; see ``channels``."""
        middle = self.features[: _MIDDLE + 1](images)
        return middle, self.features[_MIDDLE + 1 :](middle)
