# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import helper, TensorProto
import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import CAMVID
from vidseg_ros.inference.foreign_model import read_network
from vidseg_ros.inference.wrap_settings import WrapSettings

Foreign = Callable[..., Path]


def settings(**more: Any) -> WrapSettings:
    return WrapSettings(classes=CAMVID, mean=(0, 0, 0), std=(1, 1, 1), **more)


def refused(path: Path, message: str, **more: Any) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_network(path, settings(**more))
    assert path.name in str(caught.value)
    assert '\n' not in str(caught.value)


def changed(path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('layout', ['nchw', 'nhwc'])
def test_layout_size_and_batch_are_read(foreign: Foreign, layout: str) -> None:
    network = read_network(foreign(layout=layout, batch=1, size=(12, 16)), settings())
    assert (network.image, network.output) == ('pixels', 'result')
    assert (network.layout, network.size) == (layout, (12, 16))
    assert not network.half
    free = read_network(
        foreign(layout=layout, size=('H', 'W'), half=True), settings(size=(360, 480))
    )
    assert (free.layout, free.size) == (layout, (360, 480))
    assert free.half


def test_one_free_side_is_filled_in(foreign: Foreign) -> None:
    path = foreign(size=(12, 'W'))
    assert read_network(path, settings(size=(12, 99))).size == (12, 99)
    refused(path, 'leaves its size free', size=None)
    refused(path, r'is fixed, not 13 x 99; leave size out', size=(13, 99))


def test_layouts_that_could_be_both(foreign: Foreign) -> None:
    path = foreign(size=(12, 3))
    refused(path, r'\(N, 3, 12, 3\) may be nchw or nhwc; say which \(layout\)')
    assert read_network(path, settings(layout='nchw')).size == (12, 3)
    assert read_network(path, settings(layout='nhwc')).size == (3, 12)
    refused(foreign(), 'has no axis of 3 channels where nhwc', layout='nhwc')


def test_no_channels_at_all(foreign: Foreign) -> None:
    def grey(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1

    refused(changed(foreign(), grey), r'\(N, 1, 12, 16\) has no axis of 3 channels')


def test_a_larger_fixed_batch(foreign: Foreign) -> None:
    refused(foreign(batch=4), 'takes 4 images at a time; export it with one, or any number')


def test_inputs_of_another_kind(foreign: Foreign) -> None:
    def whole(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8

    def flat(model: onnx.ModelProto) -> None:
        del model.graph.input[0].type.tensor_type.shape.dim[3:]

    def second(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info('depth', TensorProto.FLOAT, [1]))

    refused(changed(foreign(), whole), r'must be float32 or float16 .*found pixels: uint8 \(N, 3')
    refused(changed(foreign(), flat), r'with four axes.*found pixels: float32 \(N, 3, 12\)')
    refused(changed(foreign(), second), r'one input is needed.*found pixels: .*, depth: float32')


def test_weights_listed_as_inputs_are_none(foreign: Foreign) -> None:
    def old(model: onnx.ModelProto) -> None:
        weight = helper.make_tensor_value_info('weight', TensorProto.FLOAT, [3, 3, 1, 1])
        model.graph.input.append(weight)

    assert read_network(changed(foreign(), old), settings()).image == 'pixels'


def test_an_output_is_chosen_by_name(foreign: Foreign) -> None:
    path = foreign(extra=True)
    refused(path, r'has 2 outputs, choose one \(output\): result: float32 .*, auxiliary: float32')
    assert read_network(path, settings(output='auxiliary')).output == 'auxiliary'
    refused(path, "has no output 'scores'; choose one of: result", output='scores')


@pytest.mark.parametrize('opset', [11, 16, 18, 20])
def test_another_operator_set_is_converted(foreign: Foreign, opset: int) -> None:
    model = read_network(foreign(opset=opset), settings()).model
    assert [(item.domain, item.version) for item in model.opset_import] == [('', 17)]


def test_an_operator_set_that_cannot_be_converted(foreign: Foreign) -> None:
    def new_operator(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = 'before'
        model.graph.node.append(helper.make_node('Gelu', ['before'], ['result']))

    path = changed(foreign(opset=20), new_operator)
    refused(
        path,
        'has operator set 20 and cannot be converted to 17 .*; export it for 17',
    )


def test_operators_of_others_are_refused(foreign: Foreign) -> None:
    def contrib(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid('com.microsoft', 1))
        model.graph.node[0].domain, model.graph.node[0].op_type = 'com.microsoft', 'FusedConv'

    refused(changed(foreign(), contrib), r'not of ONNX itself \(com\.microsoft\.FusedConv\)')


def test_functions_are_written_out(foreign: Foreign) -> None:
    def function(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid('theirs', 1))
        node = model.graph.node[-1]
        node.domain, node.op_type = 'theirs', 'Layer'
        body = [helper.make_node('Conv', ['x', 'w'], ['y'])]
        model.functions.append(
            helper.make_function(
                'theirs', 'Layer', ['x', 'w'], ['y'], body, [helper.make_opsetid('', 17)]
            )
        )

    network = read_network(changed(foreign(), function), settings())
    assert [node.op_type for node in network.model.graph.node] == ['Conv']
    assert not network.model.functions


def test_files_that_are_none(tiny_model: Path, tmp_path: Path) -> None:
    text = tmp_path / 'text.onnx'
    text.write_text('not a model')
    empty = tmp_path / 'empty.onnx'
    empty.write_bytes(b'')
    refused(tmp_path / 'missing.onnx', 'no ONNX file .*missing.onnx')
    refused(text, 'is not a complete ONNX file')
    refused(empty, 'is no ONNX file, or an empty one')
    refused(tiny_model, 'already is a model file; use it as it is')


def test_a_lost_file_of_weights_is_named(foreign: Foreign, tmp_path: Path) -> None:
    path = tmp_path / 'apart.onnx'
    onnx.save(
        onnx.load(foreign()),
        path,
        save_as_external_data=True,
        location='weights.bin',
        size_threshold=0,
    )
    (tmp_path / 'weights.bin').unlink()
    refused(path, r'weights\.bin.*; copy it again, with the data files that lie beside it')
