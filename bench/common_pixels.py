# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which source of motion carries labels best, on the pixels that both of two sources keep?

Usage::

    python bench/common_pixels.py DATA --learned NAME WITHOUT_FIRST WITHOUT_SECOND --motion dis ...

`propagated_labels.py` gives each source its own pixels: who leaves the hard ones out looks good.
Here the first source is compared with each other one on the pixels to which both give a label,
under the same rule for hidden pixels, step by step; clip, halves and pooling are as there.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, Final, get_args

import numpy as np
from propagated_labels import add_sources, Clip, HALVES, open_sources, PairFlows, Score
from report import finish, RESULTS, surroundings, Target

from vidseg_ros.core.labels import IGNORE_ID
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.propagation.correspondence import carry_labels, Occlusion
from vidseg_training.propagation.motion import MotionSource

RULES: Final = get_args(Occlusion)
FIRST: Final = 'first'

Values = dict[tuple[int, str, str, str], tuple[float, float]]
"""mIoU and coverage by k, rule, rival, and whose labels are scored: first or rival."""


def score_half(
    clip: Clip, half: range, motions: Mapping[str, MotionSource], distances: Sequence[int]
) -> Values:
    """Return the scores on the pixels that the first of the sources has in common with each."""
    flows = [PairFlows(motion, [clip.frames[at] for at in half]) for motion in motions.values()]
    labels = [clip.labels[at] for at in half]
    rivals = list(motions)[1:]
    scores: dict[tuple[int, str, str, str], Score] = defaultdict(Score)
    for k in distances:
        for earlier in range(len(half) - k):
            for source, target in ((earlier, earlier + k), (earlier + k, earlier)):
                ways = [flow.steps(target, source) for flow in flows]
                for rule in RULES:
                    carried = [carry_labels(labels[source], way, rule) for way in ways]
                    for rival, theirs in zip(rivals, carried[1:], strict=True):
                        both = (carried[0] != IGNORE_ID) & (theirs != IGNORE_ID)
                        for whose, ids in ((FIRST, carried[0]), (rival, theirs)):
                            common = np.where(both, ids, IGNORE_ID).astype(np.uint8)
                            scores[k, rule, rival, whose].add(labels[target], common)
    return {key: score.values() for key, score in scores.items()}


def compare(
    clip: Clip, sources: Mapping[str, Sequence[MotionSource]], distances: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each rival, distance and rule."""
    halves = []
    for at, half in enumerate(HALVES):
        motions = {name: both[at] for name, both in sources.items()}
        halves.append(score_half(clip, half, motions, distances))
        print(f'half {at + 1} of {len(HALVES)}: done', flush=True)
    first, *rivals = sources
    for rival, k, rule in product(rivals, distances, RULES):
        mine, theirs = (
            [half[k, rule, rival, whose][0] for half in halves] for whose in (FIRST, rival)
        )
        yield {
            'source': first,
            'rival': rival,
            'k': k,
            'occlusion': rule,
            'miou': mean(mine),
            'miou_of_rival': mean(theirs),
            'gain_of_halves': [a - b for a, b in zip(mine, theirs, strict=True)],
            'coverage': mean(half[k, rule, rival, FIRST][1] for half in halves),
        }


def main() -> int:
    """Compare; return 1 where the first source does not win in both halves."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    add_sources(parser)
    parser.add_argument('--k', type=int, nargs='+', default=[1, 3, 5, 10])
    parser.add_argument('--out', type=Path, default=RESULTS / 'propagated_labels_common.json')
    arguments = parser.parse_args()
    result = surroundings('numpy')
    clip = Clip(arguments.data / 'camvid')
    rows = list(compare(clip, open_sources(arguments), arguments.k))
    result |= {
        'question': 'mIoU (%) of carried labels on the pixels that two sources of motion keep',
        'protocol': 'clip_halves, steps, ±k pooled, 480x360; as propagated_labels.py',
        'rows': rows,
    }
    write_json(arguments.out, result)
    targets = [
        Target(
            what=f'smaller gain of the two halves over {row["rival"]}, k={row["k"]}, '
            f'{row["occlusion"]}',
            value=min(row['gain_of_halves']),
            limit=0.0,
            higher_is_better=True,
        )
        for row in rows
    ]
    return finish(result, targets, name='propagated_labels_common', out=arguments.out)


if __name__ == '__main__':
    raise SystemExit(main())
