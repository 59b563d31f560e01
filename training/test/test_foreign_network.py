# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A network exported by torch the way its users do it, wrapped as a model file."""

from contextlib import closing
from pathlib import Path
import warnings

import numpy as np
import pytest
import torch
from torch import nn
import torch.nn.functional as F

from vidseg_ros.core.labels import CAMVID
from vidseg_ros.evaluation.wrapping import wrap_model
from vidseg_ros.inference.agreement import street_frames
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.wrap_settings import WrapSettings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = (96, 160)


class Foreign(nn.Module):
    """Strided convolutions, context of the whole image, logits enlarged to its size."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.context = nn.Conv2d(16, 16, 1)
        self.head = nn.Conv2d(32, len(CAMVID), 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = F.relu(self.norm(self.stem(image)))
        context = F.relu(self.context(F.adaptive_avg_pool2d(features, 1)))
        both = torch.cat([features, context.expand_as(features)], dim=1)
        size = (image.shape[2], image.shape[3])
        return F.interpolate(self.head(both), size=size, mode='bilinear', align_corners=False)


@pytest.mark.parametrize('opset', [17, 18])
def test_a_network_of_torch_becomes_a_model_file(tmp_path: Path, opset: int) -> None:
    torch.manual_seed(0)
    network = Foreign().eval()
    source, target = tmp_path / 'theirs.onnx', tmp_path / 'mine.onnx'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch's exporter warns of its own deprecated calls
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, *SIZE),),
            source,
            opset_version=opset,
            dynamo=True,
            external_data=True,
            verbose=False,
        )
    settings = WrapSettings(classes=CAMVID, mean=MEAN, std=STD)
    frames = street_frames('rgb8')
    agreement = wrap_model(source, target, settings, frames)
    assert min(agreement.pixels, agreement.miou) > 0.999
    assert len(agreement.classes) > 3
    assert read_model(target).card.input_size == SIZE
    frame = np.ascontiguousarray(frames[0][:96, :160])
    pixels = torch.from_numpy((frame / 255 - MEAN) / STD).permute(2, 0, 1).float()
    with torch.inference_mode():
        expected = network(pixels[None]).argmax(1)[0].numpy()
    with closing(OnnxRuntimeEngine(target)) as engine:
        labels = engine.infer([frame, frame]).labels
    assert (labels == expected).mean() > 0.999
