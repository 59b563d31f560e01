# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/own_data.md, one after the other; only the training is short."""

import json
from pathlib import Path
import re
import shlex
from typing import Final

import cv2
import pytest

from vidseg_ros.cli.main import main
from vidseg_ros.core.labels import STREET
from vidseg_ros.inference.model_file import read_model

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = (ROOT / 'docs' / 'own_data.md').read_text(encoding='utf-8')
SHORT: Final = ('--epochs', '2', '--input-size', '96', '160', '--crop-size', '96', '96')


def _blocks(language: str) -> str:
    found = re.findall(rf'^```{language}\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
    assert found, f'{PAGE}: no block of {language}'
    return '\n'.join(found)


def test_the_page_from_data_to_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('rclpy', reason='one command is live')
    train = pytest.importorskip('vidseg_training.cli', reason='the training package is missing')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=':')  # for the live node
    exec(compile(_blocks('python'), 'own_data.md', 'exec'), {})  # noqa: S102  # the page's own words
    Path('my_drive', 'dataset.yaml').write_text(_blocks('yaml'), encoding='utf-8')

    ran = []
    for line in filter(None, _blocks('bash').splitlines()):
        program, *words = shlex.split(line)
        ran.append(' '.join([program, *words[:1]]))
        if program == 'vidseg-train':
            assert train.main([*words, *(SHORT if words[0] == 'fit' else ())]) == 0
        elif program == 'vidseg':
            assert main(words) == 0, capsys.readouterr().err
        else:
            assert words[:3] == ['launch', 'vidseg_ros', 'segmentation.launch.py']
            launch_file = (ROOT / 'launch' / words[2]).read_text(encoding='utf-8')
            for word in words[3:]:
                assert f"'{word.split(':=')[0]}'," in launch_file
    assert ran == [
        'vidseg-train fit',
        'vidseg-train export',
        'vidseg inspect',
        'vidseg replay',
        'vidseg replay',
        'ros2 launch',
    ]

    card = read_model(Path('my_model.onnx')).card
    assert card.labels == STREET
    assert card.licence == 'as its data: all rights reserved'
    assert card.datasets[0].name == 'my drive, train'
    assert card.scores[0].protocol.startswith('my drive test (8 images)')
    summary = json.loads(Path('results', 'summary.json').read_text(encoding='utf-8'))
    assert summary['frames'] == {'seen': 8, 'segmented': 8}
    assert cv2.imread('results/contact_sheet.png') is not None
