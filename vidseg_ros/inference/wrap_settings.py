# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What a user says about a foreign network, because its file does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, Final, get_args, Literal, NoReturn, TypeGuard

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidseg_ros.core.class_list import parse_classes
from vidseg_ros.core.errors import ModelError, ParameterError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ColorOrder
from vidseg_ros.inference.model_builder import Gives

Layout = Literal['nchw', 'nhwc']
"""Order of an image's axes: batch, channel, height, width, or the channel last."""


@dataclass(frozen=True, kw_only=True)
class WrapSettings:
    """What a foreign network expects and says.

    Its input is ``(pixel * scale - mean) / std`` of each channel, pixels from 0 to 255.

    Attributes:
        classes: Classes, in the order of the network's channels or ids.
        mean: Of each channel, in ``order``.
        std: Of each channel, in ``order``; above 0.
        scale: Above 0.
        order: Channel order of the input.
        size: Height and width of the input, px; None takes those of the file.
        layout: Axes of the input; None finds the one of 3 channels.
        output: Name of the output; None takes the only one.
        gives: What the output is; None looks at what it gives.
        confidence: Whether the model file has a confidence, where it can.
        name: Name of the model; None takes that of the file written.
        network: Name of the architecture; None takes the file's name.
        licence: What its data allow users of the weights.
    """

    classes: LabelSet
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    order: ColorOrder = 'rgb8'
    size: tuple[int, int] | None = None
    layout: Layout | None = None
    output: str | None = None
    gives: Gives | None = None
    confidence: bool = True
    name: str | None = None
    network: str | None = None
    licence: str = 'not stated'


REQUIRED: Final = ('classes', 'mean', 'std')
"""Settings of which nothing can be known but from whoever trained the network."""


def load_settings(path: Path | None, flags: Mapping[str, object]) -> WrapSettings:
    """Read settings from a YAML file and flags.

    Args:
        path: A mapping with names of `WrapSettings`; ``classes`` as in
            `vidseg_ros.core.class_list.parse_classes`.
        flags: The same, over those of the file; None is not given.

    Raises:
        ParameterError: If the file cannot be read, or a setting is unknown, missing or wrong.
    """
    where = 'the flags' if path is None else f'{path} and the flags'
    plain = ({} if path is None else _read_yaml(path)) | {
        name: value for name, value in flags.items() if value is not None
    }
    known = [field.name for field in fields(WrapSettings)]
    for name in plain:
        if name not in known:
            msg = f'{where}: no setting {name!r}; choose from {", ".join(known)}'
            raise ParameterError(msg)
    if missing := [name for name in REQUIRED if name not in plain]:
        names, are = ' and '.join(missing), 'are' if len(missing) > 1 else 'is'
        msg = (
            f'{where}: {names} {are} missing; it must be what the network was trained with '
            f'({" ".join(f"--{name}" for name in missing)}, or {names} in the YAML file)'
        )
        raise ParameterError(msg)
    try:
        return WrapSettings(**{name: _CHECKS[name](name, plain[name]) for name in plain})
    except (ParameterError, ModelError) as error:
        msg = f'{where}: {error}'
        raise ParameterError(msg) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        plain = YAML(typ='safe').load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        msg = f'cannot read settings {path}: {" ".join(str(error).split())}'
        raise ParameterError(msg) from error
    if not isinstance(plain, dict):
        msg = f'settings {path} are no YAML mapping of names to values'
        raise ParameterError(msg)
    return {str(name): value for name, value in plain.items()}


def _refuse(name: str, wanted: str, value: object) -> NoReturn:
    msg = f'{name} must be {wanted}, not {value!r:.80}'
    raise ParameterError(msg)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _text(name: str, value: object) -> str:
    return value if isinstance(value, str) and value else _refuse(name, 'a text', value)


def _flag(name: str, value: object) -> bool:
    return value if isinstance(value, bool) else _refuse(name, 'true or false', value)


def _positive(name: str, value: object) -> float:
    return value if _is_number(value) and value > 0 else _refuse(name, 'a number above 0', value)


def _three(name: str, value: object) -> tuple[float, float, float]:
    match value:
        case [red, green, blue] if _is_number(red) and _is_number(green) and _is_number(blue):
            return red, green, blue
    _refuse(name, 'three numbers, one for each channel', value)


def _three_positive(name: str, value: object) -> tuple[float, float, float]:
    three = _three(name, value)
    return three if min(three) > 0 else _refuse(name, 'three numbers above 0', value)


def _size(name: str, value: object) -> tuple[int, int]:
    match value:
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    _refuse(name, '[height, width] in pixels', value)


def _choice(name: str, value: object, *, choices: Sequence[str]) -> Any:  # noqa: ANN401  # a literal
    return value if value in choices else _refuse(name, f'one of {", ".join(choices)}', value)


def _classes(_name: str, value: object) -> LabelSet:
    return parse_classes(value)


_CHECKS: Final[dict[str, Callable[[str, object], Any]]] = {
    'classes': _classes,
    'mean': _three,
    'std': _three_positive,
    'scale': _positive,
    'order': partial(_choice, choices=get_args(ColorOrder)),
    'size': _size,
    'layout': partial(_choice, choices=get_args(Layout)),
    'output': _text,
    'gives': partial(_choice, choices=get_args(Gives)),
    'confidence': _flag,
    'name': _text,
    'network': _text,
    'licence': _text,
}
