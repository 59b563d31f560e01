# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the segmentation node: declared once, checked when the node is configured."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
import re
from typing import Any, Final, get_args, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.resources import DEFAULT_MODEL
from vidseg_ros.inference.engine import AUTO, CHOICES, ENGINES
from vidseg_ros.nodes.diagnostics import Limits
from vidseg_ros.pipeline import MaskSize

InputType = Literal['auto', 'image', 'compressed']

QOS_OVERRIDES: Final = 'qos_overrides.'
"""How the parameters of endpoints begin; rclpy declares them when it creates an endpoint."""

_OF_ROS: Final = ('use_sim_time', 'start_type_description_service')
"""Parameters of every node, which not every ROS 2 declares."""

_MISSPELT: Final = 0.9
"""Likeness (of difflib, 1 = equal) from which a name is one of the node's with a letter wrong.

``max_range``, ``map_size`` and ``mode``, parameters of other nodes, reach 0.82 to 0.89.
"""

_CAMERA_NAME: Final = re.compile(r'[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*')
_TAKEN_NAMES: Final = ('engine', 'graph')
_GPU: Final = (0, 63)
_OPACITY: Final = (0.0, 1.0)
_PERIOD_S: Final = (0.1, 60.0)
_TIMEOUT_S: Final = (0.1, 3600.0)
_AGE_S: Final = (0.01, 3600.0)


