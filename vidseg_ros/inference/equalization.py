# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization: channels of one tensor get ranges alike, the network stays the same.

In int8 all channels of an activation share one scale, so a channel with small values gets only a
few steps. A channel may be divided by any positive number where a convolution writes it and
multiplied again where one reads it; ReLU, pooling, sums and concatenations in between let it pass
(Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV
2019). Weights have a scale for each output channel, so only the convolution that reads a channel
pays. The divisor is therefore the range of the activation, and where a dense convolution reads it,
the square root of that by the range of the weights (the balance of Xiao et al., "SmoothQuant",
ICML 2023, at 1/2).
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import helper, numpy_helper

from vidseg_ros.inference.conversion import names_read_in_branches

PASSING: Final = frozenset(
    ('Relu', 'LeakyRelu', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'Add', 'Resize')
)
"""Operators that give each channel times a positive number when they get it so."""

_LEAST: Final = 1e-4
"""Smallest share of a range that counts: a channel that is always zero stays as it is."""

Maxima = Mapping[str, NDArray[np.float32]]
"""Largest magnitude of each channel, (C,) float32, by the name of the tensor."""


def equalize(model: onnx.ModelProto, maxima: Maxima) -> onnx.ModelProto:
    """Return the same function with weights by which channels of a tensor have ranges alike.

    Args:
        model: Not changed.
        maxima: Largest magnitude of each channel, (C,), of what the network's nodes read and
            write; channels of anything else keep their scale.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = _own_weights(copy.graph)
    channels = _Channels(maxima)
    convolutions = []
    for node in copy.graph.node:
        if _can_scale(node, maxima, weights):
            convolutions.append(node)
        else:
            channels.pass_through(node)
    fixed = {value.name for value in (*copy.graph.input, *copy.graph.output)}
    fixed = fixed.union(*map(names_read_in_branches, copy.graph.node))
    for name in fixed.intersection(maxima):
        channels.pin(name)
    scales = channels.scales(_reading(convolutions, weights))
    for node in convolutions:
        _rescale(node, weights, scales[node.input[0]], scales[node.output[0]])
    for tensor in copy.graph.initializer:
        if tensor.name in weights:
            array = np.asarray(weights[tensor.name], np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return copy


class _Channels:
    """Which channels of which tensors need the same scale: a union-find over all of them."""

    def __init__(self, maxima: Maxima) -> None:
        self._maxima = maxima
        starts = np.cumsum([1, *(len(values) for values in maxima.values())])
        self._first = dict(zip(maxima, starts.tolist(), strict=False))
        self._parent = list(range(int(starts[-1])))  # number 0 stands for "stays as it is"

    def _root(self, index: int) -> int:
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def _join(self, one: int, other: int) -> None:
        # The smaller number is kept, so that what is joined to 0 has the root 0.
        small, large = sorted((self._root(one), self._root(other)))
        self._parent[large] = small

    def _of(self, name: str) -> range:
        first = self._first[name]
        return range(first, first + len(self._maxima[name]))

    def pin(self, name: str) -> None:
        """Let a tensor keep its scale."""
        for index in self._of(name):
            self._join(0, index)

    def pass_through(self, node: onnx.NodeProto) -> None:
        """Join what a node reads and writes; what it does not let pass keeps its scale."""
        reads = list(node.input[:1] if node.op_type == 'Resize' else node.input)
        names = [*reads, *node.output]
        known = [name for name in names if name in self._first]
        if len(known) == len(names):
            written = self._of(node.output[0])
            if node.op_type == 'Concat' and _attribute(node, 'axis', 0) == 1:
                read = [index for name in reads for index in self._of(name)]
                for one, other in zip(read, written, strict=True):
                    self._join(one, other)
                return
            if node.op_type in PASSING and {len(self._of(name)) for name in reads} == {
                len(written)
            }:
                for name in reads:
                    for one, other in zip(self._of(name), written, strict=True):
                        self._join(one, other)
                return
        for name in known:
            self.pin(name)

    def scales(
        self, reading: Iterator[tuple[str, NDArray[np.float32]]]
    ) -> dict[str, NDArray[np.float64]]:
        """Return by what to divide each channel of each tensor.

        Args:
            reading: Tensors, and for each of their channels the largest weight that reads it.
        """
        activation = np.zeros(len(self._parent))
        weight = np.zeros(len(self._parent))
        for name, values in self._maxima.items():
            for index, value in zip(self._of(name), _shares(values), strict=True):
                root = self._root(index)
                activation[root] = max(activation[root], value)
        for name, values in reading:
            for index, value in zip(self._of(name), _shares(values), strict=True):
                root = self._root(index)
                weight[root] = max(weight[root], value)
        balanced = np.sqrt(activation / np.maximum(weight, _LEAST))
        scale = np.where(weight > 0, balanced, activation)
        scale[0] = 1.0
        roots = {name: [self._root(index) for index in self._of(name)] for name in self._maxima}
        return {
            name: np.where(activation[indices] > _LEAST, scale[indices], 1.0)
            for name, indices in roots.items()
        }


def _shares(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each value as a share of the largest."""
    largest = float(values.max(initial=0.0))
    return np.asarray(values, np.float64) / (largest or 1.0)


def _own_weights(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    """Return the float initialisers that one node reads, once."""
    uses = [name for node in graph.node for name in (*node.input, *names_read_in_branches(node))]
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if uses.count(tensor.name) == 1 and tensor.data_type == onnx.TensorProto.FLOAT
    }


def _can_scale(
    node: onnx.NodeProto, maxima: Maxima, weights: Mapping[str, NDArray[np.float32]]
) -> bool:
    """Whether a node is a convolution of which each channel can be scaled on its own."""
    return (
        node.op_type in ('Conv', 'ConvTranspose')
        and all(name in maxima for name in (node.input[0], node.output[0]))
        and all(name in weights for name in node.input[1:])
        and (_attribute(node, 'group', 1) == 1 or _is_depthwise(node, weights))
    )


def _is_depthwise(node: onnx.NodeProto, weights: Mapping[str, NDArray[np.float32]]) -> bool:
    shape = weights[node.input[1]].shape
    group = _attribute(node, 'group', 1)
    return node.op_type == 'Conv' and shape[1] == 1 and shape[0] == group > 1


def _reading(
    convolutions: list[onnx.NodeProto], weights: Mapping[str, NDArray[np.float32]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield what each convolution reads and its largest weight for each of the channels."""
    for node in convolutions:
        if not _is_depthwise(node, weights):
            others = (0, 2, 3) if node.op_type == 'Conv' else (1, 2, 3)
            yield node.input[0], np.abs(weights[node.input[1]]).max(axis=others)


def _rescale(
    node: onnx.NodeProto,
    weights: dict[str, NDArray[np.float32]],
    read: NDArray[np.float64],
    written: NDArray[np.float64],
) -> None:
    """Let a convolution read and write channels that are divided by these numbers."""
    kernel = node.input[1]
    if _is_depthwise(node, weights):
        factor = (read / written).reshape(-1, 1, 1, 1)
    elif node.op_type == 'Conv':
        factor = read.reshape(1, -1, 1, 1) / written.reshape(-1, 1, 1, 1)
    else:
        factor = read.reshape(-1, 1, 1, 1) / written.reshape(1, -1, 1, 1)
    weights[kernel] = np.asarray(weights[kernel] * factor, np.float32)
    for bias in node.input[2:]:
        weights[bias] = np.asarray(weights[bias] / written, np.float32)


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    values = [helper.get_attribute_value(item) for item in node.attribute if item.name == name]
    return int(values[0]) if values else default
