# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Do the orderings of Zhu et al. (CVPR 2019) hold in a small setting?

Usage::

    python bench/propagation_orderings.py [--reconstruction CHECKPOINT --prediction CHECKPOINT]

Procedural street clips with one labelled frame every 2 s, a network of 0.34 M parameters at
240x176, the same number of steps for every row. Claims: joint > label > none, reconstruction >
prediction, and boundary label relaxation lets longer offsets pay. Without checkpoints the motion
is DIS's, and the claim about networks is left out; *exact* is the true motion of the clips.

Every run is a line of the result file and is not done again; a run that was ended goes on from
its checkpoint in ``--work``. ``--only '*_0'`` does the runs of such names, so that two processes
can share the work and the file; their patterns must have no run in common.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
import json
from pathlib import Path
import statistics
import time
from typing import Any, Final, Literal, NamedTuple

from line_chart import line_chart
from report import RESULTS, surroundings
import torch

from vidseg_ros.core.labels import LabelSet, STREET
from vidseg_ros.core.street import StreetClip
from vidseg_ros.evaluation.results_folder import write_json
from vidseg_training.config import TrainConfig
from vidseg_training.data.propagated import WithPropagated
from vidseg_training.data.sampling import LabelledImages, TrainingSet
from vidseg_training.loop import fit
from vidseg_training.networks.compact import CompactNet
from vidseg_training.propagation.clip import list_clips
from vidseg_training.propagation.propagate import (
    propagate_clip,
    PropagationJob,
    PropagationSettings,
)
from vidseg_training.propagation.sparse_labels import STREET_LABEL_STEP
from vidseg_training.run_lock import alone_in
from vidseg_training.scoring import score

