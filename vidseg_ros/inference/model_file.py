# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The model file: one ONNX that takes camera frames and returns label maps, with its card inside.

``frames`` uint8 (N, H, W, 3) -> ``labels`` uint8 (N, h, w) and optionally ``confidence`` uint8
(N, h, w). See docs/model_file.md for the contract.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import tempfile
from typing import Final

import numpy as np
import onnx

from vidseg_ros.core.errors import ModelError, OutputError
from vidseg_ros.core.model_card import METADATA_KEY, ModelCard

INPUT: Final = 'frames'
LABELS: Final = 'labels'
CONFIDENCE: Final = 'confidence'
OPSET: Final = 17


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """Name, type and shape of an input or output, as people read them."""

    name: str
    """Name in the graph."""
    dtype: str
    """Element type, such as ``uint8``."""
    shape: tuple[str, ...]
    """Sizes; a name where a size is free."""

    def __str__(self) -> str:
        """Return all of it for people, such as ``labels: uint8 (N, 360, 480)``."""
        return f'{self.name}: {self.dtype} ({", ".join(self.shape)})'


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """What `read_model` finds in a file."""

    path: Path
    """The file."""
    card: ModelCard
    """Its card."""
    inputs: tuple[TensorInfo, ...]
    """Inputs of the graph."""
    outputs: tuple[TensorInfo, ...]
    """Outputs of the graph."""
    parameters: int
    """Number of trained numbers."""
    opset: int
    """Version of the standard operator set."""

    @property
    def has_confidence(self) -> bool:
        """Whether the optional output ``confidence`` is there."""
        return any(tensor.name == CONFIDENCE for tensor in self.outputs)


def read_model(path: Path) -> ModelFile:
    """Read a model file and check it against the contract.

    Args:
        path: An ONNX file.

    Raises:
        ModelError: If the file is missing, truncated, no ONNX, has no card or another card
            schema, or breaks the contract.
    """
    if not path.is_file():
        msg = f'no model file {path}; give the path of an .onnx file'
        raise ModelError(msg)
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001  # protobuf, checker and OS errors share no base
        msg = (
            f'{path} is not a complete ONNX file ({str(error).splitlines()[0]}); '
            'copy or export it again'
        )
        raise ModelError(msg) from None
    try:
        return describe(model, path)
    except ModelError as error:
        msg = f'{path}: {error}'
        raise ModelError(msg) from None


def describe(model: onnx.ModelProto, path: Path) -> ModelFile:
    """Check a loaded model against the contract; arguments and errors as in `read_model`."""
    cards = [item.value for item in model.metadata_props if item.key == METADATA_KEY]
    if not cards:
        msg = (
            f'no {METADATA_KEY!r} in the metadata: this ONNX file was not written for vidseg; '
            'export it with vidseg-train'
        )
        raise ModelError(msg)
    card = ModelCard.from_json(cards[0])
    graph = model.graph
    inputs = tuple(tensor_info(value) for value in graph.input)
    outputs = tuple(tensor_info(value) for value in graph.output)
    opset = next(
        (item.version for item in model.opset_import if item.domain in ('', 'ai.onnx')), 0
    )
    if opset != OPSET:
        msg = f'operator set {opset}, the contract says {OPSET}; export the model again'
        raise ModelError(msg)
    _check_io(inputs, outputs)
    return ModelFile(
        path=path,
        card=card,
        inputs=inputs,
        outputs=outputs,
        parameters=count_parameters(model),
        opset=opset,
    )


def write_card(path: Path, card: ModelCard) -> None:
    """Replace the card of a model file."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)


@contextmanager
def replaced_when_whole(target: Path) -> Iterator[Path]:
    """Give a draft to write; it becomes the target, at once, unless the body raises.

    Args:
        target: Where the model file shall be; its folder is made.

    Yields:
        A file of the same name in a folder beside the target, which is gone afterwards.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            draft = Path(scratch) / target.name
            yield draft
            os.replace(draft, target)  # noqa: PTH105  # atomic on POSIX
    except OSError as error:
        msg = f'cannot write {target}: {error.strerror or error}; choose another --out'
        raise OutputError(msg) from error


def count_parameters(model: onnx.ModelProto) -> int:
    """Count trained numbers: float initialisers, and 8-bit weights with their 32-bit bias."""
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    quantizers = [
        node for node in model.graph.node if node.op_type in {'QuantizeLinear', 'DequantizeLinear'}
    ]
    if quantizers:
        kinds |= {onnx.TensorProto.INT8, onnx.TensorProto.INT32}
    steps = {name for node in quantizers for name in node.input[1:]}  # scales and zero points
    return sum(
        int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.data_type in kinds
        and tensor.name not in steps
        and not tensor.name.startswith('vidseg.')
    )


def tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    """Return name, type and shape of an input or output of a graph."""
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    shape = tuple(dim.dim_param or str(dim.dim_value or '?') for dim in kind.shape.dim)
    return TensorInfo(name=value.name, dtype=dtype, shape=shape)


def _check_io(inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> None:
    found_in = [(t.name, t.dtype, len(t.shape)) for t in inputs]
    if found_in != [(INPUT, 'uint8', 4)] or inputs[0].shape[3] != '3':
        msg = f'the input must be {INPUT!r}, uint8 (N, H, W, 3), found {inputs}'
        raise ModelError(msg)
    found_out = [(t.name, t.dtype, len(t.shape)) for t in outputs]
    allowed = [(LABELS, 'uint8', 3), (CONFIDENCE, 'uint8', 3)]
    if found_out not in (allowed[:1], allowed):
        msg = (
            f'the outputs must be {LABELS!r} and, if wanted, {CONFIDENCE!r}, '
            f'uint8 (N, h, w), found {outputs}'
        )
        raise ModelError(msg)
