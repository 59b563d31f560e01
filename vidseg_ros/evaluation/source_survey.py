# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A first look into sources: the cameras of bags, and the class names that bags give labels."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
import logging
from pathlib import Path

from vidseg_ros.bag_io import BagReader, is_image
from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.evaluation.sources import is_bag
from vidseg_ros.evaluation.true_labels import label_names

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SurveyedSource:
    """What a source holds, as far as a look into it says."""

    path: Path
    """Footage."""
    cameras: tuple[str | None, ...]
    """Camera topics of a bag; a single None for other footage, and where none is found."""
    label_names: tuple[str, ...] | None = None
    """Class names that a bag gives the ids of its labels; None: it gives none."""


def survey_sources(
    paths: Sequence[Path], *, topics: Sequence[str] = (), labels: str | None = None
) -> list[SurveyedSource]:
    """Look into each source, once; nothing is evaluated.

    A source that is named twice is one. What cannot be read says nothing here: its job fails and
    says why.

    Args:
        paths: Bags, videos and folders.
        topics: Camera topics of bags; none: all that have images, other than the labels, what
            `ImageTopics` takes for depth, label maps or made of them (a line is logged that says
            so), and a compressed one only where there is no raw one beside it.
        labels: Topic of label maps; None: they are in no bag.

    Raises:
        ParameterError: If topics are given, and none of the sources is a bag.
    """
    if topics and paths and all(path.exists() and not is_bag(path) for path in paths):
        msg = (
            f'--topic {topics[0]} chooses a camera of a bag, and none of the sources is a bag; '
            'leave it out'
        )
        raise ParameterError(msg)
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return [_survey(path, tuple(dict.fromkeys(topics)), labels) for path in once.values()]


def _survey(path: Path, topics: tuple[str, ...], labels: str | None) -> SurveyedSource:
    nothing = SurveyedSource(path=path, cameras=(None,))
    try:
        if not path.exists() or not is_bag(path):
            return nothing
        if topics and labels is None:
            return SurveyedSource(path=path, cameras=topics)
        with BagReader(path) as bag:
            return SurveyedSource(
                path=path,
                cameras=topics or _cameras(bag, labels) or (None,),
                label_names=_label_names(bag, labels),
            )
    except (OSError, SourceError):  # the job meets the same, and reports it
        return SurveyedSource(path=path, cameras=topics) if topics else nothing


def _cameras(bag: BagReader, labels: str | None) -> tuple[str, ...]:
    images = bag.image_topics()
    cameras = tuple(topic.name for topic in images.cameras)
    if left_out := [
        topic.name for topic in (*images.label_maps, *images.others) if topic.name != labels
    ]:
        _logger.warning(
            '%s: depth, label maps and what is made of them are no cameras, skipped: %s; --topic '
            'takes one all the same',
            bag.path,
            ', '.join(left_out),
        )
    return tuple(name for name in cameras if name != labels) or cameras  # these fail in the job


def _label_names(bag: BagReader, labels: str | None) -> tuple[str, ...] | None:
    if not any(topic.name == labels for topic in bag.topics if is_image(topic)):
        return None
    with suppress(SourceError):  # the job says what is wrong with them
        return label_names(bag, str(labels))
    return None
