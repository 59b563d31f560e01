# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from contextlib import closing
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, TensorProto
import pytest

from vidseg_ros.core.errors import ModelError, OutputError
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.agreement import Sample, street_frames
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.precision import convert_to_fp16, to_half

STREET = find_model('street')


def blocks(*colors: tuple[int, int, int]) -> list[Sample]:
    """Return one-coloured frames (12, 16, 3)."""
    return [Sample(image=np.full((12, 16, 3), color, np.uint8)) for color in colors]


def edited(source: Path, target: Path, tensors: dict[str, Sequence[float]]) -> Path:
    """Write a copy of a model file with other weights, by the end of their names."""
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        for end, values in tensors.items():
            if tensor.name.endswith(end):
                array = np.array(values, np.float32).reshape(tuple(tensor.dims))
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, target)
    return target


def test_only_the_network_becomes_half_precision(tmp_path: Path) -> None:
    before, target = onnx.load(STREET), tmp_path / 'new' / 'street.onnx'
    samples = [Sample(image=image) for image in street_frames('rgb8')]
    agreement = convert_to_fp16(STREET, target, samples)
    assert agreement.frames == 8
    assert agreement.pixels > 0.999
    after = onnx.load(target)
    scales = {node.input[2] for node in after.graph.node if node.op_type == 'Resize'}
    inside, around = set(), set()
    for tensor in after.graph.initializer:
        if tensor.name not in scales:  # ONNX wants them in float32
            (around if tensor.name.startswith('vidseg.') else inside).add(tensor.data_type)
    assert inside == {TensorProto.FLOAT16}
    assert around == {TensorProto.FLOAT, TensorProto.INT64}
    added = [node for node in after.graph.node if node.name.startswith('graph_')]
    assert [node.op_type for node in added] == ['Cast', 'Cast']
    assert len(after.graph.node) == len(before.graph.node) + 2
    assert target.stat().st_size < 0.55 * STREET.stat().st_size
    assert [path.name for path in target.parent.iterdir()] == ['street.onnx']


def test_weights_are_those_of_the_source_rounded(tiny_model: Path, tmp_path: Path) -> None:
    third = edited(tiny_model, tmp_path / 'third.onnx', {'weight': [1 / 3, 0, 0] * 3})
    half = to_half(onnx.load(third))
    [weight] = [tensor for tensor in half.graph.initializer if tensor.name == 'network/weight']
    expected = [0.333251953125, 0, 0] * 3  # 1365 / 4096 is the float16 next to 1/3
    assert numpy_helper.to_array(weight).ravel().tolist() == expected


def test_the_card_says_where_it_comes_from(tmp_path: Path) -> None:
    target = tmp_path / 'half.onnx'
    convert_to_fp16(STREET, target, [Sample(image=street_frames('rgb8')[0])])
    before, model = read_model(STREET), read_model(target)
    assert model.card.precision == 'fp16'
    digest = hashlib.sha256(STREET.read_bytes()).hexdigest()
    added = f'; vidseg convert street.onnx (SHA-256 {digest}) --precision fp16'
    assert model.card.recipe == before.card.recipe + added
    assert [score.value for score in model.card.scores] == [
        score.value for score in before.card.scores
    ]
    assert all(score.protocol.endswith('; of the fp32 file') for score in model.card.scores)
    assert model.inputs == before.inputs
    assert model.outputs == before.outputs
    assert model.parameters == before.parameters


def test_labels_and_confidence_of_batches_stay(tiny_model: Path, tmp_path: Path) -> None:
    target = tmp_path / 'half.onnx'
    samples = blocks((200, 0, 0), (0, 200, 0), (0, 0, 200))
    assert convert_to_fp16(tiny_model, target, samples).pixels == 1.0
    images = [sample.image for sample in samples]
    with (
        closing(OnnxRuntimeEngine(target)) as half,
        closing(OnnxRuntimeEngine(tiny_model)) as full,
    ):
        found, expected = half.infer(images, confidence=True), full.infer(images, confidence=True)
    assert found.labels[:, 0, 0].tolist() == [0, 1, 2]
    assert found.confidence is not None
    assert expected.confidence is not None
    np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_what_is_half_precision_already_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    half = tmp_path / 'half.onnx'
    convert_to_fp16(tiny_model, half, blocks((200, 0, 0)))
    with pytest.raises(ModelError, match='is fp16 already; convert the fp32 file that it was'):
        convert_to_fp16(half, tmp_path / 'again.onnx', blocks((200, 0, 0)))
    assert list(tmp_path.iterdir()) == [half]


def test_a_file_that_disagrees_is_not_kept(tiny_model: Path, tmp_path: Path) -> None:
    # Differences that float16 cannot tell: 20 and 20.004 are both 20.
    near = edited(tiny_model, tmp_path / 'near.onnx', {'weight': [1, 0, 0, 1.0002, 0, 0, 0, 0, 1]})
    target = tmp_path / 'half.onnx'
    target.write_bytes(b'an earlier one')
    with pytest.raises(ModelError, match=r'half\.onnx is not kept: it agrees .* on 0\.00% of'):
        convert_to_fp16(near, target, blocks((200, 0, 0)))
    assert target.read_bytes() == b'an earlier one'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['half.onnx', 'near.onnx']


def test_a_graph_without_our_network_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_model)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [name.replace('network/', 'net/') for name in names]
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace('network/', 'net/')
    other = tmp_path / 'other.onnx'
    onnx.save(model, other)
    message = 'cannot be converted to fp16: its network has 0 inputs and 0 outputs'
    with pytest.raises(ModelError, match=message):
        convert_to_fp16(other, tmp_path / 'half.onnx', blocks((200, 0, 0)))
    assert list(tmp_path.iterdir()) == [other]


def test_where_it_cannot_be_written(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / 'taken').mkdir()
    with pytest.raises(OutputError, match=r'cannot write .*taken: .*; choose another --out'):
        convert_to_fp16(tiny_model, tmp_path / 'taken', blocks((200, 0, 0)))
    with pytest.raises(OutputError, match='would replace the original; choose another --out'):
        convert_to_fp16(tiny_model, tiny_model, blocks((200, 0, 0)))
    with pytest.raises(ModelError, match='no model file absent'):
        convert_to_fp16(Path('absent'), tmp_path / 'half.onnx', blocks((200, 0, 0)))
