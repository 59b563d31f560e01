# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Label maps of different class lists in one evaluation: which classes are scored, and as what."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet

ClassMap = Mapping[str, str | None]
"""Name of a class -> name of the class it counts as; None: its pixels are void (labels only)."""


def read_class_map(path: Path) -> dict[str, str | None]:
    """Read a class map from a YAML file: ``name: name`` or ``name: null``.

    Raises:
        ParameterError: If it cannot be read or holds anything else.
    """
    try:
        plain = YAML(typ='safe').load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        msg = f'cannot read class map {path}: {error}'
        raise ParameterError(msg) from error
    if not isinstance(plain, dict) or not all(
        isinstance(name, str) and isinstance(target, str | None) for name, target in plain.items()
    ):
        msg = f'class map {path} must have lines such as `rider: bicyclist` or `ego vehicle: null`'
        raise ParameterError(msg)
    return plain


def choose_classes(
    models: Mapping[str, LabelSet], labels: LabelSet | None, mapping: ClassMap
) -> LabelSet:
    """Choose the class list into which all others can be brought.

    The first model's comes first, then that of the labels, then the second model's.

    Args:
        models: Class list of each model, by what it is called.
        labels: Class list of the labels; None if it is not known.
        mapping: What classes of other lists count as.

    Raises:
        ParameterError: If there is none; the message says what the first model's list lacks.
    """
    first, *others = models.values()
    problems = []
    for target in [first, *([labels] if labels else []), *others]:
        problem = _obstacle(target, models, labels, mapping)
        if problem is None:
            return target
        problems.append(problem)
    raise problems[0]


def _obstacle(
    target: LabelSet, models: Mapping[str, LabelSet], labels: LabelSet | None, mapping: ClassMap
) -> ParameterError | None:
    """Return why not all lists can be brought into another, or None if they can."""
    try:
        for what, source in models.items():
            class_table(source.names, target, mapping, what=what)
        if labels is not None:
            class_table(labels.names, target, mapping, what='the labels', void=True)
    except ParameterError as error:
        return error
    return None


def class_table(
    names: Sequence[str], target: LabelSet, mapping: ClassMap, *, what: str, void: bool = False
) -> NDArray[np.uint8]:
    """Return what the ids of one class list are in another.

    Args:
        names: Class of each id.
        target: The other list.
        mapping: What classes count as; one that it does not name keeps its name.
        what: Whose ids these are, for the message.
        void: Whether a class may count as nothing (labels), or must not (predictions).

    Returns:
        (256,) uint8 id in ``target``; ``IGNORE_ID`` for void and for ids without a class.

    Raises:
        ParameterError: If a class is not in ``target``.
    """
    ids = {name: index for index, name in enumerate(target.names)}
    table = np.full(256, IGNORE_ID, np.uint8)
    missing = []
    for index, name in enumerate(names):
        counts_as = mapping.get(name, name)
        if counts_as in ids:
            table[index] = ids[counts_as]
        elif counts_as is not None or not void:
            missing.append(name)
    if missing:
        msg = (
            f'classes of {what} are not among those that are scored: {_listing(missing)} '
            f'(scored: {_listing(target.names)}); say in a --class-map file what they count as'
        )
        raise ParameterError(msg)
    return table


def _listing(names: Iterable[str]) -> str:
    return ', '.join(names)
