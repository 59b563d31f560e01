# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""True labels of footage: a folder of index PNGs, or a topic of label maps in a bag."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, final, Protocol

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.bag_io import BagImage, BagReader, is_image, topic_listing
from vidseg_ros.bag_io.messages import LABEL_INFO_TYPE
from vidseg_ros.core.errors import ImageError, SourceError
from vidseg_ros.core.labels import IGNORE_ID, LabelSet
from vidseg_ros.evaluation.index_png import read_ids
from vidseg_ros.evaluation.sources import may_name_frames, SourceFrame

MOST_FOREIGN_IDS: Final = 1
"""Ids without a class that labels may have, besides 255: usually there is one, for void."""

LATEST_NS: Final = 200_000_000
"""Stamps that fall by more are a new run of the clock; by less, something came late, ns."""

_Key = tuple[int, int]
"""Run of the clock, stamp in ns."""


class LabelReader(Protocol):
    """Where true labels come from; frames are asked for in order."""

    def read(self, frame: SourceFrame) -> NDArray[np.uint8] | None:
        """Return the (H, W) uint8 ids of a frame as they are, or None if it has none.

        Raises:
            SourceError: If they are damaged or no label map.
        """
        ...

    def unused(self) -> int:
        """Return how many label maps belong to no frame, once all frames were asked for."""
        ...


class LabelDirectory:
    """True labels as index PNGs: the class id as grey value, or as index of a palette.

    A file is named like its frame (the stamp in ns where that comes from a bag), or by its stamp.

    Attributes:
        foreign: Pixels with an id that has no class and is not 255, by id, as `get` found them.
    """

    def __init__(self, path: str | Path, labels: LabelSet) -> None:
        """Check the folder.

        Args:
            path: Folder of the PNGs.
            labels: The classes that the ids stand for.

        Raises:
            SourceError: If it is no folder, cannot be read or holds no PNG.
        """
        self._path = Path(path)
        self._classes = len(labels)
        self._known = np.arange(256) < self._classes
        self._known[IGNORE_ID] = True
        self._used: set[str] = set()
        self.foreign: dict[int, int] = {}
        try:
            self._names = {file.stem for file in self._path.glob('*.png')}
        except OSError as error:
            msg = f'cannot read labels in {self._path}: {error.strerror}'
            raise SourceError(msg) from error
        if not self._names:
            msg = f'no labels in {self._path}: expected index PNGs named like the frames'
            raise SourceError(msg)

    def fits(self, footage: Path) -> bool:
        """Whether some frame of footage may have labels here, as far as is known unread."""
        try:
            return may_name_frames(footage, self._names)
        except OSError:  # whoever reads the footage reports it
            return True

    def no_match(self) -> SourceError:
        """Return the error for footage of which no frame has labels here."""
        msg = (
            f'no frame has labels in {self._path}: the PNGs ({min(self._names)}.png) must be '
            'named like the frames: as a replay, or vidseg-train masks, names its masks'
        )
        return SourceError(msg)

    def get(self, frame: SourceFrame) -> NDArray[np.uint8] | None:
        """Return the true labels of a frame, or None if it has none.

        Returns:
            (H, W) uint8 class ids; every id without a class (void) is ``IGNORE_ID``.

        Raises:
            SourceError: If the file is damaged, no index PNG, or of another list of classes: more
                than one id has no class.
        """
        ids = self.read(frame)
        if ids is None:
            return None
        if found := _foreign_ids(ids, self._known, self.foreign):
            msg = (
                f'the labels in {self._path}, up to frame {frame.name}, have ids without a class: '
                f'{found}; vidseg evaluate scores them once it is told what they stand for '
                '(--label-classes, --class-map, --void)'
            )
            raise SourceError(msg)
        return np.where(ids < self._classes, ids, IGNORE_ID).astype(np.uint8)

    def read(self, frame: SourceFrame) -> NDArray[np.uint8] | None:
        """Return the ids of a frame as they are, see `LabelReader`."""
        for name in (frame.name, str(frame.stamp_ns)):
            file = self._path / f'{name}.png'
            if file.is_file():
                self._used.add(name)
                return read_ids(file)
        return None

    def unused(self) -> int:
        """Return how many label maps belong to no frame, see `LabelReader`."""
        return len(self._names) - len(self._used)


