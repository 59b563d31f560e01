# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Motion between video frames: for every pixel of a target frame, where it is in the one before.

In the manner of SDCNet2D (Zhu et al., CVPR 2019, arXiv 1812.01593; after Reda et al., ECCV 2018):
a U-Net turns frames and a first guess of the motion into one vector per pixel, and bilinear
sampling along the vectors turns the source frame into the target. *Reconstruction* sees the target
frame, *prediction* does not. Differences, so that it trains on a CPU in minutes:

* 0.24 instead of 9.7 million parameters; strides 2 to 32 instead of 2 to 64.
* The network sees frames that are already carried along the guess, and adds to the guess.
* In reconstruction it is also told the step of Lucas and Kanade (IJCAI 1981) from there, at two
  scales: what a linear model of the pictures would do next. It learns when to believe that.

Shapes: B batch, C channels, H and W height and width in pixels.
"""

from itertools import pairwise
from typing import Final, Literal, TypeAlias

import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_training.warping import backward_warp

MotionMode: TypeAlias = Literal['reconstruction', 'prediction']

_STRIDE: Final = 32
"""Inputs are padded to multiples of this, px."""

_SLOPE: Final = 0.1
"""Of the leaky ReLUs, as in SDCNet2D."""

_GUESS_SCALE: Final = 0.05
_DIFFERENCE_SCALE: Final = 8.0
"""Bring vectors of tens of px and differences of a few grey levels to about the same range."""

_MOST_STEP_PX: Final = 2.0
"""The step of Lucas and Kanade is only to be believed near its start."""

_DAMPING: Final = 1e-4
"""Added to the diagonal of the structure tensor, for pictures on a scale of 0 to 1."""


def lucas_kanade_step(target: Tensor, warped: Tensor) -> Tensor:
    """Solve for the small motion between two pictures (Lucas and Kanade, IJCAI 1981).

    Args:
        target: (B, 1, H, W) float, 0 to 1.
        warped: The same shape; what is at p in ``target`` is near p here.

    Returns:
        (B, 2, H, W) float px: least squares over windows of 5x5, at most 2 px along each axis.
    """
    padded = F.pad(warped, (1, 1, 1, 1), mode='replicate')
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    change = target - warped
    products = torch.cat((dx * dx, dx * dy, dy * dy, dx * change, dy * change), 1)
    sums = F.avg_pool2d(products, 5, 1, 2, count_include_pad=False)
    xx, xy, yy, x_change, y_change = torch.split(sums, 1, 1)  # B 1 H W each
    xx, yy = xx + _DAMPING, yy + _DAMPING
    determinant = xx * yy - xy * xy
    step = torch.cat((yy * x_change - xy * y_change, xx * y_change - xy * x_change), 1)
    return torch.clamp(step / determinant, -_MOST_STEP_PX, _MOST_STEP_PX)


def _grey(images: Tensor) -> Tensor:
    """Return the luma of RGB images (B, 3, H, W) as (B, 1, H, W) (ITU-R BT.601)."""
    weights = images.new_tensor((0.299, 0.587, 0.114)).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


@torch.no_grad()
def _steps(target: Tensor, warped: Tensor) -> Tensor:
    """Return the steps of Lucas and Kanade at full and half resolution: (B, 4, H, W) float px."""
    fine = _grey(target), _grey(warped)
    coarse = [F.avg_pool2d(image, 2, ceil_mode=True) for image in fine]
    height, width = target.shape[-2:]
    enlarged = F.interpolate(lucas_kanade_step(*coarse), scale_factor=2, mode='bilinear')
    return torch.cat((lucas_kanade_step(*fine), 2 * enlarged[..., :height, :width]), 1)


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.LeakyReLU(_SLOPE, inplace=True)
    )


class MotionNet(nn.Module):
    """A U-Net that improves a first guess of the motion from a target frame to its source.

    Attributes:
        mode: Whether it sees the target frame.
    """

    def __init__(self, mode: MotionMode = 'reconstruction', width: int = 16) -> None:
        """Build the network; ``width`` channels at half resolution."""
        super().__init__()
        self.mode = mode
        inputs = 3 + 3 + 2 + (3 + 4 if mode == 'reconstruction' else 0)
        channels = (width, width * 2, width * 2, width * 3, width * 4)  # strides 2 to 32
        pairs = list(pairwise(channels))
        self.stem = _conv(4 * inputs, width)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(fine, coarse, 2), _conv(coarse, coarse)) for fine, coarse in pairs
        )
        self.up = nn.ModuleList(_conv(coarse + fine, fine) for fine, coarse in pairs)
        self.head = nn.Conv2d(width, 4 * 2, 3, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.head.weight, std=1e-3)  # starts at the guess

    def forward(
        self, previous: Tensor, source: Tensor, guess: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Compute where every pixel of the target frame is found in the source frame.

        Args:
            previous: (B, 3, H, W) float RGB, 0 to 1: the frame beyond the source, as far from it
                as the source from the target; where there is none, the source again.
            source: The frame that is to be carried to the target, the same shape.
            guess: (B, 2, H, W) float px: of the vectors, for instance optical flow from target to
                source or, in prediction, from source to previous; zero for none.
            target: The same shape as ``source``; needed in reconstruction, unused in prediction.

        Returns:
            (B, 2, H, W) float px, x and y.
        """
        warped, earlier = backward_warp(source, guess), backward_warp(previous, 2 * guess)
        brightness = warped.mean((1, 2, 3), keepdim=True)
        if self.mode == 'prediction':
            views = [warped - brightness, _DIFFERENCE_SCALE * (warped - earlier)]
        else:
            assert target is not None
            views = [
                target - brightness,
                _DIFFERENCE_SCALE * (target - warped),
                _DIFFERENCE_SCALE / 2 * (target - earlier),
                _steps(target, warped),
            ]
        x = torch.cat((*views, _GUESS_SCALE * guess), 1)
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % _STRIDE, 0, -height % _STRIDE), mode='replicate')
        return guess + self._correction(x)[..., :height, :width]

    def _correction(self, x: Tensor) -> Tensor:
        """Turn inputs (B, C, H, W) into vectors (B, 2, H, W) px; multiples of 32 px."""
        skips = [self.stem(F.pixel_unshuffle(x, 2))]  # stride 2
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for stage in reversed(self.up):
            x = F.interpolate(x, scale_factor=2, mode='bilinear')
            x = stage(torch.cat((x, skips.pop()), 1))
        return F.pixel_shuffle(self.head(x), 2)
