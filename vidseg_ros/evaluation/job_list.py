# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The jobs of an evaluation: one for each camera of each source."""

from collections import Counter
from collections.abc import Sequence
import hashlib
from pathlib import Path
import re

from vidseg_ros.evaluation.evaluate import EvaluationSettings, SourceJob
from vidseg_ros.evaluation.source_survey import SurveyedSource


def list_jobs(
    sources: Sequence[SurveyedSource],
    settings: EvaluationSettings,
    out: Path,
    *,
    labels: str | None = None,
) -> list[SourceJob]:
    """Make a job for each source, and for each camera of a bag.

    What cannot be read or has no such topic is a job as well, which fails and says why.

    Args:
        sources: Bags, videos and folders, each once.
        settings: Of the evaluation.
        out: Its folder.
        labels: Folder of label PNGs, or a topic. What has a folder of its name in there (that of
            the source, that with its parent's before it, or the job's key) has its labels in that;
            where the PNGs are all in such folders, what has none has no labels. Beside bags with a
            topic of labels, videos and folders have none.
    """
    found = [(source.path, topic) for source in sources for topic in source.cameras]
    keys = _keys(found)
    homes = _label_homes(labels, found, keys)
    uses = Counter(homes)
    return [
        SourceJob(
            key=key,
            path=path,
            topic=topic,
            labels=home,
            labels_shared=uses[home] > 1 and home is not None and Path(home).is_dir(),
            settings=settings,
            out=out,
        )
        for (path, topic), key, home in zip(found, keys, homes, strict=True)
    ]


def _keys(found: Sequence[tuple[Path, str | None]]) -> list[str]:
    """Return a folder name for each: letters, digits, dot, dash and underscore, all different.

    Names that clash get that of the parent folder before them, and where this is not enough a
    digest of the path behind them: the order of the sources does not matter.
    """
    cameras = Counter(path for path, _ in found)
    choices = [_key_choices(path, topic if cameras[path] > 1 else None) for path, topic in found]
    keys = [names[0] for names in choices]
    for level in (1, 2):
        uses = Counter(key.lower() for key in keys)
        keys = [
            names[level] if uses[key.lower()] > 1 else key
            for key, names in zip(keys, choices, strict=True)
        ]
    return keys


def _key_choices(path: Path, topic: str | None) -> tuple[str, str, str]:
    """Return the names of a source from the shortest to the one that no other has."""
    resolved = path.resolve()
    name = (resolved.stem if resolved.is_file() else resolved.name) + (topic or '')
    digest = hashlib.sha256(f'{resolved}\0{topic}'.encode(errors='surrogateescape')).hexdigest()
    plain = _plain(name)
    return plain, _plain(f'{resolved.parent.name}_{name}'), f'{plain}-{digest[:8]}'


def _plain(name: str) -> str:
    return re.sub(r'[^\w.-]+', '_', name, flags=re.ASCII).strip('._') or 'source'


def _label_homes(
    labels: str | None, found: Sequence[tuple[Path, str | None]], keys: Sequence[str]
) -> list[str | None]:
    """Return where the labels of each source are."""
    if labels is None:
        return [None] * len(found)
    if not Path(labels).is_dir():
        bags = any(topic is not None for _, topic in found)
        return [None if bags and topic is None else labels for _, topic in found]
    homes: list[str | None] = [
        _label_home(labels, path, key) for (path, _), key in zip(found, keys, strict=True)
    ]
    if any(home != labels for home in homes) and not any(Path(labels).glob('*.png')):
        return [None if home == labels else home for home in homes]
    return homes


def _label_home(labels: str, path: Path, key: str) -> str:
    """Return the folder of a source's labels: one of its name in there, or the one for all."""
    resolved = path.resolve()
    with_parent = f'{resolved.parent.name}_{resolved.name}'
    for name in (key, with_parent, resolved.name, resolved.stem):
        if Path(labels, name).is_dir():
            return str(Path(labels, name))
    return labels
