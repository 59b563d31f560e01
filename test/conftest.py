# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import pytest

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.model_builder import build_model
from vidseg_ros.inference.model_file import OPSET


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file whose labels are known: the strongest channel of each pixel.

    Classes red (0), green (1) and blue (2), network size 12x16 (height, width), colour order
    rgb8. Frames made of one-coloured 4x4 blocks keep exact labels when 48x64 or 12x16 large.
    """
    names = ('red', 'green', 'blue')
    card = ModelCard(
        name='tiny',
        network='a 1x1 convolution',
        labels=LabelSet(names=names, colors=((255, 0, 0), (0, 255, 0), (0, 0, 255))),
        input_order='rgb8',
        input_size=(12, 16),
        precision='fp32',
        licence='Apache-2.0',
        recipe='test/conftest.py',
        datasets=(),
        scores=(),
    )
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), 'weight')
    graph = helper.make_graph(
        [helper.make_node('Conv', ['image', 'weight'], ['logits'])],
        'tiny',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['N', 3, 12, 16])],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['N', 3, 12, 16])],
        [weight],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)])
    path = tmp_path_factory.mktemp('models') / 'tiny.onnx'
    onnx.save(build_model(network, card, mean=(0, 0, 0), std=(10, 10, 10)), path)
    return path
