# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Label maps of different class lists in one evaluation: which classes are scored, and as what."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidseg_ros.core.class_list import LABEL_SETS, parse_classes
from vidseg_ros.core.errors import ModelError, ParameterError
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
    models: Mapping[str, LabelSet],
    labels: LabelSet | None,
    mapping: ClassMap,
    recorded: Sequence[tuple[str, ...]] = (),
) -> LabelSet:
    """Choose the class list into which those of the models and of the labels can be brought.

    Among several, the one into which most of the recorded lists can be brought; then the first
    model's, that of the labels, a recorded one, the second model's.

    Args:
        models: Class list of each model, by what it is called.
        labels: Class list of all labels; None if nobody said which.
        mapping: What classes of other lists count as.
        recorded: Class names that bags give their labels, once for each bag, in any order. They
            may be chosen, but do not stand in the way: a bag that does not fit is its own matter.

    Raises:
        ParameterError: If there is none; the message says what lacks for the list into which most
            lines of the mapping lead, or else for the first model's.
    """
    first, *others = models.values()
    of_bags = filter(None, map(_label_set, sorted(set(recorded))))
    targets = [first, *([labels] if labels else []), *of_bags, *others]
    obstacles = [_obstacles(target, models, labels, mapping) for target in targets]
    usable = [target for target, missing in zip(targets, obstacles, strict=True) if not missing]
    if usable:
        return max(
            usable,
            key=lambda target: sum(
                not _unknown(names, target, mapping, void=True) for names in recorded
            ),
        )
    led_into = [sum(name in target.names for name in mapping.values()) for target in targets]
    meant = led_into.index(max(led_into))
    raise _refusal(obstacles[meant], targets[meant], mapping)


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
    if missing := _unknown(names, target, mapping, void=void):
        raise _refusal({what: missing}, target, mapping)
    ids = {name: index for index, name in enumerate(target.names)}
    table = np.full(256, IGNORE_ID, np.uint8)
    for index, name in enumerate(names):
        table[index] = ids.get(mapping.get(name, name) or '', IGNORE_ID)
    return table


def never_predicted(names: Iterable[str], target: LabelSet, mapping: ClassMap) -> list[str]:
    """Return the classes of ``target`` that a model with these classes cannot predict."""
    predicted = {mapping.get(name, name) for name in names}
    return [name for name in target.names if name not in predicted]


def _label_set(names: tuple[str, ...]) -> LabelSet | None:
    """Return the known list with these names, or a new one; None if there cannot be one."""
    known = {labels.names: labels for labels in LABEL_SETS.values()}
    try:
        return known.get(names) or parse_classes(list(names))
    except ModelError:  # names that repeat may still be brought into another list
        return None


def _obstacles(
    target: LabelSet,
    models: Mapping[str, LabelSet],
    labels: LabelSet | None,
    mapping: ClassMap,
) -> dict[str, list[str]]:
    """Return by list the classes that cannot be brought into another list; without empty ones."""
    missing = {
        what: _unknown(source.names, target, mapping, void=False)
        for what, source in models.items()
    }
    if labels is not None:
        missing['the labels'] = _unknown(labels.names, target, mapping, void=True)
    return {what: names for what, names in missing.items() if names}


def _unknown(
    names: Iterable[str], target: LabelSet, mapping: ClassMap, *, void: bool
) -> list[str]:
    counts_as = {name: mapping.get(name, name) for name in names}
    return [
        name
        for name, other in counts_as.items()
        if other not in target.names and (other is not None or not void)
    ]


def _refusal(
    missing: Mapping[str, Iterable[str]], target: LabelSet, mapping: ClassMap
) -> ParameterError:
    def described(name: str) -> str:
        return f'{name} (mapped to {mapping[name] or "nothing"})' if name in mapping else name

    parts = [
        f'classes of {what} are not among those that are scored: '
        f'{", ".join(map(described, names))}'
        for what, names in missing.items()
    ]
    return ParameterError(
        f'{"; ".join(parts)} (scored: {", ".join(target.names)}); say in a --class-map file what '
        'they count as'
    )
