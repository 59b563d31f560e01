# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The card inside every model file: what the network sees, what it says, how good it is."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
import json
from math import isfinite
from typing import Any, Final, get_args, Literal, NoReturn

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet

METADATA_KEY: Final = 'vidseg.card'
"""Key of the card in the ONNX file's metadata."""

SCHEMA: Final = 1
"""Version of the card's layout; a reader accepts exactly its own."""

ColorOrder = Literal['rgb8', 'bgr8']


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """One data set or set of weights that went into a model."""

    name: str
    """Name, with the split."""
    licence: str
    """Licence as its owner states it."""
    use: str
    """What it was used for."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured score."""

    metric: str
    """Name, such as ``mIoU``."""
    value: float
    """Value; mIoU from 0 to 1."""
    protocol: str
    """Data, resolution, classes and choices that make the number reproducible."""
    note: str = ''
    """What a reader should know of it, such as that the labels of these frames were learned."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model file says about itself.

    Attributes:
        name: Name of the model.
        network: Name of the architecture.
        labels: Classes of the label map.
        input_order: Colour order of the input frames.
        input_size: Height and width in pixels at which the network works.
        precision: Arithmetic of the network, such as ``fp32``.
        licence: What the data allow users of the weights.
        recipe: The command that trained it.
        datasets: Data and weights it was made from.
        scores: Measured scores.
    """

    name: str
    network: str
    labels: LabelSet
    input_order: ColorOrder
    input_size: tuple[int, int]
    precision: str
    licence: str
    recipe: str
    datasets: tuple[DataSource, ...]
    scores: tuple[Score, ...]

    def to_json(self) -> str:
        """Return the card as one JSON object."""
        labels = [
            {'id': index, 'name': name, 'color': list(color)}
            for index, (name, color) in enumerate(
                zip(self.labels.names, self.labels.colors, strict=True)
            )
        ]
        plain = {
            'schema': SCHEMA,
            'name': self.name,
            'network': self.network,
            'labels': labels,
            'ignore_id': IGNORE_ID,
            'input_order': self.input_order,
            'input_size': list(self.input_size),
            'precision': self.precision,
            'licence': self.licence,
            'recipe': self.recipe,
            'datasets': [vars(source) for source in self.datasets],
            'scores': [
                {name: value for name, value in vars(score).items() if name != 'note' or value}
                for score in self.scores
            ],
        }
        return json.dumps(plain, indent=2)

    @classmethod
    def from_json(cls, text: str) -> 'ModelCard':
        """Read a card.

        Args:
            text: JSON as written by `to_json`.

        Raises:
            ModelError: If the text is no JSON object, has another schema version, or a field is
                missing or of the wrong type.
        """
        try:
            plain = json.loads(text)
        except json.JSONDecodeError as error:
            msg = f'the model card is not valid JSON ({error}); export the model again'
            raise ModelError(msg) from None
        if not isinstance(plain, dict):
            msg = 'the model card is not a JSON object; export the model again'
            raise ModelError(msg)
        schema = plain.get('schema')
        if schema != SCHEMA:
            msg = (
                f'the model card has schema {schema!r}, this version reads schema {SCHEMA}; '
                'export the model again with this version, or install the version that wrote it'
            )
            raise ModelError(msg)
        return cls(
            labels=_read_labels(plain),
            input_order=_read_order(plain),
            input_size=_read_size(plain),
            datasets=tuple(
                DataSource(**{f.name: _read_str(item, f.name) for f in fields(DataSource)})
                for item in _read_list(plain, 'datasets')
            ),
            scores=tuple(
                Score(
                    metric=_read_str(item, 'metric'),
                    value=_read_number(item, 'value'),
                    protocol=_read_str(item, 'protocol'),
                    note=_read_str({'note': '', **item}, 'note'),
                )
                for item in _read_list(plain, 'scores')
            ),
            **{
                name: _read_str(plain, name)
                for name in ('name', 'network', 'precision', 'licence', 'recipe')
            },
        )


def _reject(field: str, wanted: str, value: object) -> NoReturn:
    found = 'nothing' if value is None else f'{value!r:.80}'
    msg = f'the model card field {field!r} must be {wanted}, found {found}; export the model again'
    raise ModelError(msg)


def _read_str(plain: Mapping[str, Any], field: str) -> str:
    value = plain.get(field)
    if not isinstance(value, str):
        _reject(field, 'a text', value)
    return value


def _read_number(plain: Mapping[str, Any], field: str) -> float:
    value = plain.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        _reject(field, 'a finite number', value)
    return float(value)


def _read_list(plain: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    value = plain.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _reject(field, 'a list of objects', value)
    return value


def _read_order(plain: Mapping[str, Any]) -> ColorOrder:
    value = plain.get('input_order')
    for order in get_args(ColorOrder):
        if value == order:
            return order  # type: ignore[no-any-return]  # get_args loses the literal type
    _reject('input_order', f'one of {", ".join(get_args(ColorOrder))}', value)


def _read_size(plain: Mapping[str, Any]) -> tuple[int, int]:
    value = plain.get('input_size')
    match value:
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    _reject('input_size', '[height, width] in pixels', value)


def _read_labels(plain: Mapping[str, Any]) -> LabelSet:
    items = _read_list(plain, 'labels')
    if [item.get('id') for item in items] != list(range(len(items))):
        _reject('labels', 'classes with ids 0, 1, 2, … in order', [i.get('id') for i in items])
    if plain.get('ignore_id') != IGNORE_ID:
        _reject('ignore_id', str(IGNORE_ID), plain.get('ignore_id'))
    colors = []
    for item in items:
        match item.get('color'):
            case [int(red), int(green), int(blue)]:
                colors.append((red, green, blue))
            case other:
                _reject('labels.color', '[red, green, blue]', other)
    names = tuple(_read_str(item, 'name') for item in items)
    return LabelSet(names=names, colors=tuple(colors))
