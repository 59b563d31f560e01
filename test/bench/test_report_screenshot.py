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


def test_a_street_drive_is_evaluated_and_photographed(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    module = script('report_screenshot')
    seen: list[Path] = []

    def photograph(report: Path) -> bytes:
        content = json.loads((report.parent / 'results.json').read_text())
        (source,) = content['sources']
        assert (source['frames'], source['labelled'], source['problems']) == (3, 3, [])
        assert report.is_file()
        seen.append(report)
        return cv2.imencode('.png', np.full((40, 60, 3), (10, 120, 200), np.uint8))[1].tobytes()

    monkeypatch.setattr(module, '_photograph', photograph)
    picture = tmp_path / 'report.webp'
    monkeypatch.setattr(sys, 'argv', ['report_screenshot.py', str(picture), '--frames', '3'])
    assert module.main() == 0
    assert len(seen) == 1
    assert picture.read_bytes()[8:12] == b'WEBP'
    found = cv2.imread(str(picture))
    assert found is not None
    assert np.abs(found.astype(int) - (10, 120, 200)).max() <= 8
