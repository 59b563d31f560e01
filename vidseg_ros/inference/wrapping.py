# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Puts a foreign network into the contract of the model file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, TensorProto

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.foreign_model import ForeignNetwork, inner_nodes
from vidseg_ros.inference.model_builder import build_model, Gives, with_prefix
from vidseg_ros.inference.model_file import OPSET
from vidseg_ros.inference.wrap_settings import WrapSettings

_PROBABILITY_SLACK = 0.01
"""How far the sum of probabilities may be from 1 (float16, averaged windows)."""


@dataclass(frozen=True, kw_only=True)
class OutputForm:
    """How an output says what each pixel is.

    Attributes:
        gives: What the numbers are.
        class_axis: Axis of the classes, or of the single channel of ids; None where ids have none.
        channels: Length of that axis; 1 for ids.
        size: Height and width, px.
    """

    gives: Gives
    class_axis: int | None
    channels: int
    size: tuple[int, int]


def read_form(
    result: NDArray[np.generic], network: ForeignNetwork, settings: WrapSettings
) -> OutputForm:
    """Find out what an output is from what it gave for a real frame.

    Args:
        result: Output of one frame.
        network: Where it comes from.
        settings: What the user says about it.

    Raises:
        ModelError: If it is none of logits, probabilities and ids, or does not fit the classes.
    """
    found = f'{network.path}: output {network.output} {result.dtype} {result.shape}'
    classes, gives = len(settings.classes), settings.gives
    if result.ndim not in (3, 4) or result.shape[0] != 1:
        msg = f'{found} must be (N, h, w) or have four axes; choose another output'
        raise ModelError(msg)
    whole = not np.issubdtype(result.dtype, np.floating)
    single = next((axis for axis in (1, 3) if result.ndim == 4 and result.shape[axis] == 1), None)
    if result.ndim == 3 or single is not None or whole:
        if result.ndim == 4 and single is None:
            msg = f'{found} are whole numbers, but have several channels; choose another output'
            raise ModelError(msg)
        if gives not in (None, 'ids'):
            msg = f'{found} has no axis of classes and cannot be {gives}; it may be ids (gives)'
            raise ModelError(msg)
        _check_ids(result, found, classes)
        height, width = (
            length for axis, length in enumerate(result.shape) if axis not in (0, single)
        )
        return OutputForm(gives='ids', class_axis=single, channels=1, size=(height, width))
    if gives == 'ids':
        msg = f'{found} has several channels, ids have one; say logits or probabilities (gives)'
        raise ModelError(msg)
    axes = [axis for axis in (1, 3) if result.shape[axis] == classes]
    if not axes:
        msg = (
            f'{found} has no axis of {classes} classes, as many as there are names; '
            'name all of its classes, in its order (labels)'
        )
        raise ModelError(msg)
    axis = axes[0] if len(axes) == 1 or network.layout == 'nchw' else axes[-1]
    height, width = result.shape[2:] if axis == 1 else result.shape[1:3]
    return OutputForm(
        gives=_logits_or_probabilities(result, axis, found, gives),
        class_axis=axis,
        channels=classes,
        size=(height, width),
    )


def _check_ids(result: NDArray[np.generic], found: str, classes: int) -> None:
    values = result.astype(np.float64)
    if not (values == np.rint(values)).all():
        msg = f'{found} holds no whole numbers: a single channel must be class ids, not a score'
        raise ModelError(msg)
    least, most = int(values.min()), int(values.max())
    if least < 0 or most >= classes:
        msg = (
            f'{found} holds ids from {least} to {most}, but the {classes} names are those of '
            f'0 to {classes - 1}; name all of its classes, in its order (labels)'
        )
        raise ModelError(msg)


def _logits_or_probabilities(
    result: NDArray[np.generic], axis: int, found: str, said: Gives | None
) -> Gives:
    values = result.astype(np.float64)
    off = np.abs(values.sum(axis=axis) - 1).max()
    seen: Gives = 'probabilities' if values.min() >= 0 and off <= _PROBABILITY_SLACK else 'logits'
    if said not in (None, seen):
        msg = f'{found} look like {seen}, not {said}: correct or leave out that setting (gives)'
        raise ModelError(msg)
    return seen