@final
class LabelTopic(AbstractContextManager['LabelTopic']):
    """True labels as mono8 images in a bag, by stamp; read once, `LATEST_NS` of them in memory.

    Where stamps jump back, frames and label maps start a new run each, so that a stamp that comes
    again finds its own label map. A frame or a label map that comes late starts none.
    """

    def __init__(self, path: Path, topic: str) -> None:
        """Remember what to read; the bag is opened by ``with``.

        Args:
            path: The bag.
            topic: Of the label maps.
        """
        self._bag = BagReader(path)
        self._topic = topic
        self._unused = 0
        self._frames = _Runs()
        self._window: list[tuple[_Key, BagImage]] = []

    def __enter__(self) -> 'LabelTopic':
        """Open the bag.

        Raises:
            SourceError: If it cannot be read or has no images on the topic.
        """
        self._bag.__enter__()
        try:
            images = self._bag.images(self._checked_topic())
        except SourceError:
            self._bag.__exit__(None, None, None)
            raise
        self._ahead = _in_runs(images)
        self._next = next(self._ahead, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bag."""
        self._bag.__exit__(kind, error, trace)

    def _checked_topic(self) -> str:
        images = [topic for topic in self._bag.topics if is_image(topic)]
        if all(topic.name != self._topic for topic in images):
            label_maps = self._bag.image_topics().label_maps
            found = 'label maps there' if label_maps else 'images there'
            msg = (
                f'no label maps on {self._topic} in {self._bag.path}: --labels is neither a '
                f'folder nor an image topic of the bag; {found}: '
                f'{topic_listing(label_maps or images)}'
            )
            raise SourceError(msg)
        return self._topic

    def read(self, frame: SourceFrame) -> NDArray[np.uint8] | None:
        """Return the ids of a frame as they are, see `LabelReader`."""
        run, stamp_ns = self._frames.add(frame.stamp_ns)
        self._move_window((run, self._frames.newest_ns - LATEST_NS), (run, stamp_ns + LATEST_NS))
        keys = [key for key, _ in self._window]
        if (run, stamp_ns) not in keys:
            return None
        _, image = self._window.pop(keys.index((run, stamp_ns)))
        try:
            return image.label_map()
        except ImageError as error:
            msg = f'the label map of frame {frame.name} on {self._topic}: {error}'
            raise SourceError(msg) from error

    def unused(self) -> int:
        """Return how many label maps belong to no frame, see `LabelReader`."""
        self._unused += len(self._window) + (self._next is not None) + sum(1 for _ in self._ahead)
        self._window, self._next = [], None
        return self._unused

    def _move_window(self, first: _Key, last: _Key) -> None:
        """Hold the label maps between two keys, and count those that no frame asked for."""
        while self._next is not None and self._next[0] <= last:
            self._window.append(self._next)
            self._next = next(self._ahead, None)
        held = [item for item in self._window if item[0] >= first]
        self._unused += len(self._window) - len(held)
        self._window = held

    def names(self) -> tuple[str, ...] | None:
        """Return the class names of the ids, see `label_names`."""
        return label_names(self._bag, self._topic)


def label_names(bag: BagReader, topic: str) -> tuple[str, ...] | None:
    """Return the class names that a bag gives the ids on a topic by a LabelInfo; None without one.

    The one whose topic has most in common with that of the label maps counts.

    Args:
        bag: Open.
        topic: Of the label maps.

    Raises:
        SourceError: If the LabelInfo is damaged, or its ids are not 0, 1, 2, ….
    """
    infos = [info.name for info in bag.topics if info.type == LABEL_INFO_TYPE]
    if not infos:
        return None
    nearest = max(infos, key=lambda name: _common(name, topic))
    classes = bag.class_map(nearest)
    if classes is None:
        return None
    if [number for number, _ in classes] != list(range(len(classes))):
        msg = f'ids on {nearest} are not 0, 1, 2, …: {list(classes)}; --label-classes names them'
        raise SourceError(msg)
    return tuple(name for _, name in classes)


@final
class SourceTruth:
    """The true labels of a source in the classes of an evaluation.

    Attributes:
        foreign: Pixels with an id that has no class, by id.
    """

    def __init__(
        self,
        reader: LabelReader,
        table: NDArray[np.uint8],
        void: Iterable[int] = (),
        *,
        taken_for: int | None = None,
    ) -> None:
        """Use a reader.

        Args:
            reader: Gives the ids as they are.
            table: (256,) uint8 class of each id, ``IGNORE_ID`` for those without.
            void: Ids that are not scored, whatever the table says.
            taken_for: Number of classes that the ids are taken for, where nobody has named them:
                then this very number may be void, or tell that ids count from 1.
        """
        self._taken_for = taken_for
        self._reader = reader
        self._table: NDArray[np.uint8] = table.copy()
        self._void = np.zeros(256, np.bool_)
        self._void[[IGNORE_ID, *void]] = True
        self._table[self._void] = IGNORE_ID
        self.foreign: dict[int, int] = {}

    def get(self, frame: SourceFrame, size: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return the true labels of a frame, or None if it has none.

        Args:
            frame: The frame.
            size: Height and width of its picture.

        Returns:
            (H, W) uint8 classes, ``IGNORE_ID`` where nothing is scored.

        Raises:
            SourceError: If they are damaged, have another aspect ratio, or ids of another list.
        """
        ids = self._reader.read(frame)
        if ids is None:
            return None
        check_aspect(frame.name, ids.shape, size)
        if found := _foreign_ids(ids, (self._table != IGNORE_ID) | self._void, self.foreign):
            msg = (
                f'the labels up to frame {frame.name} have ids without a class: {found}; name '
                'their classes (--label-classes, --class-map), or list those that are void '
                '(--void)'
            )
            raise SourceError(msg)
        if self._taken_for in self.foreign:
            msg = (
                f'the labels of frame {frame.name} have the id {self._taken_for}, where the last '
                f'class is {self._taken_for - 1}: if it is void, say --void {self._taken_for}; if '
                'ids count from 1, every class would be scored as the next one: vidseg-train '
                'masks writes masks that count from 0'
            )
            raise SourceError(msg)
        return self._table[ids]

    def skip(self, frame: SourceFrame) -> None:
        """Pass over the labels of a frame that has no label map to be compared with them."""
        with suppress(SourceError):  # nobody wants to know what is wrong with them
            self._reader.read(frame)

    def unused(self) -> int:
        """Return how many label maps belong to no frame, once all frames were asked for."""
        return self._reader.unused()


def _foreign_ids(ids: NDArray[np.uint8], known: NDArray[np.bool_], foreign: dict[int, int]) -> str:
    """Count the pixels of ids that are not known, and name these if they are too many.

    Args:
        ids: (H, W) uint8.
        known: (256,) whether an id has a class, or is void.
        foreign: Pixels by id; is added to.

    Returns:
        All ids counted so far, if they are more than labels may have, else nothing.
    """
    counts = np.bincount(ids.ravel(), minlength=256)
    for number in np.flatnonzero((counts > 0) & ~known).tolist():
        foreign[number] = foreign.get(number, 0) + int(counts[number])
    return ', '.join(map(str, sorted(foreign))) if len(foreign) > MOST_FOREIGN_IDS else ''


def describe_foreign(foreign: Mapping[int, int]) -> list[str]:
    """Say of each id without a class how many pixels had it."""
    return [
        f'id {number} of the labels has no class: {pixels} pixels are taken as void'
        for number, pixels in foreign.items()
    ]


def check_aspect(name: str, truth: tuple[int, ...], image: tuple[int, ...]) -> None:
    """Check that true labels can belong to a picture.

    Args:
        name: Name of the frame.
        truth: Height and width of its labels.
        image: Height and width of its picture.

    Raises:
        SourceError: If the aspect ratios differ by more than a pixel of rounding.
    """
    (height, width), (true_height, true_width) = image[:2], truth
    if abs(width * true_height - true_width * height) > max(width, height):
        msg = (
            f'the labels of frame {name} are {true_width}x{true_height}, the frame is '
            f'{width}x{height}: another aspect ratio; use the labels of this footage'
        )
        raise SourceError(msg)


class _Runs:
    """Numbers the runs of a clock."""

    def __init__(self) -> None:
        self.run, self.newest_ns = 0, -1

    def add(self, stamp_ns: int) -> _Key:
        """Return the key of the next stamp."""
        if stamp_ns < self.newest_ns - LATEST_NS:
            self.run, self.newest_ns = self.run + 1, stamp_ns
        self.newest_ns = max(self.newest_ns, stamp_ns)
        return self.run, stamp_ns


def _in_runs(images: Iterator[BagImage]) -> Iterator[tuple[_Key, BagImage]]:
    runs = _Runs()
    with suppress(SourceError):  # the frames of the bag meet the same damage, and report it
        for image in images:
            yield runs.add(image.stamp_ns), image


def _common(name: str, other: str) -> int:
    """Return how many characters two names have in common at their start."""
    return next(
        (at for at, (a, b) in enumerate(zip(name, other, strict=False)) if a != b),
        min(len(name), len(other)),
    )
