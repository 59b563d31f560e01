# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Half precision: the model file of another one, with float16 weights and arithmetic.

Only the network becomes float16. What `model_builder` puts around it (resizing, normalising, the
choice of the class, the confidence) stays float32: it costs little and rounds much.
"""

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import helper, TensorProto
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from vidseg_ros.core.errors import ModelError
from vidseg_ros.inference.agreement import Agreement, Sample
from vidseg_ros.inference.conversion import is_network, keep_if_it_agrees, read_fp32


def convert_to_fp16(source: Path, target: Path, samples: Iterable[Sample]) -> Agreement:
    """Write a model file in half precision, once it agrees with the one it is made of.

    Args:
        source: Model file in fp32.
        target: Model file to write; an earlier one is replaced only by one that agrees.
        samples: At least one frame to compare the two on, in the colour order of the card.

    Returns:
        How well the two agree.

    Raises:
        ModelError: If the source is no model file or not fp32, its network cannot be converted,
            or the two disagree.
        EngineError: If one of the two cannot run.
        OutputError: If the file cannot be written.
    """
    model, _ = read_fp32(source, target)
    try:
        half = to_half(model)
    except Exception as error:  # the converter and ONNX's checks share no base
        msg = f'{source} cannot be converted to fp16: {" ".join(str(error).split())}'
        raise ModelError(msg) from error
    return keep_if_it_agrees(half, source, target, samples, precision='fp16', how='')


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model file's graph with its network in float16, between two casts.

    By ONNX Runtime's converter, which leaves alone what float16 cannot do. Of a whole model file
    it would write float32 parts that do not follow from one another, so it gets the network only.

    Args:
        model: As `build_model` makes it; not changed.

    Raises:
        ModelError: If there is no network in it as `build_model` puts it there.
    """
    graph = model.graph
    inside = [is_network(node) for node in graph.node]
    network = [node for node, here in zip(graph.node, inside, strict=True) if here]
    around = [node for node, here in zip(graph.node, inside, strict=True) if not here]
    images = _passed(around, network)
    scores = _passed(network, around)
    if len(images) != 1 or len(scores) != 1:
        msg = f'its network has {len(images)} inputs and {len(scores)} outputs, one of each is due'
        raise ModelError(msg)
    weights = [tensor for tensor in graph.initializer if not tensor.name.startswith('vidseg.')]
    half = convert_float_to_float16(
        helper.make_model(
            helper.make_graph(network, 'network', _floats(images), _floats(scores), weights),
            opset_imports=model.opset_import,
        ),
        keep_io_types=True,
    ).graph
    first = inside.index(True)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.initializer[:], copy.graph.value_info[:]
    copy.graph.node.extend([*around[:first], *half.node, *around[first:]])
    constants = [tensor for tensor in graph.initializer if tensor.name.startswith('vidseg.')]
    copy.graph.initializer.extend([*half.initializer, *constants])
    OnnxModel.graph_topological_sort(copy.graph)  # the converter appends its casts
    onnx.checker.check_model(copy, full_check=True)
    return copy


def _passed(makers: Iterable[onnx.NodeProto], users: Iterable[onnx.NodeProto]) -> list[str]:
    """Return the names of what some nodes make and others use."""
    made = {name for node in makers for name in node.output}
    return sorted(made.intersection(name for node in users for name in node.input))


def _floats(names: Iterable[str]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
