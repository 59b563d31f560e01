# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Samples at the unlabelled neighbours of labelled frames (Zhu et al., CVPR 2019, section 3.2).

*Label propagation* pairs the real frame with the labels carried to it; *joint propagation* pairs
the labelled frame carried there with them, so that picture and labels fit each other whatever the
motion is. Pictures are fetched bilinearly, labels from the nearest pixel, and what the labelled
frame does not show is void.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
import os
from pathlib import Path
import sys
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import ParameterError, SourceError
from vidseg_ros.core.fleet import Progress
from vidseg_ros.core.malloc import keep_freed_memory
from vidseg_training.folder_lock import locked
from vidseg_training.propagation.clip import Clip, ClipReference, StreetSequence
from vidseg_training.propagation.correspondence import (
    chain,
    correspond,
    Correspondence,
    Occlusion,
)
from vidseg_training.propagation.frame_window import FrameWindow, Reason
from vidseg_training.propagation.manifest import FILES, Manifest
from vidseg_training.propagation.motion import (
    ClipFrame,
    EXACT,
    MotionChoice,
    MotionSource,
    open_motion,
)
from vidseg_training.propagation.sample_writer import Record, Sample, SampleWriter
from vidseg_training.propagation.scene_cuts import CUT_ERROR
from vidseg_training.propagation.sparse_labels import (
    digest_of,
    LabelFolder,
    SparseLabels,
    StreetLabels,
)

Mode: TypeAlias = Literal['joint', 'label']
Chaining: TypeAlias = Literal['steps', 'direct']

LABELLED: Final = 'labelled itself'
"""Why there is no sample at a frame with a label map: its own labels are better. So there is none
in a clip that has the labelled frames alone, and takes one for the neighbour of the other."""


@dataclass(frozen=True, kw_only=True)
class PropagationSettings:
    """All that decides what samples look like."""

    motion: MotionChoice = 'dis'
    """See `open_motion`."""
    offset: int = 1
    """k: samples are made k frames before and after each labelled frame."""
    accumulate: bool = False
    """Samples at 1 to k frames, instead of at k only."""
    mode: Mode = 'joint'
    """joint: carried picture and labels; label: real picture, carried labels."""
    chaining: Chaining = 'steps'
    """For k > 1. steps: motion of consecutive frames, added up; direct: motion of the labelled
    frame and the frame k further on."""
    occlusion: Occlusion = 'agree'
    """What becomes of labels where the check there and back fails, see `carry_labels`."""
    cut_error: float = CUT_ERROR
    """See `find_break`, grey levels."""
    void: tuple[int, ...] = ()
    """Ids of the label maps that become 255."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ParameterError: If the offset or the cut error is not above zero.
        """
        for name, value in (('offset', self.offset), ('cut_error', self.cut_error)):
            if value <= 0:
                msg = f'{name} must be above zero, not {value}'
                raise ParameterError(msg)

    @property
    def distances(self) -> range:
        """How far from the labelled frame samples are, in frames, rising."""
        return range(1 if self.accumulate else self.offset, self.offset + 1)


@dataclass(frozen=True, kw_only=True)
class PropagationJob:
    """One clip; picklable."""

    clip: ClipReference
    labels: Path | None
    """Folder of its label maps; None for a procedural clip."""
    settings: PropagationSettings
    out: Path
    """Samples go into a folder of the clip's name in it."""
    threads: int | None = None
    """Of PyTorch, where a motion network uses it; None leaves it alone. Those of OpenCV are a
    matter of `run_jobs`. Unless it is 1, a second thread writes the samples."""


@dataclass(kw_only=True)
class ClipSummary:
    """What became of one clip."""

    name: str
    labelled: int = 0
    """Label maps that belong to the clip."""
    made: int = 0
    """Samples made now."""
    kept: int = 0
    """Samples that were there already."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Frames without a sample, by reason."""
    coverage_sum: float = 0.0
    """Of the shares of labelled pixels of all samples."""


