# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation models of Hugging Face's Transformers, as teachers.

Shapes: B batch, C channels, H and W image height and width in pixels.
"""

from collections.abc import Mapping, Sequence
import hashlib
from typing import Any

from safetensors import SafetensorError
import torch
from torch import nn, Tensor

from vidseg_ros.core.errors import SourceError
from vidseg_training.networks import MEAN, STD


class HuggingFaceNetwork(nn.Module):
    """A model that takes images as all networks here do, and gives logits.

    Attributes:
        names: Name of each class.
        checksum: SHA-256 of the weights and of what is done to the colours, hexadecimal.
    """

    _scale: Tensor
    _offset: Tensor

    def __init__(
        self, model: nn.Module, names: Sequence[str], preprocessing: Mapping[str, Any]
    ) -> None:
        """Wrap a model.

        Args:
            model: Called with ``pixel_values``, answers with ``logits``.
            names: Name of each class.
            preprocessing: How the model wants its images, in the words of Transformers' image
                processors: ``do_rescale``, ``rescale_factor``, ``do_normalize``, ``image_mean``,
                ``image_std``, ``do_flip_channel_order``. Their resizing is not done.
        """
        super().__init__()
        self.names, self._model = tuple(names), model
        factor = preprocessing.get('rescale_factor', 1 / 255)
        factor = factor if preprocessing.get('do_rescale', True) else 1
        mean, std = torch.zeros(3), torch.ones(3)
        if preprocessing.get('do_normalize', True):
            mean = torch.tensor(preprocessing['image_mean'])
            std = torch.tensor(preprocessing['image_std'])
        self._bgr = bool(preprocessing.get('do_flip_channel_order', False))
        scale, offset = torch.tensor(STD) * factor, torch.tensor(MEAN) * factor
        self.register_buffer('_scale', (scale / std).view(3, 1, 1))
        self.register_buffer('_offset', ((offset - mean) / std).view(3, 1, 1))
        self.checksum = _checksum(self, 'bgr' if self._bgr else 'rgb')

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits.

        Args:
            images: (B, 3, H, W) float, normalised as `vidseg_training.networks.normalise` does;
                of a size that the model takes.

        Returns:
            (B, C, h, w) float logits, at the model's own resolution.
        """
        pixels = images * self._scale + self._offset
        logits: Tensor = self._model(pixel_values=pixels.flip(1) if self._bgr else pixels).logits
        return logits


def load_hugging_face(name_or_folder: str) -> HuggingFaceNetwork:
    """Open a semantic segmentation model from a folder or from the Hugging Face hub.

    Any model that Transformers opens for semantic segmentation will do (SegFormer, UPerNet, DPT,
    BEiT, …), but one that takes images of a single size has to get that size. No code that comes
    with a model is run, neither its own Python nor pickled weights: they must be safetensors.

    Args:
        name_or_folder: Folder with ``config.json``, weights and ``preprocessor_config.json``, or a
            name on the hub such as ``nvidia/segformer-b0-finetuned-cityscapes-1024-1024``.

    Raises:
        SourceError: If Transformers is not installed, or the model is not there or of another
            kind.
    """
    try:
        from transformers import (  # noqa: PLC0415  # an extra, and slow to import
            AutoModelForSemanticSegmentation,
            ImageProcessingMixin,
        )
    except ImportError as error:
        msg = (
            f'{name_or_folder}: a model of Hugging Face needs Transformers ({error}); '
            "pip install 'vidseg-training[huggingface]'"
        )
        raise SourceError(msg) from error
    try:
        model = AutoModelForSemanticSegmentation.from_pretrained(
            name_or_folder, trust_remote_code=False, use_safetensors=True
        )
        preprocessing, _ = ImageProcessingMixin.get_image_processor_dict(name_or_folder)
        names = [model.config.id2label[index] for index in range(model.config.num_labels)]
        return HuggingFaceNetwork(model.eval(), names, preprocessing)
    except (OSError, ValueError, LookupError, SafetensorError) as error:
        msg = (
            f'cannot open {name_or_folder} as a semantic segmentation model of Hugging Face: '
            f'{error}; give a folder that save_pretrained wrote, of model and image processor, '
            'or a name on the hub'
        )
        raise SourceError(msg) from error


def _checksum(model: nn.Module, order: str) -> str:
    digest = hashlib.sha256(order.encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
