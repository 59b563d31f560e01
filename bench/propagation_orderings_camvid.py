# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Do the orderings of Zhu et al. (CVPR 2019) hold on CamVid, as far as its dense clip allows?

Usage::

    python bench/propagation_orderings_camvid.py DATA --motions FOLDER

`propagation_orderings.py` with real frames, protocol *clip_halves*: every tenth frame of one half
of CamVid's dense clip is labelled, four frames; samples are made k frames around them; the other
half scores, and the other way round. ``FOLDER`` has what `motion_halves.py` left there: networks
that learned motion from the images of the half that trains and from day clips of dashcams. Every
row has the same steps and three seeds; a row's mIoU is the mean of the halves.

Every run is a line of the result file and is not done again; one that was ended goes on.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
import statistics
from typing import Any, Final

from propagation_orderings import claims, draw, earlier, print_claims, Run, SIZE, train
from report import RESULTS, surroundings
from steadiness import HALVES
import torch

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.data.camvid import CamVid
from vidseg_training.propagation.clip import list_clips
from vidseg_training.propagation.propagate import (
    propagate_clip,
    PropagationJob,
    PropagationSettings,
)
from vidseg_training.scoring import score

LABEL_STEP: Final = 10
OFFSETS: Final = (1, 3, 5)
SEEDS: Final = range(3)
BATCH: Final = 4
SCALES: Final = (0.4, 0.75)
"""Of 480x360: about the size at which the network is scored."""
VOID: Final = 11
"""In the label maps as they are distributed."""
NAMES: Final = ('first', 'second')
"""Of the halves, in the folder of motion networks."""


class Frames:
    """Some frames of the clip, in memory."""

    def __init__(self, clip: CamVid, indices: Sequence[int]) -> None:
        """Read them."""
        self.label_set: LabelSet = clip.label_set
        self.names = [clip.names[index] for index in indices]
        self._samples = [clip[index] for index in indices]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8."""
        return self._samples[index]


def plan() -> Iterator[Run]:
    """Yield the runs, the first seed of each row first."""
    for seed in SEEDS:
        for relaxed in (False, True):
            yield Run(relaxed=relaxed, seed=seed)
            for offset in OFFSETS:
                yield Run(
                    propagation='joint',
                    motion='reconstruction',
                    offset=offset,
                    relaxed=relaxed,
                    seed=seed,
                )
        for offset in OFFSETS:
            yield Run(propagation='label', motion='reconstruction', offset=offset, seed=seed)
        yield Run(propagation='joint', motion='prediction', offset=1, seed=seed)


def labelled_of(half: range) -> range:
    """Return the labelled frames of a half; each has neighbours at the longest offset."""
    return range(half.start + max(OFFSETS), half.stop - max(OFFSETS), LABEL_STEP)


def lend(data: Path, clip: CamVid, half: range, folder: Path) -> None:
    """Make folders with links to the frames of a half and to the labels that it has."""
    for kind, source, indices in (
        ('clip', 'val', half),
        ('labels', 'valannot', labelled_of(half)),
    ):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name in (clip.names[index] for index in indices):
            link = folder / kind / name
            if not link.is_symlink():
                link.symlink_to((data / 'camvid' / source / name).resolve())


def samples_of(run: Run, folder: Path, motion: Path) -> Path:
    """Make the propagated samples of a run, or find them; return their folder."""
    settings = PropagationSettings(
        motion=motion,
        offset=run.offset,
        mode='label' if run.propagation == 'label' else 'joint',
        void=(VOID,),
    )
    out = folder / f'samples_{settings.mode}_{run.motion}_{run.offset}'
    (clip,) = list_clips(str(folder / 'clip'))
    propagate_clip(PropagationJob(clip=clip, labels=folder / 'labels', settings=settings, out=out))
    return out


def miou_of(run: Run, half: int, clip: CamVid, args: argparse.Namespace) -> float:
    """Train on one half, return the mIoU of the other one, in percent."""
    folder = args.work / NAMES[half]
    lend(args.data, clip, HALVES[half], folder)
    samples = None
    if run.propagation != 'off':
        motion = args.motions / f'{run.motion}_farneback_{NAMES[half]}' / 'motion.safetensors'
        samples = samples_of(run, folder, motion)
    labelled = Frames(clip, labelled_of(HALVES[half]))
    network = train(
        run,
        labelled,
        samples,
        args.steps,
        folder / run.name,
        batch=BATCH,
        scale_range=SCALES,
    )
    return 100 * score(network, Frames(clip, HALVES[1 - half]), SIZE).miou()


def main() -> int:
    """Do the runs that are not done; write table, claims and drawing."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('--motions', type=Path, required=True, help='what motion_halves.py made')
    parser.add_argument('--steps', type=int, default=600, help='default: %(default)s')
    parser.add_argument('--only', default='*', help='pattern of names, default: %(default)s')
    parser.add_argument('--threads', type=int, default=1, help='of PyTorch, default: %(default)s')
    parser.add_argument('--work', type=Path, default=Path('runs/propagation_orderings_camvid'))
    parser.add_argument('--out', type=Path, default=RESULTS / 'propagation_orderings_camvid.json')
    parser.add_argument('--plot', type=Path, help='SVG file for a drawing')
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clip = CamVid(arguments.data / 'camvid', 'val')
    result = surroundings('numpy', 'torch')
    for run in plan():
        rows = earlier(arguments.out)
        if not fnmatch(run.name, arguments.only) or run.name in {row['name'] for row in rows}:
            continue
        halves = [miou_of(run, half, clip, arguments) for half in range(2)]
        rows = earlier(arguments.out)  # another process may have added some
        miou = statistics.mean(halves)
        rows.append({**asdict(run), 'name': run.name, 'miou': miou, 'miou_of_halves': halves})
        result |= {
            'question': 'orderings of Zhu et al. on the dense clip of CamVid, mIoU in percent',
            'setting': f'clip_halves: 4 labelled frames of one half train, its images and dashcam '
            f'clips have trained the motion networks; all frames of the other half score, '
            f'480x360, network {SIZE[1]}x{SIZE[0]}, {arguments.steps} steps of {BATCH}, '
            'last step',
            'rows': rows,
            'claims': claims(rows, 'reconstruction', 'prediction'),
        }
        write_json(arguments.out, result)
        print(f'{run.name}: mIoU {miou:.2f}', flush=True)
    rows = earlier(arguments.out)
    print_claims(rows, 'reconstruction', 'prediction')
    if arguments.plot is not None:
        draw(rows, 'reconstruction', arguments.plot, title='the other half of the clip')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