SIZE: Final = (176, 240)
TRAIN_SEEDS: Final = range(1000, 1012)
TEST_SEEDS: Final = range(3000, 3016)
LABELLED: Final = range(0, 240, STREET_LABEL_STEP)
TEST_FRAMES: Final = range(15, 240, 45)
BATCH: Final = 8
STRICT: Final = ('pole', 'sign', 'pedestrian', 'cyclist', 'bicyclist')
"""Thin classes of the street clips and of CamVid."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row of the table."""

    propagation: Literal['joint', 'label', 'off'] = 'off'
    motion: str = 'none'
    offset: int = 0
    relaxed: bool = False
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of its folder."""
        loss = 'relaxed' if self.relaxed else 'plain'
        return f'{self.propagation}_{self.motion}_{self.offset}_{loss}_{self.seed}'


def plan(main: str, other: str | None, seeds: int = 3, seeds_beyond: int = 1) -> Iterator[Run]:
    """Yield the runs, by default 20 at most.

    Args:
        main: Source of motion of most rows.
        other: One to be compared with it, instead of the exact motion of the clips.
        seeds: Of the rows without relaxation at k = 1 and without propagation.
        seeds_beyond: Of the rows at larger k and of relaxation.
    """
    for seed in range(seeds):
        yield Run(seed=seed)
        yield Run(propagation='joint', motion=main, offset=1, seed=seed)
        yield Run(propagation='label', motion=main, offset=1, seed=seed)
        if other is not None:
            yield Run(propagation='joint', motion=other, offset=1, seed=seed)
    for seed in range(seeds_beyond):
        for offset in (3, 5):
            yield Run(propagation='joint', motion=main, offset=offset, seed=seed)
            yield Run(propagation='label', motion=main, offset=offset, seed=seed)
        yield Run(relaxed=True, seed=seed)
        for offset in (1, 3, 5):
            yield Run(propagation='joint', motion=main, offset=offset, relaxed=True, seed=seed)
    if other is None:
        yield Run(propagation='joint', motion='exact', offset=1)
        yield Run(propagation='label', motion='exact', offset=1)


class Setting(NamedTuple):
    """A run, whatever its seed."""

    propagation: str
    motion: str
    offset: int
    relaxed: bool = False


class StreetFrames:
    """Frames of street clips with their labels, rendered once."""

    label_set: LabelSet = STREET

    def __init__(self, seeds: Sequence[int], frames: Sequence[int]) -> None:
        """Render them."""
        self._samples = []
        self.names = [f'{seed}_{frame}' for seed in seeds for frame in frames]
        for seed in seeds:
            clip = StreetClip(seed=seed, size=SIZE)
            drawn = [clip.frame(frame) for frame in frames]
            self._samples += [(frame.image, frame.labels) for frame in drawn]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        """Return image (H, W, 3) uint8 RGB and labels (H, W) uint8."""
        return self._samples[index]


def samples_of(run: Run, work: Path, motions: dict[str, str | Path], seeds: range) -> Path:
    """Make the propagated samples of a run, or find them; return their folder."""
    settings = PropagationSettings(
        motion=motions[run.motion],
        offset=run.offset,
        mode='label' if run.propagation == 'label' else 'joint',
    )
    out = work / f'samples_{settings.mode}_{run.motion}_{run.offset}'
    for seed in seeds:
        (clip,) = list_clips(f'street:{seed}@{SIZE[0]}x{SIZE[1]}')
        propagate_clip(PropagationJob(clip=clip, labels=None, settings=settings, out=out))
    return out


def train(  # noqa: PLR0913  # the last by name
    run: Run,
    labelled: LabelledImages,
    samples: Path | None,
    steps: int,
    folder: Path,
    *,
    batch: int = BATCH,
    scale_range: tuple[float, float] = (0.8, 1.5),
) -> torch.nn.Module:
    """Train the network of a run; the number of steps does not depend on the data."""
    train_set = TrainingSet(labelled)
    names = labelled.label_set.names
    if samples is not None and run.propagation != 'off':
        mixed = WithPropagated(labelled, samples, run.propagation, run.offset)
        train_set = TrainingSet(mixed, real=mixed.real)
    config = TrainConfig(
        name='street_compact',
        network='compact',
        dataset='street',
        input_size=SIZE,
        crop_size=(160, 208),
        scale_range=scale_range,
        epochs=max(1, round(steps / (len(train_set.images) // batch))),
        batch_size=batch,
        learning_rate=2e-3,
        weight_decay=1e-3,
        relaxed_share=1.0 if run.relaxed else 0.0,
        strict_classes=tuple(name for name in names if run.relaxed and name in STRICT),
        seed=run.seed,
        checkpoint_steps=100,
    )
    torch.manual_seed(run.seed)
    network = CompactNet(len(names))
    with alone_in(folder):
        fit(config, network, train_set, None, folder)
    return network


def claims(rows: Sequence[Row], main: str, other: str | None) -> list[Row]:
    """Return what the paper claims, the numbers here, and whether they are in that order.

    A difference within the largest spread over seeds is called none; where a row has one seed
    alone, nothing is said.
    """
    mious: dict[Setting, list[float]] = {}
    for row in rows:
        key = Setting(row['propagation'], row['motion'], row['offset'], row['relaxed'])
        mious.setdefault(key, []).append(row['miou'])
    means = {setting: statistics.mean(values) for setting, values in mious.items()}
    spread = max((max(values) - min(values) for values in mious.values()), default=0.0)
    none, joint = Setting('off', 'none', 0), Setting('joint', main, 1)
    exact = Setting('joint', 'exact', 1)
    pairs = {
        'joint > label, k = 1': (joint, Setting('label', main, 1)),
        'label > none, k = 1': (Setting('label', main, 1), none),
        'joint > none, k = 1': (joint, none),
        'relaxed > plain, no propagation': (none._replace(relaxed=True), none),
        'joint > label, exact motion': (exact, exact._replace(propagation='label')),
        f'{main} > {other}': (joint, Setting('joint', str(other), 1)),
    }
    for k in (3, 5):
        longer = Setting('joint', main, k)
        pairs[f'joint > label, k = {k}'] = (longer, Setting('label', main, k))
        pairs[f'joint > none, k = {k}'] = (longer, none)
        pairs[f'k = 1 > k = {k}, plain'] = (joint, longer)
        relaxed = longer._replace(relaxed=True)
        pairs[f'k = {k} > k = 1, relaxed'] = (relaxed, joint._replace(relaxed=True))
        pairs[f'relaxed > plain, k = {k}'] = (relaxed, longer)
    found = []
    for claim, (better, worse) in pairs.items():
        if better in means and worse in means:
            gain = means[better] - means[worse]
            verdict = 'holds' if gain > spread else 'no difference seen'
            verdict = 'the other way round' if gain < -spread else verdict
            if min(len(mious[better]), len(mious[worse])) < 2:
                verdict = 'one seed'
            found.append({'claim': claim, 'gain': gain, 'spread': spread, 'verdict': verdict})
    return found


def draw(
    rows: Sequence[Row],
    main: str,
    path: Path,
    title: str = 'street clips of other seeds',
) -> None:
    """Draw mIoU over k like the paper's figure 6; k = 0 is without propagation."""
    with line_chart(
        path,
        x='k, frames of 1/15 s (0: no propagation)',
        y='mIoU, %',
        title=title,
    ) as axes:
        for label, propagation, relaxed in (
            ('joint', 'joint', False),
            ('label', 'label', False),
            ('joint, relaxed', 'joint', True),
        ):
            line: dict[int, list[float]] = {}
            for row in rows:
                wanted = (propagation, main) if row['offset'] else ('off', 'none')
                if (row['propagation'], row['motion']) == wanted and row['relaxed'] == relaxed:
                    line.setdefault(row['offset'], []).append(row['miou'])
            offsets = sorted(line)
            means = [statistics.mean(line[k]) for k in offsets]
            axes.plot(offsets, means, marker='.', label=label)


