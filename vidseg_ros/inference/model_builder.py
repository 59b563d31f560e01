# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Builds a model file around a network: camera frames in, label maps out."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, TensorProto

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.model_card import METADATA_KEY, ModelCard
from vidseg_ros.inference.model_file import CONFIDENCE, INPUT, LABELS, OPSET

Gives = Literal['logits', 'probabilities', 'ids']
"""What a network says of each pixel: a number for each class, its probabilities, or a class id."""

_IR_VERSION: Final = 8
"""ONNX file format that belongs to the operator set."""

_CONFIDENCE_STRIDE: Final = 4
"""Network pixels between two softmaxes of the confidence, each way."""


def build_model(  # noqa: PLR0913
    network: onnx.ModelProto,
    card: ModelCard,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    gives: Gives = 'logits',
    confidence: bool = True,
) -> onnx.ModelProto:
    """Put a network between the contract's pre- and post-processing.

    Graph order: Cast (first: TensorRT takes uint8 only at the boundary), Transpose, Resize to
    the card's input size, normalise, network, Resize of the logits, ArgMax, Cast. The confidence
    is the maximum of the softmax at the logits' own resolution, at most a quarter of the network
    size (finer logits are sampled); only that one channel is resized. Ids are resized to the
    nearest and have no confidence.

    Args:
        network: One float input (N, 3, h, w) and one float output: logits or probabilities
            (N, C, h', w'), or ids (N, 1, h', w').
        card: Goes into the file; gives input size and colour order.
        mean: Subtracted from each channel, on the scale of 0 to 255, in the card's order.
        std: Divides each channel, same scale.
        gives: What the output is.
        confidence: Whether the optional output is built, where it can be.

    Returns:
        The model; write it with ``onnx.save``.

    Raises:
        ModelError: If the network has another operator set or several inputs or outputs.
    """
    _check_network(network)
    graph = with_prefix(network.graph, 'network/')
    image, scores = graph.input[0].name, graph.output[0].name
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
        *(_labels_of_ids(scores) if gives == 'ids' else _labels_of_scores(scores)),
    ]
    outputs = [LABELS]
    if confidence and gives != 'ids':
        height = graph.output[0].type.tensor_type.shape.dim[2].dim_value
        stride = max(1, round(_CONFIDENCE_STRIDE * height / card.input_size[0]))
        nodes += _sample(scores) + _certainty(gives) + _confidence()
        constants += _sampling(stride)
        outputs.append(CONFIDENCE)
    if confidence or gives == 'ids':
        constants.append(_constant('axis', np.array([1], np.int64)))
    return _assemble(card, nodes, [*graph.initializer, *constants], outputs)


def _assemble(
    card: ModelCard,
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    outputs: list[str],
) -> onnx.ModelProto:
    frames = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ['N', 'H', 'W', 3])
    shape: list[str | int] = ['N', *card.input_size]
    maps = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name in outputs]
    model = helper.make_model(
        helper.make_graph(nodes, card.name, [frames], maps, weights),
        opset_imports=[helper.make_opsetid('', OPSET)],
        ir_version=_IR_VERSION,
        producer_name='vidseg_ros',
    )
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _check_network(network: onnx.ModelProto) -> None:
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


def with_prefix(graph: onnx.GraphProto, prefix: str) -> onnx.GraphProto:
    """Return a copy of a graph with all its names prefixed, also in its branches and loops.

    `onnx.compose.add_prefix_graph` forgets there that the weights outside have new names.
    """
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    for node in copy.node:
        node.name = f'{prefix}{node.name}' if node.name else ''
        for names in (node.input, node.output):
            names[:] = [f'{prefix}{name}' if name else '' for name in names]
        for attribute in node.attribute:
            if attribute.HasField('g'):
                attribute.g.CopyFrom(with_prefix(attribute.g, prefix))
            for inner in attribute.graphs:
                inner.CopyFrom(with_prefix(inner, prefix))
    for value in (*copy.input, *copy.output, *copy.initializer, *copy.value_info):
        value.name = f'{prefix}{value.name}'
    return copy


