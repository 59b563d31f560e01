# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Make the picture of the report that README.md shows, out of the made-up street drive.

Usage::

    python bench/report_screenshot.py docs/images/report.webp

Nothing but a Chromium is needed: drive and labels are made up, the model is a shipped one. It
shows the first of the worst moments.
"""

import argparse
from contextlib import closing
from pathlib import Path
import re
import shutil
import sys
from tempfile import TemporaryDirectory
from typing import Final

from browser import expect, sync_playwright
import cv2
import numpy as np

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli.main import main as vidseg
from vidseg_ros.core.labels import STREET
from vidseg_ros.core.street import StreetClip

FPS: Final = 15
WIDTH: Final = 1280
MARGIN: Final = 16
WAIT_MS: Final = 60_000
QUALITY: Final = 80


def _record(path: Path, frames: int) -> None:
    with BagWriter(path) as bag:
        bag.write_label_info('/truth/label_info', STREET, stamp_ns=0)
        for frame in StreetClip(fps=FPS).frames(frames):
            stamp_ns = frame.stamp_ns
            bag.write_image(
                '/camera', frame.image, encoding='rgb8', stamp_ns=stamp_ns, frame_id='camera'
            )
            bag.write_image(
                '/truth/label_map', frame.labels, encoding='mono8', stamp_ns=stamp_ns, frame_id=''
            )


def _photograph(report: Path) -> bytes:
    """Return a PNG of the page's head and player."""
    with sync_playwright() as playwright:
        program = shutil.which('chromium') or shutil.which('google-chrome')
        browser = playwright.chromium.launch(executable_path=program, args=['--no-sandbox'])
        with closing(browser):
            page = browser.new_page(viewport={'width': WIDTH, 'height': 800})
            page.goto(report.as_uri())
            expect(page.locator('#time-chart .xtick').first).to_be_visible(timeout=WAIT_MS)
            page.locator('.moments button').first.click()
            started = re.compile('frame 1 of')
            expect(page.locator('#clock')).not_to_have_text(started, timeout=WAIT_MS)
            page.locator('#canvas').hover(position={'x': 440, 'y': 250})
            expect(page.locator('#below-pointer')).to_be_visible(timeout=WAIT_MS)
            box = page.locator('#player').bounding_box()
            assert box is not None
            height = page.evaluate('scrollY') + box['y'] + box['height'] + MARGIN
            clip = {'x': 0, 'y': 0, 'width': WIDTH, 'height': height}
            return bytes(page.screenshot(full_page=True, clip=clip))


def main() -> int:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('picture', type=Path, help='WebP file to write')
    parser.add_argument('--frames', type=int, default=90, help='default: %(default)s')
    arguments = parser.parse_args()
    with TemporaryDirectory() as scratch:
        bag, out = Path(scratch, 'street'), Path(scratch, 'eval')
        _record(bag, arguments.frames)
        words = ['--labels', '/truth/label_map', '--model', 'street', '--out', str(out)]
        if vidseg(['evaluate', str(bag), *words]) != 0:
            return 1
        data = _photograph(out / 'report.html')
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if cv2.imwrite(str(arguments.picture), image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
        return 0
    sys.stderr.write(f'cannot write {arguments.picture}; check the folder and the free space\n')
    return 1


if __name__ == '__main__':
    raise SystemExit(main())
