# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Cross-validated fine-tuning on a small data set (Zhu et al., CVPR 2019, on KITTI).

One network is trained for each fold, without the images of that fold. The held-out scores say how
good the recipe is. What is handed in is one of these networks, no ensemble: the one with the best
score over all labelled images.
"""

from dataclasses import asdict, dataclass, replace
import json
import os
from pathlib import Path
import shutil
import statistics
from typing import Final

from vidseg_ros.core.errors import ParameterError
from vidseg_training.checkpoints import WEIGHTS, write_atomically
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.kitti import FOLDS
from vidseg_training.export import load_run
from vidseg_training.fitting import run
from vidseg_training.run_lock import alone_in
from vidseg_training.scoring import on_fastest_device, score

SUBMISSION: Final = 'submission.safetensors'
"""The weights to hand in."""

RESULT: Final = 'cross_validation.json'


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """Scores of the network that was trained without one fold, mIoU from 0 to 1."""

    held_out: float
    """On the images of the fold."""
    labelled: float
    """On all labelled images, nine tenths of which it was trained on."""


def choose_submission(scores: list[FoldScore]) -> int:
    """Return the number of the fold whose network is handed in: the best on all images."""
    return max(range(len(scores)), key=lambda fold: scores[fold].labelled)


def cross_validate(config: TrainConfig, folder: Path) -> str:
    """Train and score every fold, or those that are missing, and choose one.

    Args:
        config: The recipe; its data set must have folds.
        folder: Receives a run for each fold, `RESULT` and `SUBMISSION`.

    Returns:
        The result in words.

    Raises:
        ParameterError: If the data set has no folds, a setting does not fit, or ``torchrun`` has
            started several processes, or another one works in the folder.
        SourceError: If data or starting weights cannot be read.
        OutputError: If a file cannot be written.
    """
    if int(os.environ.get('WORLD_SIZE', '1')) > 1:
        msg = (
            'cross-validation is one process, which scores and writes for all folds: leave out '
            'torchrun, or train single folds under it (vidseg-train fit RECIPE --fold N)'
        )
        raise ParameterError(msg)
    if config.dataset != 'kitti' or config.train_split != 'train':
        msg = (
            f'cross-validation needs a data set with folds (kitti) and the train split, not '
            f'{config.dataset} and {config.train_split}'
        )
        raise ParameterError(msg)
    with alone_in(folder):
        return _train_and_choose(config, folder)


def _train_and_choose(config: TrainConfig, folder: Path) -> str:
    scores = []
    for fold in range(FOLDS):
        part = folder / f'fold_{fold}'
        scores.append(_score_fold(replace(config, fold=fold), part))
    best = choose_submission(scores)
    chosen = folder / f'fold_{best}' / WEIGHTS
    write_atomically(folder / SUBMISSION, lambda partial: shutil.copyfile(chosen, partial))
    result = {'folds': [asdict(each) for each in scores], 'submission': best}
    _write_json(folder / RESULT, result)
    held_out = [each.held_out for each in scores]
    return (
        f'held-out mIoU {100 * statistics.fmean(held_out):.1f} '
        f'(folds {100 * min(held_out):.1f} to {100 * max(held_out):.1f}); handed in: fold {best}, '
        f'{100 * scores[best].labelled:.1f} on all labelled images, {folder / SUBMISSION}'
    )


def _score_fold(config: TrainConfig, folder: Path) -> FoldScore:
    done = folder / 'score.json'
    run(config, folder)
    if not done.is_file():
        _, network, held_out = load_run(folder, config.data)
        network = on_fastest_device(network)
        labelled = open_dataset(config, 'trainval')
        size = config.input_size
        miou = [score(network, images, size).miou() for images in (held_out, labelled)]
        _write_json(done, asdict(FoldScore(held_out=miou[0], labelled=miou[1])))
    return FoldScore(**json.loads(done.read_text(encoding='utf-8')))


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, indent=1)
    write_atomically(path, lambda partial: partial.write_text(text, encoding='utf-8'))
