# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the segmentation node: declared once, checked when the node is configured."""

from collections.abc import Sequence
from dataclasses import dataclass
import re
from typing import Any, Final, get_args, Literal

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.inference.engine import ENGINES
from vidseg_ros.pipeline import MaskSize

InputType = Literal['auto', 'image', 'compressed']

_CAMERA_NAME: Final = re.compile(r'[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*')
_OPACITY: Final = (0.0, 1.0)
_PERIOD_S: Final = (0.1, 60.0)


@dataclass(frozen=True, kw_only=True)
class NodeParameters:
    """What `configure` needs to know of the segmentation node's parameters.

    Raises:
        ParameterError: If a value is not allowed.
    """

    model: str
    """Name of a shipped model, or the path of a model file."""
    engine: str
    """A key of `vidseg_ros.inference.engine.ENGINES`."""
    cameras: tuple[str, ...]
    """One ``<camera>/image`` each; none: the single topic ``image``."""
    input_type: InputType
    """One of `InputType`."""
    mask_size: MaskSize
    """One of `vidseg_ros.pipeline.MaskSize`."""

    @property
    def wants_info(self) -> bool:
        """Whether masks differ in size from the images, so that they need their CameraInfo."""
        return self.mask_size == 'network'

    def __post_init__(self) -> None:
        """Check what a parameter descriptor cannot."""
        if not self.model:
            msg = "parameter model is '': give the name of a shipped model or the path of a file"
            raise ParameterError(msg)
        for name, choices in (
            ('engine', tuple(ENGINES)),
            ('input_type', get_args(InputType)),
            ('mask_size', get_args(MaskSize)),
        ):
            if getattr(self, name) not in choices:
                msg = (
                    f'parameter {name} is {getattr(self, name)!r}, '
                    f'it must be one of {", ".join(choices)}'
                )
                raise ParameterError(msg)
        for camera in self.cameras:
            if not _CAMERA_NAME.fullmatch(camera):
                msg = (
                    f'parameter cameras has {camera!r}, which is no relative topic name; '
                    "use letters, digits, '_' and '/', such as front or left/color"
                )
                raise ParameterError(msg)
        if len(set(self.cameras)) != len(self.cameras):
            msg = f'parameter cameras repeats a name: {", ".join(self.cameras)}'
            raise ParameterError(msg)


@dataclass(frozen=True, kw_only=True)
class _Declaration:
    default: Any
    """A value, or the type of a parameter that stays unset by default."""
    description: str
    allowed: str
    """What a value must be, for people."""
    limits: tuple[float, float] | None = None
    read_only: bool = True

    def descriptor(self) -> ParameterDescriptor:
        limits = self.limits
        return ParameterDescriptor(
            description=self.description,
            additional_constraints=self.allowed,
            read_only=self.read_only,
            floating_point_range=[]
            if limits is None
            else [FloatingPointRange(from_value=limits[0], to_value=limits[1])],
        )


_DECLARATIONS: Final = {
    'model': _Declaration(
        default='camvid_fddwnet',
        description='Name of a shipped model, or the path of a model file (.onnx)',
        allowed='text',
    ),
    'engine': _Declaration(
        default='onnxruntime',
        description='What runs the model',
        allowed=f'text, one of: {", ".join(ENGINES)}',
    ),
    'cameras': _Declaration(
        default=Parameter.Type.STRING_ARRAY,
        description='Cameras, each with the topic <camera>/image; unset: one topic, image',
        allowed='a list of relative topic names, such as [front, rear]',
    ),
    'input_type': _Declaration(
        default='auto',
        description='sensor_msgs/Image on <topic>, CompressedImage on <topic>/compressed, or '
        'auto: whatever is published, Image first',
        allowed=f'text, one of: {", ".join(get_args(InputType))}',
    ),
    'mask_size': _Declaration(
        default='camera',
        description='Size of the published masks: as the camera image, or as the network gives, '
        'then with a CameraInfo of that size',
        allowed=f'text, one of: {", ".join(get_args(MaskSize))}',
    ),
    'overlay_opacity': _Declaration(
        default=0.5,
        description='Opacity of the classes over the picture in ~/overlay; may change any time',
        allowed=f'a decimal number from {_OPACITY[0]} to {_OPACITY[1]}',
        limits=_OPACITY,
        read_only=False,
    ),
    'diagnostics_period': _Declaration(
        default=1.0,
        description='Seconds between two messages on /diagnostics',
        allowed=f'a decimal number from {_PERIOD_S[0]} to {_PERIOD_S[1]}',
        limits=_PERIOD_S,
    ),
}


def declare_parameters(node: Node) -> list[str]:
    """Declare every parameter of the node; start-up values that do not fit are set aside.

    rclpy refuses a bad start-up value at declaration, long before anybody listens. Here the
    parameter gets its default instead, and the complaint is for `read_parameters`.

    Returns:
        One message for each refused value: name, value and what is allowed.
    """
    problems = []
    for name, declaration in _DECLARATIONS.items():
        descriptor = declaration.descriptor()
        try:
            node.declare_parameter(name, declaration.default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            problems.append(f'parameter {name} must be {declaration.allowed}: {error}')
            node.declare_parameter(name, declaration.default, descriptor, ignore_override=True)
    return problems


def read_parameters(node: Node, problems: Sequence[str]) -> NodeParameters:
    """Read and check the start-up parameters.

    Args:
        node: The node after `declare_parameters`.
        problems: What `declare_parameters` returned.

    Raises:
        ParameterError: If there are problems, or a value is not allowed.
    """
    if problems:
        raise ParameterError('; '.join(problems))
    cameras = node.get_parameter_or(
        'cameras', Parameter('cameras', Parameter.Type.STRING_ARRAY, [])
    )
    return NodeParameters(
        model=node.get_parameter('model').value,
        engine=node.get_parameter('engine').value,
        cameras=tuple(cameras.value),
        input_type=node.get_parameter('input_type').value,
        mask_size=node.get_parameter('mask_size').value,
    )
