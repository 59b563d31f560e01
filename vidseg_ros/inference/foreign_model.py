# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Reads segmentation networks that were not exported for vidseg."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import onnx
from onnx import inliner, TensorProto, version_converter

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.inference.model_file import OPSET, tensor_info
from vidseg_ros.inference.wrap_settings import Layout, WrapSettings

_STANDARD: Final = ('', 'ai.onnx')

_CHANNEL_AXIS: Final[dict[Layout, int]] = {'nchw': 1, 'nhwc': 3}


@dataclass(frozen=True, kw_only=True)
class ForeignNetwork:
    """A network with one image in and one output chosen.

    Attributes:
        path: Its file.
        model: Its graph in the operator set of the contract, weights included.
        image: Name of the input.
        half: Whether the input is float16 instead of float32.
        layout: Axes of the input.
        size: Height and width of the input, px.
        output: Name of the output.
    """

    path: Path
    model: onnx.ModelProto = field(repr=False)
    image: str
    half: bool
    layout: Layout
    size: tuple[int, int]
    output: str


def read_network(path: Path, settings: WrapSettings) -> ForeignNetwork:
    """Read a foreign ONNX file.

    Args:
        path: The file; tensors that it keeps in files of their own are read, too.
        settings: What the user says about it; the file is checked against it.

    Raises:
        ModelError: If the file is missing, incomplete, already a model file, uses other
            operators than those of ONNX, cannot be brought to operator set 17, or has another
            input or output than the settings and the contract can do with.
    """
    model = load_foreign(path)
    try:
        model = _in_contract_opset(_with_standard_operators(model))
        image = _choose_input(model)
        layout, size = _read_shape(image, settings)
        return ForeignNetwork(
            path=path,
            model=model,
            image=image.name,
            half=image.type.tensor_type.elem_type == TensorProto.FLOAT16,
            layout=layout,
            size=size,
            output=_choose_output(model, settings.output),
        )
    except ModelError as error:
        msg = f'{path}: {error}'
        raise ModelError(msg) from error


def load_foreign(path: Path) -> onnx.ModelProto:
    """Load a foreign ONNX file, whatever it expects.

    Raises:
        ModelError: If the file is missing, incomplete, or already a model file.
    """
    if not path.is_file():
        msg = f'no ONNX file {path}; give the path of an .onnx file'
        raise ModelError(msg)
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf, checker and OS errors share no base
        msg = (
            f'{path} is not a complete ONNX file ({" ".join(str(error).split())}); copy it again, '
            'with the data files that lie beside it'
        )
        raise ModelError(msg) from error
    if not model.graph.node:
        msg = f'{path} is no ONNX file, or an empty one; export it again'
        raise ModelError(msg)
    if any(item.key == METADATA_KEY for item in model.metadata_props):
        msg = f'{path} already is a model file; use it as it is: vidseg inspect {path}'
        raise ModelError(msg)
    return model


def inner_nodes(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a node's branches and loops, at any depth."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield inner
                yield from inner_nodes(inner)


def _with_standard_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    if model.functions:
        model = inliner.inline_local_functions(model)
    others = {
        f'{node.domain}.{node.op_type}'
        for outer in model.graph.node
        for node in (outer, *inner_nodes(outer))
        if node.domain not in _STANDARD
    }
    if others:
        msg = (
            f'it uses operators that are not of ONNX itself ({", ".join(sorted(others))}); '
            'export it with standard operators'
        )
        raise ModelError(msg)
    return model


def _in_contract_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    version = next((o.version for o in model.opset_import if o.domain in _STANDARD), 0)
    if version == OPSET:
        return model
    _drop_idle_attributes(model)
    try:
        converted = version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(converted)
    except Exception as error:  # converter and checker throw what they like
        msg = (
            f'it has operator set {version} and cannot be converted to {OPSET} '
            f'({" ".join(str(error).split())}); export it for {OPSET} '
            f'(torch.onnx.export: opset_version={OPSET}, if need be with dynamo=False)'
        )
        raise ModelError(msg) from error
    return converted


def _drop_idle_attributes(model: onnx.ModelProto) -> None:
    """Remove an attribute that torch writes, that says nothing and stops ONNX's converter."""
    for node in model.graph.node:
        for attribute in list(node.attribute):
            if attribute.name == 'noop_with_empty_axes' and (
                attribute.i == 0 or any(node.input[1:])  # it has axes
            ):
                node.attribute.remove(attribute)


def _choose_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}  # old files list them as inputs
    inputs: list[onnx.ValueInfoProto] = [
        value for value in model.graph.input if value.name not in weights
    ]
    found = ', '.join(str(tensor_info(value)) for value in inputs) or 'none'
    if len(inputs) != 1:
        msg = f'one input is needed, an image; found {found}'
        raise ModelError(msg)
    kind = inputs[0].type.tensor_type
    if kind.elem_type not in (TensorProto.FLOAT, TensorProto.FLOAT16) or len(kind.shape.dim) != 4:
        msg = (
            'the input must be float32 or float16 with four axes, (N, 3, h, w) or (N, h, w, 3); '
            f'found {found}'
        )
        raise ModelError(msg)
    return inputs[0]


def _read_shape(
    image: onnx.ValueInfoProto, settings: WrapSettings
) -> tuple[Layout, tuple[int, int]]:
    """Return layout and size (height, width)."""
    found = tensor_info(image)
    dims = [dim.dim_value or None for dim in image.type.tensor_type.shape.dim]
    layouts: list[Layout] = [
        layout for layout, axis in _CHANNEL_AXIS.items() if dims[axis] in (3, None)
    ]
    certain = [layout for layout in layouts if dims[_CHANNEL_AXIS[layout]] == 3]
    layout = settings.layout or (certain[0] if len(certain) == 1 else None)
    if layout is None and layouts:
        msg = f'input {found} may be nchw or nhwc; say which (layout)'
        raise ModelError(msg)
    if layout not in layouts:
        msg = f'input {found} has no axis of 3 channels where {layout or "one could be"}'
        raise ModelError(msg)
    if dims[0] not in (1, None):
        msg = f'input {found} takes {dims[0]} images at a time; export it with one, or any number'
        raise ModelError(msg)
    height, width = dims[2:] if layout == 'nchw' else dims[1:3]
    wanted_height, wanted_width = settings.size or (height, width)
    if wanted_height is None or wanted_width is None:
        msg = f'input {found} leaves its size free; say at which it works (size: height, width)'
        raise ModelError(msg)
    if height not in (wanted_height, None) or width not in (wanted_width, None):
        msg = f'input {found} is fixed, not {wanted_height} x {wanted_width}; leave size out'
        raise ModelError(msg)
    return layout, (wanted_height, wanted_width)


def _choose_output(model: onnx.ModelProto, wanted: str | None) -> str:
    outputs = {value.name: tensor_info(value) for value in model.graph.output}
    listing = ', '.join(map(str, outputs.values()))
    if wanted is None and len(outputs) > 1:
        msg = f'it has {len(outputs)} outputs, choose one (output): {listing}'
        raise ModelError(msg)
    name = wanted or next(iter(outputs), '')
    if name not in outputs:
        msg = f'it has no output {name!r}; choose one of: {listing or "none"}'
        raise ModelError(msg)
    return name
