# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg demo`: a drive through a live ROS 2 node, from nothing to pictures and numbers."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli.parser import Parser
from vidseg_ros.cli.progress import progress_bar
from vidseg_ros.cli.ros_hint import load_replay_live
from vidseg_ros.core.errors import EngineError, SourceError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_ros.core.labels import LabelSet, STREET
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.core.street import StreetClip
from vidseg_ros.evaluation.replay import MASKS, Outputs, ReplayResults, SHEET, SUMMARY, VIDEO
from vidseg_ros.evaluation.results_folder import claim_folder
from vidseg_ros.evaluation.sources import open_source, Source
from vidseg_ros.evaluation.summary import ReplaySummary
from vidseg_ros.evaluation.true_labels import LabelDirectory
from vidseg_ros.evaluation.writers import LABEL_MAP_TOPIC, MaskBagWriter, MaskPngWriter
from vidseg_ros.inference.model_file import ModelFile, read_model

STREET_MODEL: Final = 'street'
STREET_BAG: Final = 'street_bag'
LABELS: Final = 'labels'
MASK_BAG: Final = 'masks_bag'
NODE_LOG: Final = 'segmentation_node.log'

_IMAGE_TOPIC: Final = '/camera/image'
_LABEL_TOPIC: Final = '/camera/labels'
_INFO_TOPIC: Final = '/camera/label_info'
_FPS: Final = 15.0
_START_NS: Final = 1_700_000_000_000_000_000
"""Stamp of the clip's first frame: fixed, so that the same seed gives the same bag."""

_CONTENTS: Final = {
    VIDEO: 'the drive with its classes painted over it, plays in any browser',
    SHEET: 'the same as one picture, with the colours explained',
    MASKS: 'class ids of each frame, one 8-bit grey PNG each',
    MASK_BAG: f'the same as a ROS 2 bag, topic {LABEL_MAP_TOPIC}',
    STREET_BAG: f'the drive itself as a ROS 2 bag, topics {_IMAGE_TOPIC} and {_LABEL_TOPIC}',
    LABELS: 'the exact class ids of each frame',
    SUMMARY: 'the numbers above',
    NODE_LOG: 'what the node said',
}
"""Everything a demo leaves in its folder, best first."""


def main(argv: Sequence[str]) -> int:
    """Play a drive through a live node; print the numbers and leave everything in a folder.

    Args:
        argv: Arguments after ``vidseg demo``.

    Raises:
        ModelError: If the model is missing or breaks the model contract.
        SourceError: If the footage cannot be read, or breaks off.
        EngineError: If the node does not run, or ROS 2 is missing.
        OutputError: If the folder holds something foreign, or cannot be written.
    """
    args = _parse(argv)
    replay_live = load_replay_live('the demo')
    console = Console()
    own = args.video or args.bag
    model = read_model(find_model(args.model or (DEFAULT_MODEL if own else STREET_MODEL)))
    claim_folder(args.out, tuple(_CONTENTS), overwrite=True, inputs=[own] if own else [])
    path, topic, exact = own, args.topic, None
    if not own:
        console.print(f'Making a street drive of {args.seconds:g} s, seed {args.seed}')
        _record_street(args.out, args.seconds, args.seed)
        path, topic = args.out / STREET_BAG, _IMAGE_TOPIC
        if model.card.labels.names == STREET.names:
            exact = args.out / LABELS
        else:
            console.print(
                f'Not scored: {escape(model.card.name)} has other classes than the street'
            )
    with open_source(path, topic=topic) as source:
        console.print(f'Playing {escape(source.name)} through a node, at recorded rate')
        summary = _play(replay_live, source, exact, model, args.out)
        if summary.frames_segmented:
            console.print('Packing the masks as a bag')
            try:
                _write_mask_bag(source, args.out, model.card.labels)
            except SourceError:
                if not summary.error:
                    raise
    console.print(summary.table())
    console.print(_contents(args.out))
    if summary.error:
        raise SourceError(summary.error)
    if not summary.frames_segmented:
        msg = f'not one frame of {path} got a label map; {args.out / NODE_LOG} may say why'
        raise EngineError(msg)
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg demo',
        description='Segment a drive in a live ROS 2 node: a made-up street with exact labels, '
        'or a drive of your own.',
    )
    add = parser.add_argument
    own = parser.add_mutually_exclusive_group()
    own.add_argument('--video', type=Path, metavar='FILE', help='a video of your own')
    own.add_argument('--bag', type=Path, metavar='DIR', help='a ROS 2 bag of your own')
    add('--topic', metavar='T', help='image topic of a bag that has several')
    add('--model', help=f'default: {STREET_MODEL}, for a drive of your own {DEFAULT_MODEL}')
    add(
        '--out', type=Path, default=Path('demo_output'), metavar='DIR', help='default: %(default)s'
    )
    add('--seconds', type=_seconds, default=10.0, help='length of the street (default: 10)')
    add('--seed', type=int, default=0, help='another seed, another street (default: 0)')
    return parser.parse_args(argv)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        msg = f'must be a number above 0, at most 3600, not {text!r}'
        raise argparse.ArgumentTypeError(msg)
    return value


def _record_street(folder: Path, seconds: float, seed: int) -> None:
    """Make the street clip as a bag, with its exact labels in the bag and as PNGs."""
    count = max(1, round(seconds * _FPS))
    clip = StreetClip(seed=seed, fps=_FPS)
    with (
        BagWriter(folder / STREET_BAG, compress=True) as bag,
        progress_bar('street', count) as on_frame,
    ):
        bag.write_label_info(_INFO_TOPIC, STREET, stamp_ns=_START_NS)
        write = partial(bag.write_image, frame_id='camera')
        for frame in clip.frames(count):
            stamp_ns = _START_NS + frame.stamp_ns
            write(_IMAGE_TOPIC, frame.image, encoding='rgb8', stamp_ns=stamp_ns)
            write(_LABEL_TOPIC, frame.labels, encoding='mono8', stamp_ns=stamp_ns)
            on_frame(frame)
    with (
        open_source(folder / STREET_BAG, topic=_LABEL_TOPIC) as recorded,
        MaskPngWriter(folder / LABELS) as labels,
    ):
        for item in recorded:
            labels.write(item, item.decode('rgb8')[..., 0])


def _play(
    replay_live: Callable[..., ReplaySummary],
    source: Source,
    exact: Path | None,
    model: ModelFile,
    folder: Path,
) -> ReplaySummary:
    """Play the drive through a live node and collect what comes back."""
    labels = model.card.labels
    truth = LabelDirectory(exact, labels) if exact else None
    outputs = Outputs(folder=folder, fps=source.fps or FOLDER_FPS, overwrite=True)
    with (
        ReplayResults(labels, outputs, truth=truth) as results,
        progress_bar(source.name, source.frame_count) as on_frame,
    ):
        return replay_live(source, results, model=model.path, log_dir=folder, on_frame=on_frame)


def _write_mask_bag(source: Source, folder: Path, labels: LabelSet) -> None:
    """Write the masks once more, as a bag that ROS tools read."""
    masks = LabelDirectory(folder / MASKS, labels)
    with MaskBagWriter(folder / MASK_BAG, labels) as bag:
        for frame in source:
            ids = masks.get(frame)
            if ids is not None:
                bag.write(frame, ids)


def _contents(folder: Path) -> Table:
    """Return the list of what the demo left."""
    table = Table(title='look at', title_justify='left', show_header=False)
    table.add_column(style='bold', no_wrap=True)
    table.add_column()
    for name, what in _CONTENTS.items():
        if (folder / name).exists():
            table.add_row(escape(str(folder / name)), what)
    return table