def _constant(name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> onnx.TensorProto:
    return numpy_helper.from_array(value, f'vidseg.{name}')


def _resize(source: str, target: str, name: str, **how: str) -> list[onnx.NodeProto]:
    """Resize (N, C, ?, ?) to the network size; operator set 17 wants all four sizes.

    Linear, if attributes do not say how else.
    """
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
            coordinate_transformation_mode='half_pixel',
            **(how or {'mode': 'linear'}),
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


def _labels_of_scores(scores: str) -> list[onnx.NodeProto]:
    """Class of the highest score of each pixel; logits and probabilities alike."""
    return [
        *_resize(scores, 'logits_full', 'logits'),
        helper.make_node('ArgMax', ['logits_full'], ['ids'], 'vidseg/ArgMax', axis=1, keepdims=0),
        helper.make_node('Cast', ['ids'], ['ids_float'], 'vidseg/CastIds', to=TensorProto.FLOAT),
        helper.make_node('Cast', ['ids_float'], [LABELS], 'vidseg/Labels', to=TensorProto.UINT8),
    ]


def _labels_of_ids(ids: str) -> list[onnx.NodeProto]:
    """Ids by pixel centres, as OpenCV's INTER_NEAREST_EXACT."""
    return [
        *_resize(ids, 'ids_full', 'ids', mode='nearest', nearest_mode='round_prefer_ceil'),
        helper.make_node('Squeeze', ['ids_full', 'vidseg.axis'], ['ids_map'], 'vidseg/Squeeze'),
        helper.make_node('Cast', ['ids_map'], [LABELS], 'vidseg/Labels', to=TensorProto.UINT8),
    ]


def _sampling(stride: int) -> list[onnx.TensorProto]:
    return [
        _constant('sample_first', np.full(2, stride // 2, np.int64)),
        _constant('sample_last', np.full(2, np.iinfo(np.int64).max, np.int64)),
        _constant('sample_axes', np.array([2, 3], np.int64)),
        _constant('sample_steps', np.full(2, stride, np.int64)),
        _constant('full', np.array(255, np.float32)),
    ]


def _sample(scores: str) -> list[onnx.NodeProto]:
    bounds = [f'vidseg.sample_{name}' for name in ('first', 'last', 'axes', 'steps')]
    return [
        helper.make_node('Slice', [scores, *bounds], ['sampled'], 'vidseg/Sample'),
        helper.make_node('ReduceMax', ['sampled'], ['peak'], 'vidseg/ReduceMax', axes=[1]),
    ]


def _certainty(gives: Gives) -> list[onnx.NodeProto]:
    """255 times the highest probability.

    Of logits it is 1 / sum(exp(logit - max logit)), cheaper than the softmax itself.
    """
    if gives == 'probabilities':
        return [
            helper.make_node('Mul', ['peak', 'vidseg.full'], ['scaled_peak'], 'vidseg/Mul255'),
            # 1.005 would round to 256, and that is 0 in uint8
            helper.make_node('Min', ['scaled_peak', 'vidseg.full'], ['certainty'], 'vidseg/Min'),
        ]
    return [
        helper.make_node('Sub', ['sampled', 'peak'], ['below_peak'], 'vidseg/SubPeak'),
        helper.make_node('Exp', ['below_peak'], ['odds'], 'vidseg/Exp'),
        helper.make_node('ReduceSum', ['odds', 'vidseg.axis'], ['total'], 'vidseg/ReduceSum'),
        helper.make_node('Div', ['vidseg.full', 'total'], ['certainty'], 'vidseg/Div'),
    ]


def _confidence() -> list[onnx.NodeProto]:
    return [
        *_resize('certainty', 'certainty_full', 'certainty'),
        helper.make_node(
            'Squeeze', ['certainty_full', 'vidseg.axis'], ['certainty_map'], 'vidseg/SqueezeMap'
        ),
        helper.make_node('Round', ['certainty_map'], ['certainty_rounded'], 'vidseg/Round'),
        helper.make_node(
            'Cast', ['certainty_rounded'], [CONFIDENCE], 'vidseg/Confidence', to=TensorProto.UINT8
        ),
    ]