@dataclass(frozen=True, kw_only=True)
class NodeParameters:
    """What `configure` needs to know of the segmentation node's parameters.

    Raises:
        ParameterError: If a value is not allowed.
    """

    model: str
    """Name of a shipped model, or the path of a model file."""
    engine: str
    """One of `vidseg_ros.inference.engine.CHOICES`."""
    gpu: int
    """Number of the GPU that TensorRT uses."""
    image_size: tuple[int, ...]
    """Height and width of the images (px), for which TensorRT is built; none: not known."""
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
            ('engine', (AUTO, *ENGINES)),
            ('input_type', get_args(InputType)),
            ('mask_size', get_args(MaskSize)),
        ):
            if getattr(self, name) not in choices:
                msg = (
                    f'parameter {name} is {getattr(self, name)!r}, '
                    f'it must be one of {", ".join(choices)}'
                )
                raise ParameterError(msg)
        if len(self.image_size) not in (0, 2) or min(self.image_size, default=1) < 1:
            msg = (
                f'parameter image_size is {list(self.image_size)}, it must be height and width in '
                'pixels, such as [1080, 1920]'
            )
            raise ParameterError(msg)
        for camera in self.cameras:
            if not _CAMERA_NAME.fullmatch(camera):
                msg = (
                    f'parameter cameras has {camera!r}, which is no relative topic name; '
                    "use letters, digits, '_' and '/', such as front or left/color"
                )
                raise ParameterError(msg)
            if camera in _TAKEN_NAMES:
                msg = (
                    f'parameter cameras has {camera!r}, but the node has a status of that name on '
                    '/diagnostics; choose another, such as front'
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
    fixed: str = ''
    """Why it cannot change while the node runs; '' if it can."""
    limits: tuple[float, float] | None = None
    """Least and largest value; whole numbers are for a parameter of whole numbers."""

    def descriptor(self) -> ParameterDescriptor:
        limits = self.limits
        when = f'only at start-up: {self.fixed}' if self.fixed else 'may change at run time'
        return ParameterDescriptor(
            description=self.description,
            additional_constraints=f'{self.allowed}; {when}',
            read_only=bool(self.fixed),
            **{} if limits is None else _range(*limits),
        )


def _range(least: float, most: float) -> dict[str, list[FloatingPointRange | IntegerRange]]:
    if isinstance(least, int) and isinstance(most, int):
        return {'integer_range': [IntegerRange(from_value=least, to_value=most, step=1)]}
    return {'floating_point_range': [FloatingPointRange(from_value=least, to_value=most)]}


_DECLARATIONS: Final = {
    'model': _Declaration(
        default=DEFAULT_MODEL,
        description='Name of a shipped model, or the path of a model file (.onnx); one that '
        'cannot be used is refused, and the model before goes on',
        allowed='text',
    ),
    'engine': _Declaration(
        default=AUTO,
        description='What runs the model; auto: TensorRT where it works, else ONNX Runtime',
        allowed=f'text, one of: {", ".join(CHOICES)}',
        fixed='it belongs to the machine',
    ),
    'gpu': _Declaration(
        default=0,
        description='Number of the GPU that TensorRT uses, as CUDA counts them',
        allowed=f'a whole number from {_GPU[0]} to {_GPU[1]}',
        fixed='it belongs to the machine',
        limits=_GPU,
    ),
    'image_size': _Declaration(
        default=Parameter.Type.INTEGER_ARRAY,
        description='Height and width of the images in pixels, so that TensorRT shrinks them on '
        'the GPU; unset: as in the engine that is there, else the CPU shrinks them',
        allowed='two whole numbers, such as [1080, 1920]',
        fixed='the engine is built for it',
    ),
    'cameras': _Declaration(
        default=Parameter.Type.STRING_ARRAY,
        description='Cameras, each with the topic <camera>/image; unset: one topic, image',
        allowed='a list of relative topic names, such as [front, rear]',
        fixed='whoever listens to the topics relies on them',
    ),
    'input_type': _Declaration(
        default='auto',
        description='sensor_msgs/Image on <topic>, CompressedImage on <topic>/compressed, or '
        'auto: whatever is published, Image first',
        allowed=f'text, one of: {", ".join(get_args(InputType))}',
        fixed='the subscriptions follow from it',
    ),
    'mask_size': _Declaration(
        default='camera',
        description='Size of the published masks: as the camera image, or as the network gives, '
        'then with a CameraInfo of that size',
        allowed=f'text, one of: {", ".join(get_args(MaskSize))}',
        fixed='consumers rely on the size',
    ),
    'overlay_opacity': _Declaration(
        default=0.5,
        description='Opacity of the classes over the picture in ~/overlay',
        allowed=f'a decimal number from {_OPACITY[0]} to {_OPACITY[1]}',
        limits=_OPACITY,
    ),
    'camera_timeout': _Declaration(
        default=2.0,
        description='Seconds without an image that can be decoded, or from an image to a mask, '
        'after which /diagnostics reports an error of that camera',
        allowed=f'a decimal number from {_TIMEOUT_S[0]} to {_TIMEOUT_S[1]}',
        limits=_TIMEOUT_S,
    ),
    'max_age': _Declaration(
        default=1.0,
        description='Age of published masks (clock minus stamp, 95 of 100), in seconds, above '
        'which /diagnostics warns',
        allowed=f'a decimal number from {_AGE_S[0]} to {_AGE_S[1]}',
        limits=_AGE_S,
    ),
    'diagnostics_period': _Declaration(
        default=1.0,
        description='Seconds between two messages on /diagnostics',
        allowed=f'a decimal number from {_PERIOD_S[0]} to {_PERIOD_S[1]}',
        fixed='monitors are set up for one period',
        limits=_PERIOD_S,
    ),
}


def declare_parameters(node: Node) -> dict[str, str]:
    """Declare every parameter of the node; start-up values that do not fit are set aside.

    rclpy refuses a bad start-up value at declaration, long before anybody listens. Here the
    parameter gets its default instead, and the complaint is for `read_parameters`. A value for a
    name that does not exist rclpy takes without a word; that is a complaint as well where the name
    is nearly one of the node's that has no value. Others may be meant for other nodes: a file may
    say ``/**``.

    Returns:
        By name of the parameter, a message for each refused value: name, value and what is
        allowed, or the nearest name.
    """
    problems = {}
    for name, declaration in _DECLARATIONS.items():
        descriptor = declaration.descriptor()
        try:
            node.declare_parameter(name, declaration.default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            problems[name] = f'parameter {name} must be {declaration.allowed}: {error}'
            node.declare_parameter(name, declaration.default, descriptor, ignore_override=True)
    unset = [name for name in _DECLARATIONS if name not in _given(node)]
    for name in find_undeclared(node):
        if near := get_close_matches(name, unset, n=1, cutoff=_MISSPELT):
            problems[name] = (
                f'parameter {name} does not exist; did you mean {near[0]}? Correct it and start '
                'the node again'
            )
    return problems


def find_undeclared(node: Node) -> list[str]:
    """Return names that were given values at start-up, but are no parameters of the node now."""
    return sorted(
        name for name in _given(node) if name not in _OF_ROS and not node.has_parameter(name)
    )


def _given(node: Node) -> Mapping[str, Parameter]:
    given: Mapping[str, Parameter] = node._parameter_overrides  # noqa: SLF001  # no public way
    return given


def describe_unused(node: Node) -> dict[str, str]:
    """Say by name which start-up values have no effect, once all endpoints are there."""
    known = [f'{QOS_OVERRIDES}{name}' for name in node.get_parameters_by_prefix('qos_overrides')]
    return {
        name: f'parameter {name} has no effect: no endpoint has it; those of the nearest name are '
        f'{", ".join(get_close_matches(name, known)) or "none"}'
        if name.startswith(QOS_OVERRIDES)
        else f'parameter {name} has no effect: the node has none of this name'
        for name in find_undeclared(node)
    }


def read_limits(node: Node) -> Limits:
    """Read what may change at any time: the limits for `vidseg_ros.nodes.diagnostics`."""
    return Limits(
        camera_timeout_s=node.get_parameter('camera_timeout').value,
        max_age_s=node.get_parameter('max_age').value,
    )


def read_parameters(node: Node, problems: Mapping[str, str]) -> NodeParameters:
    """Read and check what the node is configured with.

    Args:
        node: The node after `declare_parameters`.
        problems: What `declare_parameters` returned, less what was set since.

    Raises:
        ParameterError: If there are problems, or a value is not allowed.
    """
    if problems:
        raise ParameterError('; '.join(problems.values()))
    cameras = node.get_parameter_or(
        'cameras', Parameter('cameras', Parameter.Type.STRING_ARRAY, [])
    )
    image_size = node.get_parameter_or(
        'image_size', Parameter('image_size', Parameter.Type.INTEGER_ARRAY, [])
    )
    return NodeParameters(
        model=node.get_parameter('model').value,
        engine=node.get_parameter('engine').value,
        gpu=node.get_parameter('gpu').value,
        image_size=tuple(image_size.value),
        cameras=tuple(cameras.value),
        input_type=node.get_parameter('input_type').value,
        mask_size=node.get_parameter('mask_size').value,
    )
