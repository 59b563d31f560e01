# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""How large is the report of a ten-minute drive, and how soon does it open in Chromium?

Usage::

    python bench/report_opening.py DATA/dashcam/test_small1.mp4

The footage is evaluated, then repeated until it lasts ten minutes at 15 frames/s: the same
pictures, label maps and numbers over and over, so a real drive's own file may be somewhat larger
or smaller. Model B is the same network on the mirrored picture. Opening: from the start of
the navigation to the first screen, whole: key numbers and the player's first frame with its label
map, in a fresh context each time; the quickest of the rounds, because anything else on the machine
only adds. The charts, further down the page, come after it and have the same limit.
"""

import argparse
from contextlib import closing
import csv
from itertools import islice
import json
from pathlib import Path
import shutil
from tempfile import TemporaryDirectory
from typing import Any, Final

from browser import Browser, sync_playwright
import numpy as np
from numpy.typing import NDArray
from report import finish, surroundings, Target

from vidseg_ros.cli.main import main as vidseg
from vidseg_ros.core.resources import DEFAULT_MODEL, find_model
from vidseg_ros.evaluation.clip import ClipWriter
from vidseg_ros.evaluation.report import write_report
from vidseg_ros.evaluation.sources import open_source
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

FPS: Final = 15
SECONDS: Final = 600
LIMIT_S: Final = 2.0
LIMIT_MB: Final = {1: 60.0, 2: 100.0}

Picture = tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]]]


def _pictures(footage: Path, frames: int, keys: list[str]) -> list[Picture]:
    """Segment the footage; model b sees the mirrored picture."""
    found: list[Picture] = []
    model = find_model(DEFAULT_MODEL)
    with open_source(footage) as source, closing(OnnxRuntimeEngine(model)) as engine:
        for frame in islice(source, frames):
            image = frame.decode('rgb8')
            views = {'a': image, 'b': np.ascontiguousarray(image[:, ::-1])}
            labels = {key: engine.infer([views[key]]).labels[0] for key in keys}
            if 'b' in labels:
                labels['b'] = np.ascontiguousarray(labels['b'][:, ::-1])
            found.append((image, labels))
    return found


def _lengthen(out: Path, pictures: list[Picture], keys: list[str]) -> None:
    """Repeat the one evaluated source of ``out`` to the length of the drive."""
    content = json.loads((out / 'results.json').read_text(encoding='utf-8'))
    (source,) = content['sources']
    source['frames'], source['duration_s'] = SECONDS * FPS, float(SECONDS)
    (out / 'results.json').write_text(json.dumps(content), encoding='utf-8')
    folder = out / 'sources' / source['key']
    for key in keys:
        path = folder / f'frames-{key}.csv'
        with path.open(encoding='utf-8', newline='') as file:
            rows = list(csv.DictReader(file))
        with path.open('w', encoding='utf-8', newline='') as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            for index in range(SECONDS * FPS):
                stamp_ns = index * 1_000_000_000 // FPS
                table.writerow(rows[index % len(rows)] | {'index': index, 'stamp_ns': stamp_ns})
    shutil.rmtree(folder / 'clip', ignore_errors=True)
    with ClipWriter(folder / 'clip', models=keys) as clip:
        for index in range(SECONDS * FPS):
            image, labels = pictures[index % len(pictures)]
            clip.write(image, labels, index * 1_000_000_000 // FPS, index)


def _opening_s(browser: Browser, page_file: Path) -> tuple[float, float]:
    """Return the seconds until the first screen is whole, and until every chart is there.

    The page looks at itself before each of its pictures, and takes the time.
    """
    with closing(browser.new_context(viewport={'width': 1280, 'height': 900})) as context:
        page = context.new_page()
        page.goto(page_file.as_uri(), wait_until='commit')
        times = []
        for there in (
            'document.getElementById("clock").textContent',
            'document.querySelector("#class-chart .xtick, #confusion-chart .xtick")',
        ):
            seen = page.wait_for_function(
                f'() => {there} && performance.now()', polling='raf', timeout=60_000
            )
            times.append(seen.json_value() / 1000)
        return times[0], times[1]


def _measure(footage: Path, frames: int, rounds: int, keys: list[str]) -> dict[str, Any]:
    with TemporaryDirectory() as scratch:
        out = Path(scratch, 'eval')
        models = [word for _ in keys for word in ('--model', DEFAULT_MODEL)]
        arguments = [str(footage), '--limit', str(frames), '--out', str(out), *models]
        if vidseg(['evaluate', *arguments]) != 0:
            msg = f'cannot evaluate {footage}'
            raise SystemExit(msg)
        _lengthen(out, _pictures(footage, frames, keys), keys)
        page_file = write_report(out)
        with sync_playwright() as playwright:
            program = shutil.which('chromium') or shutil.which('google-chrome')
            browser = playwright.chromium.launch(executable_path=program, args=['--no-sandbox'])
            with closing(browser):
                times = [_opening_s(browser, page_file) for _ in range(rounds)]
        return {
            'models': len(keys),
            'megabytes': page_file.stat().st_size / 1e6,
            'player_s': [player for player, _ in times],
            'charts_s': [charts for _, charts in times],
        }


def main() -> int:
    """Measure; return 1 if the page is too large or opens too slowly."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('source', type=Path, help='bag, video or folder of images')
    parser.add_argument('--frames', type=int, default=100, help='default: %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    result = surroundings('plotly', 'playwright', 'av')
    result['source'] = arguments.source.name
    result['runs'] = []
    targets = []
    for keys in (['a'], ['a', 'b']):
        run = _measure(arguments.source, arguments.frames, arguments.rounds, keys)
        print(run)
        result['runs'].append(run)
        numbers = {
            'megabytes': (run['megabytes'], LIMIT_MB[len(keys)]),
            'seconds to the first screen': (min(run['player_s']), LIMIT_S),
            'seconds to all charts': (min(run['charts_s']), LIMIT_S),
        }
        targets += [
            Target(
                what=f'{len(keys)} model(s), {what}',
                value=value,
                limit=limit,
                higher_is_better=False,
            )
            for what, (value, limit) in numbers.items()
        ]
    return finish(
        result, targets, name=f'report_opening_{arguments.source.stem}', out=arguments.out
    )


if __name__ == '__main__':
    raise SystemExit(main())
