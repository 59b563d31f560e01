# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How right are labels that motion has carried from frame t to frame t±k?

Usage::

    python bench/propagated_labels.py DATA [--motion dis farneback]
    python bench/propagated_labels.py DATA --learned NAME WITHOUT_FIRST WITHOUT_SECOND

``DATA`` has ``camvid`` (SegNet split; its val is one clip of 101 labelled frames at 15 Hz) and
``kitti_flow``. First the figures that plain OpenCV gives for DIS over the whole clip are
reproduced. Then each source is scored on frames 0-44 and 56-100 apart (protocol *clip_halves*:
what a motion network may have seen of the clip is the other half), ±k pooled, with and without
voiding of occluded pixels, directly and step by step. ``--learned`` takes two checkpoints of one
network, trained without the first half, which is scored on that, and without the second.

Rows of other sources that the result file has already are kept; ``--plot`` draws all of them.
"""

import argparse
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import pairwise
import json
from pathlib import Path
from typing import Any, Final, get_args

import cv2
from line_chart import line_chart
import numpy as np
from numpy.typing import NDArray
from report import finish, RESULTS, surroundings, Target

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import CAMVID, IGNORE_ID
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.motion import round_trip
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.data.camvid import CamVid
from vidseg_training.motion_weights import read_motion, WEIGHTS
from vidseg_training.propagation.correspondence import (
    carry_labels,
    chain,
    Correspondence,
    Occlusion,
)
from vidseg_training.propagation.motion import ClipFrame, MotionSource, open_motion

HALVES: Final = (range(45), range(56, 101))
KNOWN: Final = {1: 89.0, 3: 82.2, 5: 75.1, 10: 61.4}
"""mIoU in percent of DIS medium over the whole clip, measured with OpenCV alone."""
TOLERANCE: Final = 0.5
KITTI: Final = ('000010', '000157', '000045')

Row = dict[str, Any]


class Clip:
    """The dense clip of CamVid."""

    def __init__(self, folder: Path) -> None:
        """Read all frames and labels."""
        samples = CamVid(folder, 'val')
        pairs = [samples[index] for index in range(len(samples))]
        self.frames = [ClipFrame(index, image) for index, (image, _) in enumerate(pairs)]
        self.labels = [labels for _, labels in pairs]


class PairFlows:
    """The motion between frames of a part of a clip, estimated once."""

    def __init__(self, motion: MotionSource, frames: Sequence[ClipFrame]) -> None:
        """Take the frames of the part; no others are looked at."""
        self._motion, self._frames = motion, frames
        self.between = cache(self._between)

    def _between(self, target: int, source: int) -> Correspondence:
        flow, back = self._flow(target, source), self._flow(source, target)
        return Correspondence(flow, *round_trip(flow, back))

    def _flow(self, target: int, source: int) -> NDArray[np.float32]:
        distance = source - target
        beyond = [source + n * distance for n in range(1, self._motion.past_frames + 1)]
        past = [self._frames[at] for at in beyond if 0 <= at < len(self._frames)]
        return self._motion.backward_flow(self._frames[target], self._frames[source], past)

    def steps(self, target: int, source: int) -> Correspondence:
        """Return the motion of consecutive frames, added up."""
        direction = 1 if target > source else -1
        path = list(range(source, target + direction, direction))
        way: Correspondence | None = None
        for before, after in pairwise(path):
            step = self.between(after, before)
            way = step if way is None else chain(step, way)
        assert way is not None
        return way


class Score:
    """mIoU and coverage of carried labels."""

    def __init__(self) -> None:
        """Start without frames."""
        self._confusion = Confusion(len(CAMVID))
        self._labelled = 0

    def add(self, truth: NDArray[np.uint8], carried: NDArray[np.uint8]) -> None:
        """Count a frame, the pixels with a carried label."""
        self._labelled += int((truth != IGNORE_ID).sum())
        known = carried != IGNORE_ID
        self._confusion.add(
            np.where(known, truth, IGNORE_ID).astype(np.uint8),
            np.where(known, carried, 0).astype(np.uint8),
        )

    def values(self) -> tuple[float, float]:
        """Return the mIoU in percent and the share of labelled pixels that were counted."""
        return 100 * self._confusion.miou(), self._confusion.pixels / self._labelled


def reproduce(clip: Clip) -> Iterator[Row]:
    """Score DIS over the whole clip, from t to t+k, every second pair for k above 3."""
    flows = PairFlows(open_motion('dis'), clip.frames)
    for k, known in KNOWN.items():
        score = Score()
        for source in range(0, len(clip.frames) - k, 1 if k <= 3 else 2):
            way = flows.between(source + k, source)
            score.add(
                clip.labels[source + k],
                carry_labels(clip.labels[source], way, 'keep'),
            )
        flows.between.cache_clear()
        yield {'k': k, 'miou': score.values()[0], 'known': known}


def score_half(
    clip: Clip, half: range, motion: MotionSource, chaining: str, distances: Sequence[int]
) -> dict[tuple[int, str], tuple[float, float]]:
    """Return mIoU and coverage on one half by k and by what becomes of occluded pixels."""
    flows = PairFlows(motion, [clip.frames[at] for at in half])
    labels = [clip.labels[at] for at in half]
    values: dict[tuple[int, str], tuple[float, float]] = {}
    for k in distances:
        scores = {rule: Score() for rule in get_args(Occlusion)}
        for earlier in range(len(half) - k):
            for source, target in ((earlier, earlier + k), (earlier + k, earlier)):
                find = flows.between if chaining == 'direct' else flows.steps
                way = find(target, source)
                for rule, score in scores.items():
                    carried = carry_labels(labels[source], way, rule)
                    score.add(labels[target], carried)
        values |= {(k, rule): score.values() for rule, score in scores.items()}
        if chaining == 'direct':
            flows.between.cache_clear()
    return values


def score_source(
    clip: Clip, name: str, motions: Sequence[MotionSource], distances: Sequence[int]
) -> Iterator[Row]:
    """Score one source on both halves; yield its rows."""
    for chaining in ('direct', 'steps'):
        halves = [
            score_half(clip, half, motion, chaining, distances)
            for half, motion in zip(HALVES, motions, strict=True)
        ]
        for k, rule in halves[0]:
            (first, first_kept), (second, second_kept) = (half[k, rule] for half in halves)
            yield {
                'source': name,
                'chaining': chaining,
                'k': k,
                'occlusion': rule,
                'miou': (first + second) / 2,
                'miou_of_halves': [first, second],
                'coverage': (first_kept + second_kept) / 2,
            }
        print(f'{name} {chaining}: done', flush=True)


def end_point_error(folder: Path, motion: MotionSource) -> dict[str, float]:
    """Return the mean end-point error on the KITTI pairs, px; forward flow from the first."""
    errors = {}
    for pair in KITTI:
        truth = cv2.imread(str(folder / pair / 'flow_noc.png'), cv2.IMREAD_UNCHANGED)
        assert truth is not None
        first, second = (
            ClipFrame(at, _read_image(folder / pair / f'frame_{10 + at}.png')) for at in (0, 1)
        )
        true_flow = (truth[..., 2:0:-1].astype(np.float32) - 2**15) / 64
        gap = motion.backward_flow(first, second, []) - true_flow
        errors[pair] = float(np.linalg.norm(gap, axis=2)[truth[..., 0] > 0].mean())
    return errors


def _read_image(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None, path
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw mIoU over k under the default rule, one colour for each source."""
    sources = list(dict.fromkeys(row['source'] for row in rows))
    with line_chart(
        path,
        x='k, frames of 1/15 s',
        y='mIoU of carried labels, %',
        title='CamVid clip, rule agree; in steps (solid) and directly (dashed)',
    ) as axes:
        for number, source in enumerate(sources):
            for chaining, style in (('steps', '-'), ('direct', '--')):
                wanted = (source, chaining, 'agree')
                line = [
                    row
                    for row in rows
                    if (row['source'], row['chaining'], row['occlusion']) == wanted
                ]
                ks, mious = ([row[key] for row in line] for key in ('k', 'miou'))
                label = source if chaining == 'steps' else None
                axes.plot(ks, mious, style, color=f'C{number}', label=label, marker='.')


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the options that name data and sources of motion."""
    parser.add_argument('data', type=Path)
    parser.add_argument('--motion', nargs='*', default=[], help='names, such as dis farneback')
    names = ('NAME', 'WITHOUT_FIRST', 'WITHOUT_SECOND')
    parser.add_argument('--learned', nargs=3, action='append', default=[], metavar=names)


def open_sources(arguments: argparse.Namespace) -> dict[str, tuple[MotionSource, MotionSource]]:
    """Return the sources for the first half and for the second by name, learned ones first.

    Raises:
        ParameterError: If a network has learned from frames that it would be scored on.
    """
    names = CamVid(arguments.data / 'camvid', 'val').names
    for _, *paths in arguments.learned:
        for path, half in zip(map(Path, paths), HALVES, strict=True):
            check_unseen(path, {names[index] for index in half})
    learned = {
        name: (open_motion(Path(first)), open_motion(Path(second)))
        for name, first, second in arguments.learned
    }
    return learned | {name: (open_motion(name),) * 2 for name in arguments.motion}


def check_unseen(path: Path, scored: Collection[str]) -> None:
    """Complain of a motion network that has learned from images of such names."""
    clips = [Path(clip) for clip in read_motion(path / WEIGHTS if path.is_dir() else path).clips]
    if gone := [str(clip) for clip in clips if not clip.exists()]:
        msg = f'what {path} has learned from cannot be told: {gone[0]} is not there any more'
        raise ParameterError(msg)
    seen = {file.name for clip in clips if clip.is_dir() for file in clip.iterdir()}
    if known := seen.intersection(scored):
        msg = (
            f'{path} has learned from {len(known)} of the images that it would be scored '
            'on; the one that was trained without the first half comes first'
        )
        raise ParameterError(msg)


def main() -> int:
    """Score; return 1 if the known figures are not reproduced."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add_sources(parser)
    parser.add_argument('--k', type=int, nargs='+', default=list(range(1, 11)))
    parser.add_argument('--out', type=Path, default=RESULTS / 'propagated_labels.json')
    parser.add_argument('--plot', type=Path, help='SVG file for a drawing')
    arguments = parser.parse_args()
    result = surroundings('numpy')
    clip = Clip(arguments.data / 'camvid')
    sources = open_sources(arguments)
    reproduced = list(reproduce(clip))
    result |= {
        'question': 'mIoU (%) of labels carried from t to t±k on the dense clip of CamVid',
        'protocol': 'clip_halves: frames 0-44 and 56-100 apart, ±k pooled, mean of both, 480x360',
        'whole_clip_dis_forward': reproduced,
        'kitti_epe_px': {},
        'rows': [],
    }
    if arguments.out.exists():
        before = json.loads(arguments.out.read_text(encoding='utf-8'))
        result |= {key: before[key] for key in ('kitti_epe_px', 'rows')}
    for name, motions in sources.items():
        others = [row for row in result['rows'] if row['source'] != name]
        result['rows'] = [*others, *score_source(clip, name, motions, arguments.k)]
        result['kitti_epe_px'][name] = end_point_error(arguments.data / 'kitti_flow', motions[0])
        write_json(arguments.out, result)
    if arguments.plot is not None:
        draw(result['rows'], arguments.plot)
    return finish(result, _targets(reproduced), name='propagated_labels', out=arguments.out)


def _targets(reproduced: Sequence[Row]) -> list[Target]:
    return [
        Target(
            what=f'distance from the known mIoU of DIS over the whole clip at k={row["k"]}',
            value=abs(row['miou'] - row['known']),
            limit=TOLERANCE,
            higher_is_better=False,
        )
        for row in reproduced
    ]


if __name__ == '__main__':
    raise SystemExit(main())