def propagate_clip(job: PropagationJob, progress: Progress | None = None) -> ClipSummary:
    """Make the samples of one clip that are not there yet.

    Args:
        job: What to do.
        progress: Called with the number of labelled frames done and of all.

    Raises:
        SourceError: If clip or labels cannot be read or do not fit each other.
        ParameterError: If the folder holds samples of other settings, another process writes
            into it, or there is no such motion source.
        OutputError: If a sample cannot be written; what is done stays, and a rerun goes on.
    """
    keep_freed_memory(of_any_size=True)  # every sample takes the same large blocks
    work = _ClipWork(job)
    positions = work.labels.positions
    with work.writing():
        for number, position in enumerate(positions, start=1):
            work.propagate(position)
            if progress is not None:
                progress(number, len(positions))
    work.summary.labelled = len(positions)
    return work.summary


class _ClipWork:
    """What is open while a clip is worked on."""

    def __init__(self, job: PropagationJob) -> None:
        settings = self.settings = job.settings
        self.motion: MotionSource = open_motion(
            settings.motion, job.clip.street() if settings.motion == EXACT else None
        )
        _limit_torch(job.threads)
        spacing = settings.offset if settings.chaining == 'direct' else 1
        reach = settings.offset + self.motion.past_frames * spacing
        self.clip: Clip = job.clip.open(2 * reach)
        self.labels: SparseLabels
        if isinstance(self.clip, StreetSequence):
            self.labels = StreetLabels(self.clip)
        elif job.labels is not None:
            self.labels = LabelFolder(job.labels, self.clip, settings.void)
        else:
            msg = f'{job.clip.path} has no labels of its own; give a folder of them (--labels)'
            raise ParameterError(msg)
        self.labelled = frozenset(self.labels.positions)
        self.window = FrameWindow(self.clip, reach, settings.cut_error)
        self.summary = ClipSummary(name=job.clip.name)
        self._job = job
        self._read: tuple[int, NDArray[np.uint8]] | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open the folder of the samples, alone in there; at the end all are written."""
        folder = self._job.out / self._job.clip.name
        with _alone_in(folder):
            self.manifest = Manifest(folder, self._header(self._job.clip))
            for kind in FILES:
                make_folder(folder / kind)
            self.writer = SampleWriter(
                folder,
                self.settings.occlusion,
                self._take,
                in_background=self._job.threads != 1,
            )
            with self.writer:
                yield
            self._forget_unlabelled()

    def _header(self, clip: ClipReference) -> dict[str, object]:
        settings = self.settings
        return {
            'clip': clip.name,
            'motion': self.motion.name,
            'mode': settings.mode,
            'offset': settings.offset,
            'accumulate': settings.accumulate,
            'chaining': settings.chaining,
            'occlusion': settings.occlusion,
            'cut_error': settings.cut_error,
            'void': settings.void,
        }

    def propagate(self, position: int) -> None:
        """Make the samples around one labelled frame."""
        self.window.move(position)
        for direction in (-1, 1):
            wanted: dict[int, Record] = {}
            for distance in self.settings.distances:
                offset = direction * distance
                record: Record = {
                    'name': f'{self.clip.frame_name(position)}_{offset:+03d}',
                    'source': self.clip.frame_name(position),
                    'offset': offset,
                    'inputs': self._inputs(position, offset),
                }
                if self.manifest.holds(record['name'], record['inputs']):
                    self._count(self.manifest.records[record['name']], is_new=False)
                elif position + offset in self.labelled:
                    self.writer.add(record | {'skipped': LABELLED})
                else:
                    wanted[distance] = record
            for distance, way in self._ways(position, direction, wanted):
                record = wanted[distance]
                if isinstance(way, Correspondence):
                    target = position + direction * distance
                    record['target'] = self.clip.frame_name(target)
                    self.writer.add(record, self._sample(record['name'], position, target, way))
                else:
                    self.writer.add(record | {'skipped': way})

    def _forget_unlabelled(self) -> None:
        """Let the manifest say of samples whose label map is gone that there are none."""
        labelled = {self.clip.frame_name(position) for position in self.labelled}
        for record in list(self.manifest.records.values()):
            if record['source'] not in labelled and 'skipped' not in record:
                kept = {key: record[key] for key in ('name', 'source', 'offset')}
                # Of no inputs: should the label map come back, the sample is made again.
                self.manifest.add({**kept, 'inputs': '', 'skipped': 'no label map'})

    def _inputs(self, position: int, offset: int) -> str:
        """Return the digest of labels and of all frames that a sample may depend on.

        Those are the labelled one to the target, and beyond both what the motion source looks at.
        """
        first, last = sorted((position, position + offset))
        spacing = abs(offset) if self.settings.chaining == 'direct' else 1
        beyond = self.motion.past_frames * spacing
        prints = map(self._fingerprint, range(first - beyond, last + beyond + 1))
        labelled = [LABELLED] if position + offset in self.labelled else []
        return digest_of([self.labels.fingerprint(position), *prints, *labelled])

    def _fingerprint(self, position: int) -> str:
        return self.clip.fingerprint(position) if 0 <= position < len(self.clip) else ''

    def _count(self, record: Record, *, is_new: bool) -> None:
        if 'skipped' in record:
            self.summary.skipped[record['skipped']] += 1
            return
        self.summary.made += is_new
        self.summary.kept += not is_new
        self.summary.coverage_sum += record['coverage']

    def _ways(
        self, position: int, direction: int, wanted: Collection[int]
    ) -> Iterator[tuple[int, Correspondence | Reason]]:
        """Find the frames at distances in a labelled one, or say why not.

        What stops the way to one frame stops it to all beyond.
        """
        stop: Reason | None = None
        before: Correspondence | None = None
        for distance in range(1, max(wanted, default=0) + 1):
            target = position + direction * distance
            stop = stop or self._obstacle(position, target - direction, target)
            repeated = stop is None and self.window.step(target - direction, target) == 'identical'
            if stop is None and self.settings.chaining == 'steps':
                step = self._correspond(target, target - direction)
                before = step if before is None else chain(step, before)
            if distance not in wanted:
                continue
            if stop is not None or repeated:
                yield distance, stop or 'identical'
            elif before is not None:
                yield distance, before
            else:
                yield distance, self._correspond(target, position)

    def _obstacle(self, labelled: int, previous: int, target: int) -> Reason | None:
        """Return what keeps labels from going on from one frame to the next; None for nothing."""
        source = self.window.frame(labelled)
        if source is None:
            return 'unreadable'
        problem = self.window.problem(target, source.image.shape)
        if problem is not None:
            return problem
        found = self.window.step(previous, target)
        return None if found == 'identical' else found

    def _correspond(self, target: int, source: int) -> Correspondence:
        distance, count = source - target, self.motion.past_frames
        return correspond(
            self.motion,
            self.window[target],
            self.window[source],
            past=self.window.past(source, distance, count),
            beyond=self.window.past(target, -distance, count),
        )

    def _sample(self, name: str, position: int, target: int, way: Correspondence) -> Sample:
        source = self.window[position]
        joint = self.settings.mode == 'joint'
        return Sample(
            name=name,
            image=source.image if joint else self.window[target].image,
            is_carried=joint,
            labels=self._labels_of(source),
            way=way,
        )

    def _take(self, record: Record) -> None:
        """Note a sample whose files are written, or why there is none."""
        self.manifest.add(record)
        self._count(record, is_new=True)

    def _labels_of(self, frame: ClipFrame) -> NDArray[np.uint8]:
        """Return the label map of a frame, which is read once for all its samples."""
        if self._read is None or self._read[0] != frame.position:
            self._read = frame.position, self.labels.read(frame.position)
        labels = self._read[1]
        if labels.shape != frame.image.shape[:2]:
            name = f'{self.clip.name}/{self.clip.frame_name(frame.position)}'
            msg = (
                f'the labels of {name} are {_size(labels)}, the frame is {_size(frame.image)}; '
                'resize the labels (nearest)'
            )
            raise SourceError(msg)
        return labels


def _alone_in(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes out of a folder, unless nobody could write into it anyway."""
    if folder.exists() and not os.access(folder, os.W_OK):
        return nullcontext()  # the samples in it may still be complete
    return locked(folder, 'writes samples')


def _limit_torch(threads: int | None) -> None:
    torch = sys.modules.get('torch')  # there only if a motion network needs it
    if threads is not None and torch is not None:
        torch.set_num_threads(threads)


def _size(image: NDArray[np.uint8]) -> str:
    return f'{image.shape[1]}x{image.shape[0]}'
