# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Builds a model file around a network: camera frames in, label maps out."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import compose, helper, numpy_helper, TensorProto

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.model_card import METADATA_KEY, ModelCard
from vidseg_ros.inference.model_file import CONFIDENCE, INPUT, LABELS, OPSET

_IR_VERSION: Final = 8
"""ONNX file format that belongs to the operator set."""

_CONFIDENCE_STRIDE: Final = 4
"""Network pixels between two softmaxes of the confidence, each way."""


def build_model(
    network: onnx.ModelProto,
    card: ModelCard,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    confidence: bool = True,
) -> onnx.ModelProto:
    """Put a network between the contract's pre- and post-processing.

    Graph order: Cast (first: TensorRT takes uint8 only at the boundary), Transpose, Resize to
    the card's input size, normalise, network, Resize of the logits, ArgMax, Cast. The confidence
    is the maximum of the softmax at the logits' own resolution, at most a quarter of the network
    size (finer logits are sampled); only that one channel is resized.

    Args:
        network: One float input (N, 3, h, w) and one float output, logits (N, C, h', w').
        card: Goes into the file; gives input size and colour order.
        mean: Subtracted from each channel, on the scale of 0 to 255, in the card's order.
        std: Divides each channel, same scale.
        confidence: Whether the optional output is built.

    Returns:
        The model; write it with ``onnx.save``.

    Raises:
        ModelError: If the network has another operator set or several inputs or outputs.
    """
    versions = {item.domain: item.version for item in network.opset_import}
    if versions.get('', versions.get('ai.onnx')) != OPSET:
        msg = f'the network has operator sets {versions}, the contract says {OPSET}'
        raise ModelError(msg)
    if len(network.graph.input) != 1 or len(network.graph.output) != 1:
        msg = (
            f'the network has {len(network.graph.input)} inputs and '
            f'{len(network.graph.output)} outputs, one of each is needed'
        )
        raise ModelError(msg)
    inner = compose.add_prefix(network, 'network/')
    graph = inner.graph
    image, logits = graph.input[0].name, graph.output[0].name
    scale: NDArray[np.float32] = np.asarray(std, np.float32)
    constants = [
        _constant('network_size', np.array(card.input_size, np.int64)),
        _constant('mean', np.asarray(mean, np.float32).reshape(1, 3, 1, 1)),
        _constant('inverse_std', np.reciprocal(scale).reshape(1, 3, 1, 1)),
        _constant('first', np.array([0], np.int64)),
        _constant('second', np.array([2], np.int64)),
    ]
    nodes = [
        *_preprocessing(image),
        *graph.node,
        *_resize(logits, 'logits_full', 'logits'),
        helper.make_node('ArgMax', ['logits_full'], ['ids'], 'vidseg/ArgMax', axis=1, keepdims=0),
        helper.make_node('Cast', ['ids'], ['ids_float'], 'vidseg/CastIds', to=TensorProto.FLOAT),
        helper.make_node('Cast', ['ids_float'], [LABELS], 'vidseg/Labels', to=TensorProto.UINT8),
    ]
    size = card.input_size
    outputs = [helper.make_tensor_value_info(LABELS, TensorProto.UINT8, ['N', *size])]
    if confidence:
        shape = graph.output[0].type.tensor_type.shape.dim
        stride = max(1, round(_CONFIDENCE_STRIDE * shape[2].dim_value / size[0]))
        nodes += _confidence(logits)
        constants += [
            _constant('sample_first', np.full(2, stride // 2, np.int64)),
            _constant('sample_last', np.full(2, np.iinfo(np.int64).max, np.int64)),
            _constant('sample_axes', np.array([2, 3], np.int64)),
            _constant('sample_steps', np.full(2, stride, np.int64)),
            _constant('full', np.array(255, np.float32)),
            _constant('axis', np.array([1], np.int64)),
        ]
        outputs.append(helper.make_tensor_value_info(CONFIDENCE, TensorProto.UINT8, ['N', *size]))
    frames = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ['N', 'H', 'W', 3])
    built = helper.make_graph(
        nodes, card.name, [frames], outputs, [*graph.initializer, *constants]
    )
    model = helper.make_model(
        built,
        opset_imports=[helper.make_opsetid('', OPSET)],
        ir_version=_IR_VERSION,
        producer_name='vidseg_ros',
    )
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _constant(name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, f'vidseg.{name}')


def _resize(source: str, target: str, name: str) -> list[onnx.NodeProto]:
    """Resize (N, C, ?, ?) to the network size; operator set 17 wants all four sizes."""
    return [
        helper.make_node('Shape', [source], [f'{name}_shape'], f'vidseg/{name}/Shape'),
        helper.make_node(
            'Slice',
            [f'{name}_shape', 'vidseg.first', 'vidseg.second'],
            [f'{name}_batch'],
            f'vidseg/{name}/Slice',
        ),
        helper.make_node(
            'Concat',
            [f'{name}_batch', 'vidseg.network_size'],
            [f'{name}_sizes'],
            f'vidseg/{name}/Concat',
            axis=0,
        ),
        helper.make_node(
            'Resize',
            [source, '', '', f'{name}_sizes'],
            [target],
            f'vidseg/{name}/Resize',
            mode='linear',
            coordinate_transformation_mode='half_pixel',
        ),
    ]


def _preprocessing(image: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node('Cast', [INPUT], ['pixels'], 'vidseg/Cast', to=TensorProto.FLOAT),
        helper.make_node(
            'Transpose', ['pixels'], ['planes'], 'vidseg/Transpose', perm=[0, 3, 1, 2]
        ),
        *_resize('planes', 'resized', 'frames'),
        helper.make_node('Sub', ['resized', 'vidseg.mean'], ['centred'], 'vidseg/Sub'),
        helper.make_node('Mul', ['centred', 'vidseg.inverse_std'], [image], 'vidseg/Mul'),
    ]


def _confidence(logits: str) -> list[onnx.NodeProto]:
    """Max softmax = 1 / sum(exp(logit - max logit)), cheaper than the softmax itself."""
    bounds = [f'vidseg.sample_{name}' for name in ('first', 'last', 'axes', 'steps')]
    return [
        helper.make_node('Slice', [logits, *bounds], ['sampled'], 'vidseg/Sample'),
        helper.make_node('ReduceMax', ['sampled'], ['peak'], 'vidseg/ReduceMax', axes=[1]),
        helper.make_node('Sub', ['sampled', 'peak'], ['below_peak'], 'vidseg/SubPeak'),
        helper.make_node('Exp', ['below_peak'], ['odds'], 'vidseg/Exp'),
        helper.make_node('ReduceSum', ['odds', 'vidseg.axis'], ['total'], 'vidseg/ReduceSum'),
        helper.make_node('Div', ['vidseg.full', 'total'], ['certainty'], 'vidseg/Div'),
        *_resize('certainty', 'certainty_full', 'certainty'),
        helper.make_node('Squeeze', ['certainty_full', 'vidseg.axis'], ['certainty_map']),
        helper.make_node('Round', ['certainty_map'], ['certainty_rounded'], 'vidseg/Round'),
        helper.make_node('Cast', ['certainty_rounded'], [CONFIDENCE], to=TensorProto.UINT8),
    ]
