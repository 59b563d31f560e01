# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""(A tool) Trains motion networks for `propagated_labels.py`, protocol *clip_halves*.

Usage::

    python bench/motion_halves.py DATA OUT [--mode reconstruction prediction] [--flow farneback]

``DATA`` has ``camvid`` (SegNet split) and ``dashcam``. A network learns from the images of one
half of CamVid's dense clip (frames 0-44 or 56-100; no labels) and the day clips of ``dashcam``,
the half about as often as all of those together. A run that was interrupted goes on when the
command is given again. At the end stands the command that scores the networks.
"""

import argparse
from itertools import chain
from pathlib import Path
from typing import Final, get_args, Literal

from vidseg_training.data.camvid import CamVid
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_training import train_motion
from vidseg_training.networks.motion import MotionMode

Flow = Literal['dis', 'farneback']

HALVES: Final = {'first': range(45), 'second': range(56, 101)}
DASHCAM: Final = (
    'lanelines_solidWhiteRight',
    'project_video_cut',
    'test_small1',
    'test_small2',
    'vehicle_test_video',
)


def link_half(data: Path, half: str, out: Path) -> Path:
    """Make a folder of links to the images of a half; return it."""
    folder = out / f'{half}_half'
    folder.mkdir(parents=True, exist_ok=True)
    names = CamVid(data / 'camvid', 'val').names
    for name in (names[index] for index in HALVES[half]):
        if not (folder / name).exists():
            (folder / name).symlink_to((data / 'camvid' / 'val' / name).resolve())
    return folder


def train(mode: MotionMode, half: str, arguments: argparse.Namespace) -> Path:
    """Train a network on one half; return its weights."""
    data, out, flow = arguments.data, arguments.out, arguments.flow
    folder = link_half(data, half, out)
    config = MotionConfig(
        clips=(
            *[str(folder)] * (len(DASHCAM) + 1),
            *(str(data / 'dashcam' / f'{name}.mp4') for name in DASHCAM),
        ),
        mode=mode,
        flow=flow,
        epochs=arguments.epochs,
        windows=160,
    )
    return train_motion(config, out / f'{mode}_{flow}_{half}')


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--mode', nargs='+', choices=get_args(MotionMode))
    parser.add_argument('--flow', choices=get_args(Flow), default='dis')
    parser.add_argument('--epochs', type=int, default=5, help='of 40 steps')
    arguments = parser.parse_args()
    scored = []
    for mode in arguments.mode or get_args(MotionMode):
        # The network that is scored on the first half has not seen it, and so for the second.
        networks = [train(mode, half, arguments) for half in ('second', 'first')]
        scored.append(['--learned', f'{mode}_{arguments.flow}', *map(str, networks)])
    print('python bench/propagated_labels.py', arguments.data, *chain(*scored))


if __name__ == '__main__':
    main()
