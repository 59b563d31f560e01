# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What values a network's activations have on real frames, and which of them int8 shall hold."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
import onnx
import onnxruntime

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.conversion import is_network
from vidseg_ros.inference.model_file import INPUT
from vidseg_ros.inference.onnxruntime_engine import FATAL_ONLY

Range = tuple[float, float]
"""Smallest and largest value that an activation can hold in int8."""

_AT_ONCE: Final = 64
"""Tensors that one pass over the frames looks at; more would take gigabytes."""

_DRAWN: Final = 8192
"""Values of a tensor and frame that are kept to choose its range by."""

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
    activations = float_activations(model)
    maps = [value for value in activations if len(value.type.tensor_type.shape.dim) == 4]
    maxima: dict[str, NDArray[np.float32]] = {}
    for name, values in _values(model, maps, frames, heard):
        found = np.abs(values).max(axis=(0, 2, 3))
        maxima[name] = np.maximum(found, maxima[name]) if name in maxima else found
    return maxima


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
    random = np.random.default_rng(0)
    drawn: dict[str, list[NDArray[np.float32]]] = {}
    whole: dict[str, Range] = {}
    for name, values in _values(model, float_activations(model), frames, heard):
        flat = values.ravel()
        drawn.setdefault(name, []).append(flat[random.integers(0, flat.size, _DRAWN)])
        low, high = whole.get(name, (0.0, 0.0))  # int8 always holds 0
        whole[name] = (min(low, float(flat.min())), max(high, float(flat.max())))
    return {
        name: best_range(np.concatenate(values), whole[name], symmetric=symmetric)
        for name, values in drawn.items()
    }


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


def _values(
    model: onnx.ModelProto,
    tensors: Sequence[onnx.ValueInfoProto],
    frames: Sequence[NDArray[np.uint8]],
    heard: Callable[[float], None],
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield name and values of each tensor for each frame."""
    groups = [tensors[first : first + _AT_ONCE] for first in range(0, len(tensors), _AT_ONCE)]
    for number, (group, frame) in enumerate(product(groups, frames)):
        if number % len(frames) == 0:
            session = _session(model, group)
        names = [value.name for value in group]
        try:
            outputs = session.run(names, {INPUT: frame[None]})
        except Exception as error:  # ONNX Runtime's errors share no base
            msg = f'ONNX Runtime cannot run the network to calibrate it: {error}'
            raise EngineError(msg) from error
        yield from zip(names, outputs, strict=True)
        heard((number + 1) / (len(groups) * len(frames)))


def _session(
    model: onnx.ModelProto, more: Sequence[onnx.ValueInfoProto]
) -> onnxruntime.InferenceSession:
    """Open a model whose outputs are tensors from inside it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(more)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    return onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