def main() -> int:
    """Do the runs that are not done; write table, claims and drawing."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--reconstruction', type=Path, help='checkpoint of a motion network')
    parser.add_argument('--prediction', type=Path, help='checkpoint of a motion network')
    parser.add_argument('--steps', type=int, default=1200, help='default: %(default)s')
    parser.add_argument('--clips', type=int, default=len(TRAIN_SEEDS), help='to train on')
    parser.add_argument('--seeds', type=int, default=3, help='of the rows at k = 1')
    parser.add_argument('--seeds-beyond', type=int, default=1, help='of the other rows')
    parser.add_argument('--only', default='*', help='pattern of names, default: %(default)s')
    parser.add_argument('--most', type=int, help='do at most so many runs now')
    parser.add_argument('--threads', type=int, default=1, help='of PyTorch, default: %(default)s')
    parser.add_argument('--work', type=Path, default=Path('runs/propagation_orderings'))
    parser.add_argument('--out', type=Path, default=RESULTS / 'propagation_orderings.json')
    parser.add_argument('--plot', type=Path, help='SVG file for a drawing')
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    checkpoints = {
        'reconstruction': arguments.reconstruction,
        'prediction': arguments.prediction,
    }
    motions: dict[str, str | Path] = {'dis': 'dis', 'exact': 'exact'}
    motions |= {name: path for name, path in checkpoints.items() if path is not None}
    source = 'reconstruction' if 'reconstruction' in motions else 'dis'
    other = 'prediction' if 'prediction' in motions else None
    result = surroundings('numpy', 'torch')
    rows = earlier(arguments.out)
    done = {row['name'] for row in rows}
    todo = [
        run
        for run in plan(source, other, arguments.seeds, arguments.seeds_beyond)
        if run.name not in done and fnmatch(run.name, arguments.only)
    ][: arguments.most]
    seeds = TRAIN_SEEDS[: arguments.clips]
    labelled, test = StreetFrames(seeds, LABELLED), StreetFrames(TEST_SEEDS, TEST_FRAMES)
    for run in todo:
        samples = None
        if run.propagation != 'off':
            samples = samples_of(run, arguments.work, motions, seeds)
        start_s = time.process_time()
        network = train(run, labelled, samples, arguments.steps, arguments.work / run.name)
        cpu_s = time.process_time() - start_s
        miou = 100 * score(network, test, SIZE).miou()
        rows = earlier(arguments.out)  # another process may have added some
        rows.append({**asdict(run), 'name': run.name, 'miou': miou, 'cpu_s': cpu_s})
        found = claims(rows, source, other)
        result |= {
            'question': 'orderings of Zhu et al. on street clips, mIoU in percent',
            'setting': f'{len(labelled)} labelled frames, {len(test)} test frames of other clips, '
            f'{SIZE[1]}x{SIZE[0]}, {arguments.steps} steps of {BATCH}, last step',
            'rows': rows,
            'claims': found,
        }
        write_json(arguments.out, result)
        print(f'{run.name}: mIoU {miou:.2f}, {cpu_s:.0f} CPU-seconds', flush=True)
    print_claims(rows, source, other)
    if arguments.plot is not None:
        draw(rows, source, arguments.plot)
    return 0


def earlier(out: Path) -> list[Row]:
    """Return the runs that a result file has."""
    rows: list[Row] = json.loads(out.read_text('utf-8'))['rows'] if out.exists() else []
    return rows


def print_claims(rows: Sequence[Row], main: str, other: str | None) -> None:
    """Print what the paper claims and whether it is seen."""
    for claim in claims(rows, main, other):
        print(f'{claim["verdict"]:20} {claim["claim"]}: {claim["gain"]:+.2f}')


if __name__ == '__main__':
    raise SystemExit(main())
