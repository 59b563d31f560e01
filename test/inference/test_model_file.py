# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
import json
from pathlib import Path

import onnx
from onnx import helper, TensorProto
import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.inference.model_builder import build_model
from vidseg_ros.inference.model_file import read_model


def _save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / 'changed.onnx'
    onnx.save(model, path)
    return path


def test_a_model_file_is_described(tiny_model: Path) -> None:
    model = read_model(tiny_model)
    assert model.card.name == 'tiny'
    assert model.parameters == 9
    assert model.opset == 17
    assert [(t.name, t.dtype, t.shape) for t in model.inputs] == [
        ('frames', 'uint8', ('N', 'H', 'W', '3'))
    ]
    assert [(t.name, t.dtype, t.shape) for t in model.outputs] == [
        ('labels', 'uint8', ('N', '12', '16')),
        ('confidence', 'uint8', ('N', '12', '16')),
    ]
    assert model.has_confidence


def test_the_first_node_casts_because_tensorrt_takes_uint8_at_the_boundary_only(
    tiny_model: Path,
) -> None:
    graph = onnx.load(tiny_model).graph
    assert [node.op_type for node in graph.node][:2] == ['Cast', 'Transpose']
    assert 'antialias' not in {a.name for node in graph.node for a in node.attribute}


def test_the_confidence_can_be_left_out(tiny_model: Path, tmp_path: Path) -> None:
    card = read_model(tiny_model).card
    node = helper.make_node('Identity', ['image'], ['logits'])
    shape = ['N', 3, 12, 16]
    graph = helper.make_graph(
        [node],
        'identity',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, shape)],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model = build_model(network, card, mean=(0, 0, 0), std=(1, 1, 1), confidence=False)
    assert not read_model(_save(model, tmp_path)).has_confidence


def test_another_operator_set_is_refused_by_the_builder(tiny_model: Path) -> None:
    network = onnx.load(tiny_model)
    network.opset_import[0].version = 18
    with pytest.raises(ModelError, match='operator sets'):
        build_model(network, read_model(tiny_model).card, mean=(0, 0, 0), std=(1, 1, 1))


def test_a_network_with_two_outputs_is_refused_by_the_builder(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match='1 inputs and 2 outputs'):
        build_model(
            onnx.load(tiny_model), read_model(tiny_model).card, mean=(0, 0, 0), std=(1, 1, 1)
        )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'no model file .*nothing\.onnx'):
        read_model(tmp_path / 'nothing.onnx')


@pytest.mark.parametrize('kept', [0, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiny_model: Path, tmp_path: Path, kept: float) -> None:
    content = tiny_model.read_bytes()
    path = tmp_path / 'short.onnx'
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(ModelError, match=r'short\.onnx'):
        read_model(path)


def test_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'garbage.onnx'
    path.write_bytes(b'this is a text file')
    with pytest.raises(ModelError, match=r'garbage\.onnx is not a complete ONNX file'):
        read_model(path)


def _without_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def _other_schema(model: onnx.ModelProto) -> None:
    card = json.loads(model.metadata_props[0].value)
    card['schema'] = 99
    helper.set_model_props(model, {METADATA_KEY: json.dumps(card)})


def _other_operator_set(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 16


def _float_output(model: onnx.ModelProto) -> None:
    model.graph.node[-1].attribute[0].i = TensorProto.FLOAT
    model.graph.output[1].type.tensor_type.elem_type = TensorProto.FLOAT


def _other_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = 'pictures'
    model.graph.input[0].name = 'pictures'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (_without_card, 'not written for vidseg'),
        (_other_schema, 'schema 99'),
        (_other_operator_set, 'operator set 16'),
        (_float_output, 'the outputs must be'),
        (_other_input, 'the input must be'),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused_with_its_path(
    tiny_model: Path, tmp_path: Path, change: Callable[[onnx.ModelProto], None], message: str
) -> None:
    model = onnx.load(tiny_model)
    change(model)
    with pytest.raises(ModelError, match=rf'changed\.onnx.*{message}'):
        read_model(_save(model, tmp_path))
