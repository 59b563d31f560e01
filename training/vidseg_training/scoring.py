# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Predictions of a network and their scores on a labelled set.

A prediction is what the model file makes of an image: the image is brought to the network's size,
the classes are chosen there, and the label map is enlarged to the image by nearest pixels. Several
scales, mirror images and sliding windows refine it at a multiple of its cost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.metrics import Confusion
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.networks import normalise
from vidseg_training.processes import process_count, process_index, sum_over_processes

OVERLAP = 1 / 3
"""Least share of a sliding window that its neighbour covers as well (Zhu et al., CVPR 2019)."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How an image is predicted; the default is what the model file does."""

    scales: tuple[float, ...] = (1.0,)
    """Factors of the network's size at which the image is looked at."""
    flip: bool = False
    """Whether the mirror image is looked at as well."""
    window: tuple[int, int] | None = None
    """Height and width in pixels of a window that slides over the image; None: all at once."""
    stride: int = 32
    """Sides of scaled images are multiples of it, pixels."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If there is no scale, or a number is not above zero.
        """
        if not self.scales or min(*self.scales, *(self.window or (1,))) <= 0:
            msg = f'scales and window must be above zero, not {self.scales} and {self.window}'
            raise ParameterError(msg)

    def __str__(self) -> str:
        """Describe the protocol in words."""
        scales = ' '.join(f'{scale:g}' for scale in self.scales)
        parts = [
            'one scale' if self.scales == (1.0,) else f'scales {scales}',
            'flip' if self.flip else 'no flip',
        ]
        if self.window is not None:
            parts.append(f'sliding window {self.window[1]}x{self.window[0]}')
        return ', '.join(parts)


DEPLOYED = Protocol()


def window_starts(side: int, window: int) -> list[int]:
    """Return where windows start, evenly spread, on a side of an image.

    Args:
        side: Length of the side, pixels.
        window: Length of the window, pixels.
    """
    if side <= window:
        return [0]
    count = ceil((side - window) / (window * (1 - OVERLAP))) + 1
    return [round(number * (side - window) / (count - 1)) for number in range(count)]


def _slide(network: Callable[[Tensor], Tensor], batch: Tensor, window: tuple[int, int]) -> Tensor:
    """Return the mean of the logits of all windows over each pixel; arguments as below."""
    height, width = batch.shape[-2:]
    total = count = None
    for top in window_starts(height, window[0]):
        for left in window_starts(width, window[1]):
            part = batch[..., top : top + window[0], left : left + window[1]]
            logits = network(part)
            if total is None or count is None:
                total = logits.new_zeros(len(batch), logits.shape[1], height, width)
                count = logits.new_zeros(1, 1, height, width)
            total[..., top : top + window[0], left : left + window[1]] += logits
            count[..., top : top + window[0], left : left + window[1]] += 1
    assert total is not None
    assert count is not None
    return total / count


def _views(
    image: NDArray[np.uint8], size: tuple[int, int], protocol: Protocol
) -> Iterator[Tensor]:
    """Yield the image at every scale, (1, 3, h, w) uint8, h and w multiples of the stride."""
    stride = protocol.stride
    for scale in protocol.scales:
        wanted = tuple(max(stride, round(s * scale / stride) * stride) for s in size)
        wanted = size if scale == 1 else wanted
        view = image
        if image.shape[:2] != wanted:
            resized = cv2.resize(image, wanted[::-1], interpolation=cv2.INTER_LINEAR)
            view = resized.astype(np.uint8, copy=False)
        yield torch.tensor(view).permute(2, 0, 1)[None]  # the view may be read-only


def on_fastest_device(network: nn.Module) -> nn.Module:
    """Return the network, moved to the GPU where there is one."""
    return network.to('cuda' if torch.cuda.is_available() else 'cpu')


def predict(
    network: nn.Module,
    image: NDArray[np.uint8],
    size: tuple[int, int],
    protocol: Protocol = DEPLOYED,
) -> NDArray[np.uint8]:
    """Run a network on one frame, as the contract of the model file words it.

    Args:
        network: Normalised (B, 3, H, W) in, logits out; in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        size: Height and width at which the network works.
        protocol: How often and how the image is looked at; logits are averaged.

    Returns:
        (h, w) uint8 ids at network size.
    """
    device = next(network.parameters()).device

    def logits_of(batch: Tensor) -> Tensor:
        logits = network(normalise(batch))
        return F.interpolate(logits, batch.shape[-2:], mode='bilinear', align_corners=False)

    total: Tensor | float = 0.0
    with torch.inference_mode():
        for view in _views(image, size, protocol):
            for mirrored in (False, True)[: 1 + protocol.flip]:
                batch = view.to(device)
                batch = batch.flip(-1) if mirrored else batch
                if protocol.window is None:
                    logits = logits_of(batch)
                else:
                    logits = _slide(logits_of, batch, protocol.window)
                logits = logits.flip(-1) if mirrored else logits
                if logits.shape[-2:] != size:
                    logits = F.interpolate(logits, size, mode='bilinear', align_corners=False)
                total = total + logits
    assert isinstance(total, Tensor)
    labels: NDArray[np.uint8] = total.argmax(1)[0].cpu().numpy().astype(np.uint8)
    return labels


def score_predictions(
    predictor: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    images: LabelledImages,
    indices: range | None = None,
) -> Confusion:
    """Count the pixels of a labelled set: label maps enlarged to the image, nearest.

    Args:
        predictor: (H, W, 3) uint8 RGB in, (h, w) uint8 ids out.
        images: Labelled set.
        indices: Which of its images; None: all.
    """
    confusion = Confusion(len(images.label_set))
    for index in range(len(images)) if indices is None else indices:
        image, truth = images[index]
        confusion.add(truth, resize_labels(predictor(image), truth.shape))
    return confusion


def score(
    network: nn.Module,
    images: LabelledImages,
    size: tuple[int, int],
    protocol: Protocol = DEPLOYED,
) -> Confusion:
    """Run the network over every image and count pixels; processes share the work.

    Args:
        network: Normalised (B, 3, H, W) in, logits out; left in evaluation mode.
        images: Labelled set.
        size: Height and width in pixels to which images are brought for the network.
        protocol: How an image is predicted.

    Returns:
        The confusion matrix of the set.
    """
    network.eval()
    part = range(process_index(), len(images), process_count())
    confusion = score_predictions(
        lambda image: predict(network, image, size, protocol), images, part
    )
    matrix = torch.from_numpy(confusion.matrix).to(next(network.parameters()).device)
    confusion.matrix = sum_over_processes(matrix).cpu().numpy()
    return confusion
