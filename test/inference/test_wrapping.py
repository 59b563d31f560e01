# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What an output is, and what the graph around a network is made of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, TensorProto
import onnxruntime
import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.foreign_model import ForeignNetwork, read_network
from vidseg_ros.inference.wrap_settings import WrapSettings
from vidseg_ros.inference.wrapping import OutputForm, precision_of, read_form, wrap

Foreign = Callable[..., Path]
LABELS = LabelSet(names=('red', 'green', 'blue'), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)))
SETTINGS = WrapSettings(classes=LABELS, mean=(0, 0, 0), std=(1, 1, 1))
LOGITS = np.random.default_rng(0).normal(size=(1, 3, 5, 7)).astype(np.float32)
CARD = ModelCard(
    name='wrapped',
    network='theirs',
    labels=LABELS,
    input_order='rgb8',
    input_size=(12, 16),
    precision='fp32',
    licence='',
    recipe='',
    datasets=(),
    scores=(),
)


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@pytest.fixture
def network(foreign: Foreign) -> ForeignNetwork:
    return read_network(foreign(), SETTINGS)


def form(gives: Any, class_axis: int | None, channels: int = 3) -> OutputForm:
    return OutputForm(gives=gives, class_axis=class_axis, channels=channels, size=(5, 7))


@pytest.mark.parametrize(
    ('result', 'expected'),
    [
        (LOGITS, form('logits', 1)),
        (LOGITS.astype(np.float16), form('logits', 1)),
        (LOGITS.transpose(0, 2, 3, 1), form('logits', 3)),
        (softmax(LOGITS), form('probabilities', 1)),
        (softmax(LOGITS).transpose(0, 2, 3, 1), form('probabilities', 3)),
        (softmax(LOGITS).astype(np.float16), form('probabilities', 1)),
        (LOGITS.argmax(axis=1), form('ids', None, 1)),
        (LOGITS.argmax(axis=1).astype(np.float32), form('ids', None, 1)),
        (LOGITS.argmax(axis=1)[:, None].astype(np.int32), form('ids', 1, 1)),
        (LOGITS.argmax(axis=1)[..., None].astype(np.float32), form('ids', 3, 1)),
    ],
)
def test_what_an_output_is_shows(
    network: ForeignNetwork, result: NDArray[Any], expected: OutputForm
) -> None:
    assert read_form(result, network, SETTINGS) == expected
    said = replace(SETTINGS, gives=expected.gives)
    assert read_form(result, network, said) == expected


@pytest.mark.parametrize('layout', ['nchw', 'nhwc'])
def test_with_two_axes_as_long_as_the_classes_the_input_decides(
    network: ForeignNetwork, layout: Any
) -> None:
    square = LOGITS[:, :, :, :3]
    found = read_form(square, replace(network, layout=layout), SETTINGS)
    assert (found.class_axis, found.size) == ((1, (5, 3)) if layout == 'nchw' else (3, (3, 5)))


