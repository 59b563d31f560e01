# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The settings of a run as text in its files, and what of them may change on its way."""

from dataclasses import asdict, fields, is_dataclass, MISSING
import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints, Literal, TypeVar, Union

from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_training.config import TrainConfig

_Settings = TypeVar('_Settings')

FREELY: Final = (
    'data',
    'checkpoint_steps',
    'keep_images',
    'validate_epochs',
    'sample_pictures',
    'tensorboard',
    'workers',
)
"""Settings that may change between two calls of one run: they do not touch its outcome."""

MOVABLE: Final = (
    'init',
    'teacher',
    'unlabelled',
    'propagated',
    'consistency.clips',
    'consistency.motion',
    'distillation.teacher',
)
"""Settings that name files: those may lie elsewhere in the next call, but not be others."""

_PICTURE_ERROR_BEFORE: Final = 57.63
"""`ConsistencyConfig.picture_error` of runs from before it could be given."""

_KINDS: Final = {
    bool: 'true or false',
    float: 'a number',
    int: 'a whole number',
    Path: 'a path',
    str: 'a text',
}
"""What settings are, for messages."""


def settings_text(config: TrainConfig) -> str:
    """Write settings as JSON."""
    return json.dumps(asdict(config), default=str, sort_keys=True)


def parse_settings(text: str, origin: object) -> TrainConfig:
    """Read `settings_text`; a setting that is not there has its default, or what it was then.

    Args:
        text: The settings.
        origin: File that has them, for the message.

    Raises:
        SourceError: If they are no JSON, or one is unknown, of another kind, not among the choices
            of this version or out of range.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        msg = f'the settings in {origin} are no JSON: the file is damaged, take a copy of it'
        raise SourceError(msg) from error
    block = plain.get('consistency') if isinstance(plain, dict) else None
    if isinstance(block, dict) and block.get('temporal'):
        block.setdefault('picture_error', _PICTURE_ERROR_BEFORE)
    try:
        return _parse(TrainConfig, plain)
    except (ParameterError, ValueError) as error:
        msg = (
            f'cannot use the settings in {origin}: {error}. The run is of another version of '
            'vidseg-train, or damaged: use that version, or train again'
        )
        raise SourceError(msg) from error


def _parse(kind: type[_Settings], plain: Any, prefix: str = '') -> _Settings:  # noqa: ANN401  # JSON
    """Build settings from JSON.

    Args:
        kind: Their class.
        plain: What the JSON has for it.
        prefix: Stands before the names of settings in messages.

    Raises:
        ValueError: If something does not fit.
        ParameterError: If a value is out of range.
    """
    if not isinstance(plain, dict):
        msg = f'{prefix[:-1] or "all"} is {plain!r}, not settings by name'
        raise ValueError(msg)  # noqa: TRY004  # translated by `parse_settings`
    hints = get_type_hints(kind)
    if unknown := sorted(set(plain) - set(hints)):
        msg = f'the settings {", ".join(prefix + name for name in unknown)} are unknown'
        raise ValueError(msg)
    for field in fields(kind):  # type: ignore[arg-type]  # settings are dataclasses
        if field.name not in plain and field.default is field.default_factory is MISSING:
            msg = f'the setting {prefix + field.name} is not there'
            raise ValueError(msg)
    return kind(**{name: _typed(hints[name], plain[name], prefix + name) for name in plain})


def _typed(hint: Any, value: Any, name: str) -> Any:  # noqa: ANN401  # JSON of any field
    """Return the value of a field from JSON; arguments and errors as in `_parse`."""
    kind, choices = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return _parse(hint, value, f'{name}.')
    if kind in (Union, UnionType):
        (other,) = (choice for choice in choices if choice is not NoneType)
        return None if value is None else _typed(other, value, name)
    if kind is Literal:
        fits, what = value in choices, f'one of {", ".join(choices)}'
    elif kind is tuple:
        many = isinstance(value, list) and choices[-1] is ...
        kinds = [choices[0]] * len(value) if many else choices
        if isinstance(value, list) and len(kinds) == len(value):
            return tuple(_typed(*pair, name) for pair in zip(kinds, value, strict=True))
        fits, what = False, 'a list as long as this version has it'
    else:
        types: Any = {Path: str, float: (float, int)}.get(hint, hint)
        fits = isinstance(value, types) and (hint is bool or not isinstance(value, bool))
        what = _KINDS[hint]
    if not fits:
        msg = f'{name} is {value!r}, not {what}'
        raise ValueError(msg)
    return Path(value) if hint is Path else value


def flat_settings(settings: Any, prefix: str = '') -> dict[str, Any]:  # noqa: ANN401  # a dataclass
    """Return settings by name; those of a block have its name before theirs, with a dot."""
    flat: dict[str, Any] = {}
    for name, value in vars(settings).items():
        if is_dataclass(value):
            flat |= flat_settings(value, f'{prefix}{name}.')
        else:
            flat[prefix + name] = value
    return flat


def changed_settings(before: TrainConfig, now: TrainConfig) -> list[str]:
    """Name the settings that decide a run's outcome and differ between two calls of it."""

    def outcome(name: str, value: Any) -> object:  # noqa: ANN401  # of any setting
        if name in MOVABLE and value is not None:
            paths = [value] if isinstance(value, str | Path) else value
            return [Path(path).name for path in paths]
        return value

    old, new = flat_settings(before), flat_settings(now)
    names = [name for name in sorted(new) if name not in FREELY]
    return [name for name in names if outcome(name, old[name]) != outcome(name, new[name])]
