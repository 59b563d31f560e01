# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A finished evaluation whose every number, picture and label map is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import csv
import json
from pathlib import Path
import re
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
from vidseg_ros.evaluation.report import write_report
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
        'tc_per_class': [0.0, 0.8, None],
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


PIXEL = """([x, y]) => {
    const copy = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    copy.drawImage(document.getElementById('canvas'), -x, -y);
    return Array.from(copy.getImageData(0, 0, 1, 1).data);
}"""


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
        classes: Sequence[str] = ('red', 'green', 'blue'),
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
                {'name': name, 'color': color} for name, color in zip(classes, COLORS, strict=True)
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


@pytest.fixture(scope='module')
def browser(chromium: str | None) -> Iterator[Any]:
    """Return a headless Chromium."""
    sync_api = pytest.importorskip('playwright.sync_api')
    sync_api.expect.set_options(timeout=20_000)  # ms; a busy machine takes its time
    with sync_api.sync_playwright() as playwright:
        program = playwright.chromium.launch(executable_path=chromium)
        yield program
        program.close()


class Report:
    """A report that is open in a browser."""

    def __init__(self, page: Any, expect: Any) -> None:
        self.page, self._expect = page, expect
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on('console', lambda message: self.complaints.append(message.text))
        page.on('pageerror', lambda error: self.complaints.append(str(error)))
        page.on('request', lambda request: self.requests.append(request.url))

    def pixel(self, x: int = 20, y: int = 20) -> tuple[int, ...]:
        """Return the RGBA of a pixel of the player."""
        return tuple(self.page.evaluate(PIXEL, [x, y]))

    def expect_frame(self, number: int) -> None:
        """Wait until the player shows a frame, counted from 1."""
        pattern = re.compile(rf'frame {number} of ')
        self._expect(self.page.locator('#clock')).to_have_text(pattern)

    def slide(self, name: str, value: int) -> None:
        self.page.locator(f'#{name}').fill(str(value))


@pytest.fixture
def opened(browser: Any, evaluation_folder: EvaluationFolder) -> Iterator[Callable[..., Report]]:
    """Return what writes a report and opens it; at the end the browser had no complaint."""
    context = browser.new_context(viewport={'width': 1280, 'height': 900}, color_scheme='light')
    expect = pytest.importorskip('playwright.sync_api').expect
    reports: list[Report] = []

    def open_report(**options: object) -> Report:
        report = Report(context.new_page(), expect)
        reports.append(report)
        report.page.goto(write_report(evaluation_folder(**options)).as_uri())
        report.expect_frame(1)
        expect(report.page.locator('#class-chart .bars').first).to_be_visible()
        return report

    yield open_report
    for report in reports:
        assert report.complaints == []
        assert [url for url in report.requests if url.startswith('http')] == []
    context.close()
