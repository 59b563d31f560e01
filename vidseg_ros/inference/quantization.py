# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""INT8: the model file of another one, with 8-bit weights and activations in its network.

QuantizeLinear and DequantizeLinear nodes (Q/DQ) around each layer say where and in which steps;
the engine turns them into integer arithmetic. They are put there by ONNX Runtime's static
quantiser, with a scale for each output channel of the weights. What it lacks comes before it:
channels are equalised (`equalization`), ranges of the activations are those of least error
(`calibration`), and the layers that cost most are measured and stay float.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
import time
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
import onnx
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.errors import ModelError
from vidseg_ros.inference.agreement import Agreement, Sample
from vidseg_ros.inference.calibration import activation_ranges, channel_maxima, Range
from vidseg_ros.inference.conversion import (
    is_network,
    keep_if_it_agrees,
    names_read_in_branches,
    read_fp32,
)
from vidseg_ros.inference.equalization import equalize
from vidseg_ros.inference.graph_session import GraphSession
from vidseg_ros.inference.model_file import LABELS
from vidseg_ros.inference.tensorrt_options import BuildCancelled, OnProgress, Progress

Target = Literal['onnxruntime', 'tensorrt']
"""The engine that a file is for; a file for TensorRT runs in ONNX Runtime too, but not quickly."""


class _Form(NamedTuple):
    """How a target wants its Q/DQ nodes."""

    activations: QuantType
    symmetric: bool
    """Whether activations have zero point 0."""
    options: Mapping[str, Any]
    """Of ONNX Runtime's quantiser."""


FORMS: Final[Mapping[Target, _Form]] = {
    # All of 256 steps lie where the values are, and a ReLU is the lower end of the range.
    'onnxruntime': _Form(QuantType.QUInt8, symmetric=False, options={}),
    # Zero point 0 only; the bias float; Q/DQ around float weights (8.5 takes no others); and
    # nothing between a convolution or sum and the ReLU that it is fused with.
    'tensorrt': _Form(
        QuantType.QInt8,
        symmetric=True,
        options={
            'QuantizeBias': False,
            'AddQDQPairToWeight': True,
            'OpTypesToExcludeOutputQuantization': ['Conv', 'Add'],
        },
    ),
}
"""By target."""

QUANTIZED: Final = frozenset(
    (
        *('Conv', 'Relu', 'Clip', 'Add', 'Concat'),
        *('MaxPool', 'AveragePool', 'GlobalAveragePool', 'Resize'),
    )
)
"""Operators that may become int8. ConvTranspose may not: ONNX Runtime has none for the CPU."""

GOAL: Final = 0.98
"""Share of equal pixels from which no more layers are kept float."""

PARTS: Final = 12
"""Parts of the network, equal in number of layers, that are tried in float one by one."""

_SEARCHED: Final = 8
"""Most frames on which that is measured."""

_AFTER_SCORES: Final = frozenset(
    ('Resize', 'Softmax', 'Sigmoid', 'ArgMax', 'Squeeze', 'Transpose', 'Cast')
)
"""Operators of a network after the layer that gives the scores: they shape or compare these."""


class QuantizerError(ModelError):
    """ONNX Runtime's quantiser cannot do it; the message says why, its caller which file."""


class Int8Result(NamedTuple):
    """What `convert_to_int8` did."""

    agreement: Agreement
    """How well the new file agrees with its source."""
    layers: int
    """Nodes of the network that may become int8."""
    floating: tuple[str, ...]
    """Names of those that stayed float, in the order of the graph."""


