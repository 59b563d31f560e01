# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Class lists as people write them into YAML files."""

from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.labels import CAMVID, CITYSCAPES, LabelSet, STREET

LABEL_SETS: Final = {'camvid': CAMVID, 'cityscapes': CITYSCAPES, 'street': STREET}
"""Class lists that have a name."""


def parse_classes(plain: object) -> LabelSet:
    """Make a label set out of what a YAML file says.

    Args:
        plain: A name out of `LABEL_SETS`, or a list of class names in the order of their ids, each
            alone or as ``{name: ..., color: [red, green, blue]}``.

    Raises:
        ModelError: If it is neither, or names, colours or their number cannot be.
    """
    if isinstance(plain, str):
        if plain not in LABEL_SETS:
            msg = f'classes must be one of {", ".join(LABEL_SETS)}, or a list, not {plain!r}'
            raise ModelError(msg)
        return LABEL_SETS[plain]
    if not isinstance(plain, list):
        known = ', '.join(LABEL_SETS)
        msg = f'classes must be a list of classes, or one of {known}, not {plain!r:.80}'
        raise ModelError(msg)
    names, colors = [], []
    for number, item in enumerate(plain, start=1):
        match item:
            case str():
                names.append(item)
                colors.append(_distinct_color(number))
            case {'name': str(text), 'color': [int(red), int(green), int(blue)]}:
                names.append(text)
                colors.append((red, green, blue))
            case _:
                msg = (
                    'classes must be class names, or {name: ..., color: [red, green, blue]}, '
                    f'not {item!r:.80}'
                )
                raise ModelError(msg)
    return LabelSet(names=tuple(names), colors=tuple(colors))


def read_classes(name_or_path: str) -> LabelSet:
    """Return a label set by name, or the one that a YAML file describes, see `parse_classes`.

    Args:
        name_or_path: A name out of `LABEL_SETS`, or a file that holds the list, alone or under
            the key ``classes``.

    Raises:
        ModelError: If the file cannot be read or holds anything else.
    """
    if name_or_path in LABEL_SETS:
        return LABEL_SETS[name_or_path]
    try:
        plain = YAML(typ='safe').load(Path(name_or_path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        known = ', '.join(LABEL_SETS)
        msg = f'cannot read classes from {name_or_path}: {error}; give a YAML file or {known}'
        raise ModelError(msg) from error
    try:
        return parse_classes(plain['classes'] if isinstance(plain, dict) else plain)
    except (ModelError, KeyError) as error:
        what = "no key 'classes'" if isinstance(error, KeyError) else error
        msg = f'{name_or_path}: {what}'
        raise ModelError(msg) from None


def _distinct_color(number: int) -> tuple[int, int, int]:
    """Deal the bits of a number out to red, green and blue: 1, 2, 3, … give colours far apart."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return channels[0], channels[1], channels[2]
