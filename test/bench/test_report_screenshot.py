# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The picture of README.md is of a report with labels."""

from collections.abc import Callable
import json
from pathlib import Path
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest


@pytest.mark.usefixtures('chromium')
def test_a_street_drive_is_evaluated_and_photographed(
    script: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = script('report_screenshot')
    photograph, seen = module._photograph, []

    def watched(report: Path) -> bytes:
        content = json.loads((report.parent / 'results.json').read_text())
        seen.extend(content['sources'])
        return bytes(photograph(report))

    monkeypatch.setattr(module, '_photograph', watched)
    picture = tmp_path / 'report.webp'
    monkeypatch.setattr(sys, 'argv', ['report_screenshot.py', str(picture), '--frames', '3'])
    assert module.main() == 0
    (source,) = seen
    assert (source['frames'], source['labelled'], source['problems']) == (3, 3, [])
    assert picture.read_bytes()[8:12] == b'WEBP'
    found = cv2.imread(str(picture))
    assert found is not None
    height, width, _ = found.shape
    assert width == module.WIDTH
    assert height > width / 2, 'head and player'
    colours = np.unique(found[height // 3 : height * 2 // 3, : width // 2] // 16, axis=1)
    assert colours.shape[1] > 100, 'a street, and no empty stage'


@pytest.mark.parametrize('name', ['report_screenshot', 'report_opening'])
def test_without_playwright_a_sentence_says_how_to_get_it(
    name: str, script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (name, 'browser'):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, 'playwright', None)
    monkeypatch.setitem(sys.modules, 'playwright.sync_api', None)
    with pytest.raises(SystemExit, match='playwright is missing: `make test` installs it'):
        script(name)


def test_a_picture_that_cannot_be_written(
    script: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    module = script('report_screenshot')
    png = cv2.imencode('.png', np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    monkeypatch.setattr(module, '_record', lambda *_: None)
    monkeypatch.setattr(module, 'vidseg', lambda _: 0)
    monkeypatch.setattr(module, '_photograph', lambda _: png)
    picture = tmp_path / 'nowhere' / 'report.webp'
    monkeypatch.setattr(sys, 'argv', ['report_screenshot.py', str(picture)])
    assert module.main() == 1
    assert f'cannot write {picture}; check the folder' in capsys.readouterr().err
