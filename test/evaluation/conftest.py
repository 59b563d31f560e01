# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A finished evaluation whose every number, picture and label map is known."""

from collections.abc import Callable, Mapping, Sequence
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.bag_io.messages import (
    LABEL_INFO_TYPE,
    make_header,
    message_types,
    VISION_CLASS_TYPE,
)
from vidseg_ros.evaluation.clip import ClipWriter
from vidseg_ros.evaluation.report_series import WORST_IS_LOW

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
EvaluationFolder = Callable[..., Path]


def scores(better: float) -> dict[str, Any]:
    """Return scores as results.json has them."""
    none = dict.fromkeys(
        (
            *('tc_fast', 'tc_legacy', 'tc_legacy_fast', 'flips_per_s_fast', 'tc_per_class_fast'),
            *('vc8', 'vc8_self', 'vc16', 'vc16_self', 'accuracy'),
        )
    )
    return {
        **none,
        'miou': 0.5 + better,
        'iou': [0.4 + better, 0.6 + better, None],
        'confusion': [[3, 1, 0], [0, 4, 0], [0, 0, 0]],
        'tc': 0.7 + better,
        'flips_per_s': 0.3 + better / 1000,
        'tc_per_class': [0.7, 0.8, None],
        'class_share': [0.5, 0.5, 0.0],
        'confidence_mean': 0.9,
        'inference_ms': {'p50': 10.0, 'p95': 12.0, 'p99': 13.0, 'max': 14.0, 'mean': 10.5},
    }


def write_source(folder: Path, models: list[str], frames: int, worst: int, lap: int) -> None:
    """Write tables and clip of a source at 10 frames/s.

    Frame i is grey of level 10 i mod 250; the first model says class i % 3 everywhere, the second
    class 2; TC of frame i is 0.9, and 0.1 for frame ``worst``. The clock starts anew every ``lap``
    frames.
    """
    folder.mkdir(parents=True)
    stamps_ns = [START_NS + at % lap * STEP_NS for at in range(frames)]
    for key in models:
        with (folder / f'frames-{key}.csv').open('w', newline='') as stream:
            writer = csv.writer(stream)
            writer.writerow(['index', 'stamp_ns', 'labelled', *sorted(set(WORST_IS_LOW) - FAST)])
            for at in range(frames):
                row = {'tc': 0.1 if at == worst else 0.9, 'flips': 0.01, 'inference_ms': 10 + at}
                row |= {'confidence': 0.8, 'miou': ''}
                cells = [row[name] for name in sorted(row)]
                writer.writerow([at, stamps_ns[at], 0, *cells])
    with ClipWriter(folder / 'clip', models) as clip:
        for at in range(frames):
            image = np.full((48, 64, 3), 10 * at % 250, np.uint8)
            maps = {'a': np.full((12, 16), at % 3, np.uint8), 'b': np.full((12, 16), 2, np.uint8)}
            clip.write(image, maps, stamps_ns[at], at)


FAST = {'tc_fast', 'flips_fast'}


@pytest.fixture
def write_names() -> Callable[[Path, Mapping[int, str] | None], None]:
    """Return what writes a bag of one frame with labels whose class list is given, or damaged."""
    types = message_types()

    def write(path: Path, names: Mapping[int, str] | None) -> None:
        cdr = b'\0\1\0\0garbage'
        if names is not None:
            entry = types.types[VISION_CLASS_TYPE]
            classes = [entry(class_id=at, class_name=name) for at, name in names.items()]
            header = make_header(0, '')
            info = types.types[LABEL_INFO_TYPE](header=header, class_map=classes, threshold=0.0)
            cdr = bytes(types.serialize_cdr(info, LABEL_INFO_TYPE))
        rest: dict[str, Any] = {'stamp_ns': 0, 'frame_id': ''}
        with BagWriter(path) as bag:
            bag.write_image('/camera', np.zeros((2, 2, 3), np.uint8), encoding='rgb8', **rest)
            bag.write_image('/truth', np.zeros((2, 2), np.uint8), encoding='mono8', **rest)
            bag.write_raw('/info', LABEL_INFO_TYPE, cdr, 0)

    return write


@pytest.fixture
def evaluation_folder(tmp_path: Path) -> EvaluationFolder:
    """Return what writes an evaluation: keys of sources with their paths, models, …"""

    def write(  # noqa: PLR0913 - by name
        sources: dict[str, str] | None = None,
        models: str = 'ab',
        *,
        frames: int = 20,
        worst: int = 7,
        lap: int = 1000,
        lacks: Sequence[str] = (),
    ) -> Path:
        out = tmp_path / 'out'
        paths = sources or {'drive': '/bags/drive.mcap'}
        for key in paths:
            write_source(out / 'sources' / key, list(models), frames, worst, lap)
        by_model = {key: scores(0.1 * at) for at, key in enumerate(models)}
        facts = {'labelled': 0, 'unreadable': 0, 'dropped': 1, 'problems': ['breaks off']}
        results = {
            'schema': 'vidseg.results/2',
            'models': [
                {
                    'key': key,
                    'file': f'{key}.onnx',
                    'sha256': '12ab',
                    'precision': 'fp32',
                    'lacks': [],
                }
                | {'card': {'name': f'net-{key}'}, 'engine': None}
                | {'lacks': list(lacks) if key == 'b' else []}
                for key in models
            ],
            'classes': [
                {'name': name, 'color': color}
                for name, color in zip(('red', 'green', 'blue'), COLORS, strict=True)
            ],
            'sources': [
                {'key': key, 'path': path, 'topic': None, 'frames': frames, 'models': by_model}
                | facts
                for key, path in paths.items()
            ],
            'overall': by_model,
        }
        (out / 'results.json').write_text(json.dumps(results))
        return out

    return write
