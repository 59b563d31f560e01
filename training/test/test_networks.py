# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every network of the table must do."""

from contextlib import closing
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from vidseg_ros.core.labels import CAMVID
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.model_builder import build_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_training.config import TrainConfig
from vidseg_training.export import predict, to_onnx
from vidseg_training.networks import MEAN, NETWORKS, POOLING, STD, STRIDES


def test_every_network_can_be_chosen() -> None:
    assert set(get_args(get_type_hints(TrainConfig)['network'])) == set(NETWORKS)
    assert set(STRIDES) == set(NETWORKS)


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_networks_that_pool_need_two_images(name: str) -> None:
    network, images = NETWORKS[name](3).train(), torch.rand(1, 3, 64, 64)
    if name in POOLING:
        with pytest.raises(ValueError, match='Expected more than 1 value per channel'):
            network(images)
    else:
        assert network(images).shape[:2] == (1, 3)


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_the_model_file_has_the_same_logits(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = (48, 80)  # lines do not halve evenly down to stride 32
    network = NETWORKS[name](len(CAMVID)).eval()
    inner = to_onnx(network, size, tmp_path)
    session = onnxruntime.InferenceSession(inner.SerializeToString())
    images = torch.randn(3, 3, *size)
    with torch.inference_mode():
        expected = network(images).numpy()
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits / scale, expected / scale, atol=1e-4)
    card = ModelCard(
        name='test',
        network=name,
        labels=CAMVID,
        input_order='rgb8',
        input_size=size,
        precision='fp32',
        licence='none',
        recipe='none',
        datasets=(),
        scores=(),
    )
    onnx.save(build_model(inner, card, mean=MEAN, std=STD), tmp_path / 'model.onnx')
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with closing(OnnxRuntimeEngine(tmp_path / 'model.onnx')) as engine:
        labels = engine.infer([frame]).labels[0]
    assert (labels == predict(network, frame, size)).mean() > 0.99
