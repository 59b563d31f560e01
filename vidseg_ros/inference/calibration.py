# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What values a network's activations have on real frames, and which of them int8 shall hold.

The graph itself sums up each activation, so whole tensors never leave it. They are alive all at
once, though, so each pass over the frames looks at as many as there is memory for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper, TensorProto

from vidseg_ros.inference.conversion import is_network
from vidseg_ros.inference.graph_session import GraphSession

Range = tuple[float, float]
"""Smallest and largest value that an activation can hold in int8."""

_BYTES: Final = 1 << 30
"""Most that the activations of one pass over the frames take together, unless one is larger."""

_DRAWN: Final = 65536
"""Values of a tensor, from all frames together, by which its range is chosen."""

_SHARES: Final = np.geomspace(0.05, 1, 25)
"""Shares of the whole range that are tried."""


def float_activations(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return what the nodes of a model file's network write and the network gets, if float32."""
    nodes = [node for node in model.graph.node if is_network(node)]
    names = {name for node in nodes for name in (*node.input, *node.output)}
    return [
        value
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
        if value.name in names and value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]


def channel_maxima(
    model: onnx.ModelProto, frames: Sequence[NDArray[np.uint8]], heard: Callable[[float], None]
) -> dict[str, NDArray[np.float32]]:
    """Return the largest magnitude of each channel, (C,), of the network's activations.

    Args:
        model: A model file's graph.
        frames: At least one, each (H, W, 3) uint8.
        heard: Is told the share that is done, 0 to 1.

    Raises:
        EngineError: If ONNX Runtime cannot run it.
    """
    maps = [
        value for value in float_activations(model) if len(value.type.tensor_type.shape.dim) == 4
    ]

    def summarise(summary: _Summary, name: str) -> None:
        summary.add('ReduceMax', summary.node('Abs', name), axes=[0, 2, 3], keepdims=0)

    found = _summaries(model, maps, summarise, frames, heard)
    return {value.name: maxima.max(axis=0) for value, (maxima,) in zip(maps, found, strict=True)}


def activation_ranges(
    model: onnx.ModelProto,
    frames: Sequence[NDArray[np.uint8]],
    heard: Callable[[float], None],
    *,
    symmetric: bool,
) -> dict[str, Range]:
    """Choose for each of the network's activations the range with the least squared error.

    Values beyond it are cut off, which costs less than coarse steps for all the others: the
    largest value of an activation is often twenty times its standard deviation.

    Args:
        model: A model file's graph.
        frames: At least one, each (H, W, 3) uint8.
        heard: Is told the share that is done, 0 to 1.
        symmetric: Whether the range reaches as far below 0 as above.

    Raises:
        EngineError: If ONNX Runtime cannot run it.
    """
    places = np.random.default_rng(0).random(-(-_DRAWN // len(frames)))
    values = float_activations(model)

    def summarise(summary: _Summary, name: str) -> None:
        summary.add('ReduceMin', name, keepdims=0)
        summary.add('ReduceMax', name, keepdims=0)
        summary.add_draw(name, places)

    ranges = {}
    found = _summaries(model, values, summarise, frames, heard)
    for value, (lows, highs, drawn) in zip(values, found, strict=True):
        whole = (min(0.0, float(lows.min())), max(0.0, float(highs.max())))  # int8 always holds 0
        ranges[value.name] = best_range(drawn, whole, symmetric=symmetric)
    return ranges


def best_range(values: NDArray[np.float32], whole: Range, *, symmetric: bool) -> Range:
    """Return the share of a range with the least mean squared error in 8 bits.

    Args:
        values: Any shape, float32.
        whole: What holds all of them, and 0.
        symmetric: Whether it reaches as far below 0 as above: 127 steps each, otherwise 255.
    """
    low, high = whole
    if symmetric:
        high = max(-low, high)
        low = -high
    if low == high:
        return whole
    errors = []
    for share in _SHARES:
        step = share * (high - low) / (254 if symmetric else 255)
        zero = 127 if symmetric else round(-share * low / step)
        steps = np.clip(np.rint(values / step) + zero, 0, 254 if symmetric else 255)
        errors.append(float(np.square((steps - zero) * step - values).mean()))
    share = float(_SHARES[int(np.argmin(errors))])
    return share * low, share * high


def _summaries(
    model: onnx.ModelProto,
    tensors: Sequence[onnx.ValueInfoProto],
    summarise: Callable[['_Summary', str], None],
    frames: Sequence[NDArray[np.uint8]],
    heard: Callable[[float], None],
) -> Iterator[list[NDArray[np.float32]]]:
    """Yield for each tensor what was added to the graph about it."""
    groups = _groups(tensors, _sizes(model, frames[0].shape))
    steps = iter(range(1, len(groups) * len(frames) + 1))
    for group in groups:
        summary = _Summary(model)
        for tensor in group:
            summarise(summary, tensor.name)
        outputs = summary.over(frames, lambda: heard(next(steps) / (len(groups) * len(frames))))
        each = len(outputs) // len(group)
        for first in range(0, len(outputs), each):
            yield outputs[first : first + each]


def _sizes(model: onnx.ModelProto, shape: tuple[int, ...]) -> dict[str, int]:
    """Return the bytes of float32 tensors for one frame of a shape; unknown axes count as 1."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for dim, size in zip(copy.graph.input[0].type.tensor_type.shape.dim, (1, *shape), strict=True):
        dim.dim_value = size
    values = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph.value_info
    return {
        value.name: 4 * prod(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
        for value in values
    }


def _groups(
    tensors: Sequence[onnx.ValueInfoProto], sizes: Mapping[str, int]
) -> list[list[onnx.ValueInfoProto]]:
    """Cut tensors into groups of at most `_BYTES` for one frame."""
    groups: list[list[onnx.ValueInfoProto]] = []
    left = 0
    for tensor in tensors:
        size = sizes.get(tensor.name, 0)
        if size > left or not groups:
            groups.append([])
            left = _BYTES
        groups[-1].append(tensor)
        left -= size
    return groups


class _Summary:
    """A graph whose outputs are small numbers about tensors inside it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._graph = self._model.graph
        del self._graph.output[:]

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node and return the name of what it writes."""
        name = f'vidseg.summary{len(self._graph.node)}'
        self._graph.node.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant, unless it is there, and return its name."""
        if all(tensor.name != name for tensor in self._graph.initializer):
            self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> None:  # noqa: ANN401
        """Add a node that writes a float32 output."""
        name = self.node(operator, *inputs, **attributes)
        self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))

    def add_draw(self, tensor: str, places: NDArray[np.float64]) -> None:
        """Add the values at some places, each in [0, 1) of all values, as an output."""
        size = self.node('Cast', self.node('Size', tensor), to=TensorProto.DOUBLE)
        at = self.node('Mul', size, self.constant('vidseg.places', places))
        flat = self.node('Reshape', tensor, self.constant('vidseg.flat', np.array([-1])))
        self.add('Gather', flat, self.node('Cast', at, to=TensorProto.INT64))

    def over(
        self, frames: Sequence[NDArray[np.uint8]], heard: Callable[[], None]
    ) -> list[NDArray[np.float32]]:
        """Return each output, the frames one after the other along a new first axis."""
        session = GraphSession(self._model)
        names = [value.name for value in self._graph.output]
        found = []
        for frame in frames:
            found.append(session.run(names, frame))
            heard()
        return [np.stack(values) for values in zip(*found, strict=True)]