def wrap(
    network: ForeignNetwork,
    form: OutputForm,
    settings: WrapSettings,
    card: ModelCard,
    *,
    frame_by_frame: bool,
) -> onnx.ModelProto:
    """Build the model file.

    Args:
        network: The foreign network.
        form: Of its output.
        settings: What it expects.
        card: Goes into the file.
        frame_by_frame: Whether a batch goes through the network one by one; else the network
            must take any number, whatever its file says.

    Raises:
        ModelError: If the graph is not valid.
    """
    try:
        return build_model(
            _adapt(network, form, frame_by_frame=frame_by_frame),
            card,
            mean=[value / settings.scale for value in settings.mean],
            std=[value / settings.scale for value in settings.std],
            gives=form.gives,
            confidence=settings.confidence,
        )
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
    ) as error:
        msg = f'{network.path} cannot be wrapped: {" ".join(str(error).split())}'
        raise ModelError(msg) from error


def _adapt(network: ForeignNetwork, form: OutputForm, *, frame_by_frame: bool) -> onnx.ModelProto:
    """Return the network as float32 (N, 3, h, w) -> float32 (N, C, h', w'), ids with C = 1.

    Only the chosen output is kept. What the file says about sizes in between is forgotten.
    """
    foreign = with_prefix(network.model.graph, 'foreign/')
    image, scores = 'adapt/image', 'adapt/scores'
    nodes, weights = _needed(foreign, f'foreign/{network.output}')
    nodes = [
        *_into(network, image, f'foreign/{network.image}'),
        *nodes,
        *_out_of(form, f'foreign/{network.output}', scores),
    ]
    weights.append(numpy_helper.from_array(np.array([1]), 'adapt/axis'))
    image_shape, scores_shape = (3, *network.size), (form.channels, *form.size)
    if frame_by_frame:
        weights.append(numpy_helper.from_array(np.array([0]), 'adapt/batch'))
        body = helper.make_graph(
            [
                helper.make_node('Unsqueeze', ['adapt/one', 'adapt/batch'], [image]),
                *nodes,
                helper.make_node('Squeeze', [scores, 'adapt/batch'], ['adapt/result']),
            ],
            'one frame',
            [_float('adapt/one', image_shape)],
            [_float('adapt/result', scores_shape)],
        )
        image, scores = 'adapt/images', 'adapt/all_scores'
        nodes = [helper.make_node('Scan', [image], [scores], body=body, num_scan_inputs=1)]
    graph = helper.make_graph(
        nodes,
        foreign.name,
        [_float(image, ('N', *image_shape))],
        [_float(scores, ('N', *scores_shape))],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)])


def _needed(
    graph: onnx.GraphProto, output: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes, in order, and the weights that an output depends on."""
    names, kept = {output}, []
    for node in reversed(graph.node):  # each node stands behind those it depends on
        if names.intersection(node.output):
            kept.append(node)
            names.update(node.input)
            names.update(name for inner in inner_nodes(node) for name in inner.input)
    return kept[::-1], [tensor for tensor in graph.initializer if tensor.name in names]


def _into(network: ForeignNetwork, source: str, image: str) -> list[onnx.NodeProto]:
    """From float32 (N, 3, h, w) to the input of the network."""
    to = TensorProto.FLOAT16 if network.half else TensorProto.FLOAT
    cast = helper.make_node('Cast', [source], [f'{source}_cast'], to=to)
    perm = [0, 2, 3, 1] if network.layout == 'nhwc' else [0, 1, 2, 3]
    return [cast, helper.make_node('Transpose', [f'{source}_cast'], [image], perm=perm)]


def _out_of(form: OutputForm, output: str, target: str) -> list[onnx.NodeProto]:
    """From the output of the network to float32 (N, C, h', w')."""
    cast = helper.make_node('Cast', [output], [f'{target}_cast'], to=TensorProto.FLOAT)
    if form.class_axis is None:
        node = helper.make_node('Unsqueeze', [f'{target}_cast', 'adapt/axis'], [target])
    else:
        perm = [0, 3, 1, 2] if form.class_axis == 3 else [0, 1, 2, 3]
        node = helper.make_node('Transpose', [f'{target}_cast'], [target], perm=perm)
    return [cast, node]


def _float(name: str, shape: tuple[str | int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def precision_of(model: onnx.ModelProto) -> str:
    """Return the arithmetic of a network: fp32, fp16 or int8, by its nodes and weights."""
    if any('Quantize' in node.op_type or 'QLinear' in node.op_type for node in model.graph.node):
        return 'int8'
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    return 'fp16' if TensorProto.FLOAT16 in kinds else 'fp32'