@pytest.mark.parametrize(
    ('result', 'gives', 'message'),
    [
        (LOGITS[0, 0], None, r'result float32 \(5, 7\) must be \(N, h, w\) or have four axes'),
        (LOGITS[:, :2], None, r'\(1, 2, 5, 7\) has no axis of 3 classes, as many as .* names'),
        (LOGITS[:, :1], None, 'holds no whole numbers: a single channel must be class ids'),
        (LOGITS.astype(np.int64), None, 'are whole numbers, but have several channels'),
        (LOGITS, 'ids', r'has several channels, ids have one; .* \(gives\)'),
        (LOGITS, 'probabilities', 'look like logits, not probabilities'),
        (softmax(LOGITS), 'logits', 'look like probabilities, not logits'),
        (LOGITS.argmax(axis=1), 'logits', 'cannot be logits; it may be ids'),
        (np.full((1, 5, 7), 3), None, 'ids from 3 to 3, but the 3 names are those of 0 to 2'),
        (np.full((1, 5, 7), -1), None, 'ids from -1 to -1'),
        (np.full((1, 5, 7), 255, np.uint8), 'ids', 'ids from 255 to 255'),
        (np.full((1, 5, 7), np.nan, np.float32), 'ids', 'holds no whole numbers'),
    ],
)
def test_an_output_that_does_not_fit(
    network: ForeignNetwork, result: NDArray[Any], gives: Any, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_form(result, network, replace(SETTINGS, gives=gives))
    assert str(caught.value).startswith(f'{network.path}: output result')


def operators(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


def test_what_only_another_output_needs_is_left_out(foreign: Foreign) -> None:
    settings = replace(SETTINGS, output='result')
    network = read_network(foreign(extra=True), settings)
    logits = OutputForm(gives='logits', class_axis=1, channels=3, size=(12, 16))
    model = wrap(network, logits, settings, CARD, frame_by_frame=False)
    assert 'GlobalMaxPool' in operators(network.model.graph)
    assert 'GlobalMaxPool' not in operators(model.graph)
    assert operators(model.graph)[0] == 'Cast'


def test_frame_by_frame_keeps_batches_apart(foreign: Foreign) -> None:
    network = read_network(foreign(batch=1, baked=True), SETTINGS)
    logits = OutputForm(gives='logits', class_axis=1, channels=3, size=(12, 16))
    model = wrap(network, logits, SETTINGS, CARD, frame_by_frame=True)
    assert 'Scan' in operators(model.graph)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = np.random.default_rng(1).integers(0, 256, (3, 12, 16, 3), np.uint8)
    (labels,) = session.run(['labels'], {'frames': images})
    np.testing.assert_array_equal(labels, images.argmax(axis=-1))


@pytest.mark.parametrize('frame_by_frame', [False, True])
def test_branches_that_use_weights_outside_stay_whole(
    foreign: Foreign, *, frame_by_frame: bool
) -> None:
    path = foreign(batch=1)
    model = onnx.load(path)
    branches = {
        f'{name}_branch': helper.make_graph(
            [helper.make_node('Conv', ['pixels', 'weight'], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name in ('then', 'else')
    }
    always = onnx.numpy_helper.from_array(np.array(True), 'always')  # noqa: FBT003 (a constant)
    model.graph.initializer.append(always)
    del model.graph.node[:]
    model.graph.node.append(helper.make_node('If', ['always'], ['result'], **branches))
    onnx.save(model, path)
    network = read_network(path, SETTINGS)
    logits = OutputForm(gives='logits', class_axis=1, channels=3, size=(12, 16))
    wrapped = wrap(network, logits, SETTINGS, CARD, frame_by_frame=frame_by_frame)
    session = onnxruntime.InferenceSession(wrapped.SerializeToString())
    images = np.random.default_rng(1).integers(0, 256, (2, 12, 16, 3), np.uint8)
    (labels,) = session.run(['labels'], {'frames': images})
    np.testing.assert_array_equal(labels, images.argmax(axis=-1))


def test_a_graph_that_is_not_valid_is_a_model_error(network: ForeignNetwork) -> None:
    wrong = OutputForm(gives='logits', class_axis=None, channels=3, size=(12, 16))
    with pytest.raises(ModelError, match=r'foreign\.onnx cannot be wrapped: ') as caught:
        wrap(network, wrong, SETTINGS, CARD, frame_by_frame=False)
    assert '\n' not in str(caught.value)


def test_the_precision_is_that_of_weights_and_nodes(foreign: Foreign) -> None:
    assert precision_of(onnx.load(foreign())) == 'fp32'
    half = onnx.load(foreign(half=True))
    assert precision_of(half) == 'fp16'
    half.graph.node.append(helper.make_node('QuantizeLinear', ['a', 'b'], ['c']))
    assert precision_of(half) == 'int8'
