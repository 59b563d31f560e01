# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg compare`: a video of two models side by side, and of the labels that flip."""

import argparse
from collections.abc import Sequence
from contextlib import closing, ExitStack
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vidseg_ros.cli.argument_types import count
from vidseg_ros.cli.parser import Parser
from vidseg_ros.cli.progress import progress_bar
from vidseg_ros.core.errors import ImageError, OutputError, SourceError
from vidseg_ros.core.image_codec import FOLDER_FPS
from vidseg_ros.core.resources import find_model
from vidseg_ros.evaluation.lookahead import segment_ahead
from vidseg_ros.evaluation.side_by_side import SideBySide
from vidseg_ros.evaluation.sources import open_source, Source
from vidseg_ros.evaluation.writers import OverlayVideoWriter, writing
from vidseg_ros.inference.engine import CHOICES, create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.pipeline import Segmenter


def main(argv: Sequence[str]) -> int:
    """Write the video, and print how steady the models are.

    Args:
        argv: Arguments after ``vidseg compare``.

    Raises:
        ModelError: If there is no such model, or it breaks the model contract.
        SourceError: If the footage cannot be read.
        EngineError: If an engine cannot be opened or fails.
        OutputError: If the video is there already or cannot be written.
    """
    args = _parse(argv)
    _check_free(args.out, args.source, overwrite=args.overwrite)
    with ExitStack() as stack:
        engines = [
            stack.enter_context(
                closing(create_engine(args.engine, find_model(name), EngineSettings(build=False)))
            )
            for name in args.models
        ]
        source = stack.enter_context(open_source(args.source, topic=args.topic))
        segmenters = [Segmenter(engine, 'network') for engine in engines]
        with writing(args.out):
            args.out.unlink(missing_ok=True)  # not before everything else is known to be there
        pictures = _film(source, segmenters, args.out, args.limit)
    table = Table('model', 'flips/s', 'TC', title=f'{source.name}, without labels')
    for engine, steadiness in zip(engines, pictures.steadiness, strict=True):
        table.add_row(
            engine.card.name, f'{steadiness.flips():.3f}', f'{100 * steadiness.tc():.1f}'
        )
    Console().print(table)
    Console(markup=False, emoji=False).print(f'video is in {args.out}', highlight=False)
    return 0


def _check_free(out: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse a file that may not be replaced.

    Raises:
        OutputError: If there is one.
    """
    if not out.exists():
        return
    if out.is_dir() or out.resolve() == source.resolve():
        what = 'is a folder' if out.is_dir() else 'is the footage itself'
        msg = f'{out} {what}; choose another --out'
        raise OutputError(msg)
    if not overwrite:
        msg = f'{out} exists; choose another --out, or --overwrite it'
        raise OutputError(msg)


def _film(
    source: Source, segmenters: Sequence[Segmenter], out: Path, limit: int | None
) -> SideBySide:
    """Segment the footage and write the video; frames that cannot be decoded are left out.

    Raises:
        SourceError: If no frame can be decoded.
    """
    cards = [segmenter.engine.card for segmenter in segmenters]
    pictures, filmed, lost = SideBySide(cards, source.fps), 0, 0
    total = min((n for n in (source.frame_count, limit) if n is not None), default=None)
    with (
        OverlayVideoWriter(out, source.fps or FOLDER_FPS) as video,
        progress_bar(source.name, total) as on_frame,
        closing(segment_ahead(islice(source, limit), source.name, segmenters)) as outcomes,
    ):
        for item, outcome in outcomes:
            on_frame(item)
            if isinstance(outcome, ImageError):
                lost += 1
                pictures.skip(item.stamp_ns)
                continue
            image = outcome[0].frame.image
            rgb = image if cards[0].input_order == 'rgb8' else image[..., ::-1].copy()
            labels = [segmentation.labels for segmentation in outcome]
            video.write(pictures.draw(rgb, labels, item.stamp_ns), item.stamp_ns)
            filmed += 1
    if not filmed:
        msg = f'not one frame of {source.name} can be decoded'
        raise SourceError(msg)
    if lost:
        Console(stderr=True).print(f'{lost} frames cannot be decoded and are left out')
    return pictures


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        prog='vidseg compare',
        description='Film two models side by side: the classes they see, and below in red the '
        'pixels whose class changes although the scene does not.',
    )
    add = parser.add_argument
    add('source', type=Path, metavar='SOURCE', help='bag, video file or folder of images')
    add('models', nargs=2, metavar='MODEL', help='paths, or names of shipped models')
    add('--topic', metavar='T', help='image topic of a bag that has several')
    add('--limit', type=count, metavar='N', help='stop after N frames')
    add('--engine', choices=CHOICES, default='onnxruntime', help='default: %(default)s')
    add(
        '--out',
        type=Path,
        metavar='FILE',
        default=Path('side_by_side.mp4'),
        help='default: %(default)s',
    )
    add('--overwrite', action='store_true', help='replace the FILE of an earlier run')
    return parser.parse_args(argv)