def convert_to_int8(  # noqa: PLR0913
    source: Path,
    target: Path,
    calibration: Sequence[NDArray[np.uint8]],
    samples: Iterable[Sample],
    *,
    engine: Target = 'tensorrt',
    origin: str = '',
    on_progress: OnProgress = lambda _: True,
) -> Int8Result:
    """Write a model file in int8, once it agrees with the one it is made of.

    Args:
        source: Model file in fp32.
        target: Model file to write; an earlier one is replaced only by one that agrees.
        calibration: At least one real frame, (H, W, 3) uint8 in the colour order of the card;
            ranges and float layers are chosen on them.
        samples: At least one frame to compare the two on; better others than ``calibration``.
        engine: What shall run it.
        origin: Where ``calibration`` is from, for the card.
        on_progress: Hears how far it is; False cancels.

    Raises:
        ModelError: If the source is no model file or not fp32, nothing in its network can become
            int8, it cannot be converted, or the two disagree.
        BuildCancelled: If ``on_progress`` said so.
        EngineError: If one of the two cannot run.
        OutputError: If the file cannot be written.
    """
    original, card = read_fp32(source, target)
    model = _with_names(original)
    layers = quantizable(model)
    if not layers:
        msg = f'nothing in the network of {source} may become int8, as scores stay float; use fp16'
        raise ModelError(msg)
    tell = _Teller(on_progress)
    frames = [resize_image(frame, card.input_size) for frame in calibration]
    model = equalize(model, channel_maxima(model, frames, tell.phase('ranges of channels')))
    heard = tell.phase('ranges of activations')
    ranges = activation_ranges(model, frames, heard, symmetric=FORMS[engine].symmetric)
    searched = frames[:: -(-len(frames) // _SEARCHED)]
    expected = _labels(original, searched)

    def attempt(floating: frozenset[str]) -> tuple[onnx.ModelProto, float]:
        found = quantize(model, ranges, set(layers) - floating, engine)
        return found, float((_labels(found, searched) == expected).mean())

    try:
        converted, floating = choose_float(
            layers, attempt, tell.phase('choosing the layers that stay float')
        )
    except QuantizerError as error:
        msg = f'{source} cannot be converted to int8: {error}; convert it to fp16 instead'
        raise ModelError(msg) from error
    kept = tuple(name for name in layers if name in floating)
    how = (
        f'--engine {engine}, calibrated on {origin or "frames"} ({len(frames)} frames), '
        f'float layers: {", ".join(kept) or "none"}'
    )
    agreement = keep_if_it_agrees(converted, source, target, samples, precision='int8', how=how)
    return Int8Result(agreement, len(layers), kept)


def quantizable(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that may become int8, in the order of the graph.

    The layer that gives the scores is none of them, nor what comes after it: scores are compared,
    and 256 steps are too few. What a branch (If, Loop) reads stays as well, as ONNX Runtime's
    quantiser does not look into these.

    Args:
        model: A model file's graph; all its nodes have names.
    """
    network = [node for node in model.graph.node if is_network(node)]
    inside = {name for node in network for name in node.output}
    outside = (node for node in model.graph.node if not is_network(node))
    kept = inside.intersection(name for node in outside for name in node.input)
    for node in reversed(network):  # so each comes after all that read it
        if node.op_type in _AFTER_SCORES and kept.intersection(node.output):
            kept.add(node.input[0])
    kept = kept.union(*map(names_read_in_branches, network))
    return [
        node.name
        for node in network
        if node.op_type in QUANTIZED and not kept.intersection(node.output)
    ]


def quantize(
    model: onnx.ModelProto, ranges: Mapping[str, Range], layers: Collection[str], engine: Target
) -> onnx.ModelProto:
    """Put Q/DQ around layers.

    Args:
        model: A model file's graph in fp32; not changed.
        ranges: Of the activations that these layers read and write.
        layers: Names of nodes.
        engine: What shall run it.

    Raises:
        QuantizerError: If ONNX Runtime's quantiser cannot.
    """
    form = FORMS[engine]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    data = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(copy),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=form.activations,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=[node.name for node in model.graph.node if node.name not in layers],
        op_types_to_quantize=sorted(QUANTIZED),
        extra_options={
            'ActivationSymmetric': form.symmetric,
            'WeightSymmetric': True,
            **form.options,
        },
    )
    try:
        quantizer.quantize_model()
    except Exception as error:  # whatever: it raises a dozen kinds
        msg = f"ONNX Runtime's quantiser failed: {' '.join(str(error).split())}"
        raise QuantizerError(msg) from error
    quantizer.model.topological_sort()  # it appends its nodes
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def choose_float(
    layers: Sequence[str],
    attempt: Callable[[frozenset[str]], tuple[onnx.ModelProto, float]],
    heard: Callable[[float], None],
) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Leave as many layers float as it takes to reach `GOAL`, those first that gain most.

    Each part of the network is tried in float alone; then parts are added, the best first, until
    the goal is reached or half of them are float.

    Args:
        layers: Names of nodes, in the order of the graph.
        attempt: Quantises all but some nodes, and returns the model and the share of pixels, 0 to
            1, on which it agrees with its source.
        heard: Is told the share that is done, 0 to 1.

    Returns:
        The best model and the names of the nodes that are float in it.
    """
    none = frozenset[str]()
    converted, share = attempt(none)
    best = (share, converted, none)
    if share >= GOAL:
        return converted, none
    parts = [frozenset(part.tolist()) for part in np.array_split(layers, min(PARTS, len(layers)))]
    alone = []
    steps = len(parts) + len(parts) // 2
    for number, part in enumerate(parts):
        alone.append(attempt(part)[1])
        heard((number + 1) / steps)
    floating = none
    order = sorted(range(len(parts)), key=alone.__getitem__, reverse=True)
    for number, index in enumerate(order[: len(parts) // 2]):
        floating |= parts[index]
        converted, share = attempt(floating)
        heard((len(parts) + number + 1) / steps)
        if share > best[0]:
            best = (share, converted, floating)
        if share >= GOAL:
            break
    return best[1], best[2]


def _labels(model: onnx.ModelProto, frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the label maps, (N, h, w) uint8, of a graph that is in memory."""
    session = GraphSession(model)
    return np.concatenate([session.run([LABELS], frame)[0] for frame in frames])


class _Teller:
    """Tells how far a conversion is."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress, self._started_s = on_progress, time.monotonic()

    def phase(self, name: str) -> Callable[[float], None]:
        """Return what to call with the share that is done of a phase."""

        def heard(share: float) -> None:
            elapsed_s = time.monotonic() - self._started_s
            if not self._on_progress(Progress(phase=name, elapsed_s=elapsed_s, share=share)):
                msg = f'the conversion was cancelled: {name}'
                raise BuildCancelled(msg)

        return heard


def _with_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose nodes all have names: the quantiser knows them by these."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for number, node in enumerate(copy.graph.node):
        node.name = node.name or f'node_{number}'
    return copy
