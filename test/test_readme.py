# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The commands of README.md do what they say; only their footage, data and training are small."""

from collections import Counter
import os
from pathlib import Path
import re
import shlex
import shutil
import subprocess
from types import SimpleNamespace
from typing import Any, Final

import cv2
import numpy as np
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli import demo
from vidseg_ros.cli.main import main
from vidseg_ros.core.resources import DEFAULT_MODEL
from vidseg_ros.evaluation.writers import OverlayVideoWriter

ROOT: Final = Path(__file__).resolve().parents[1]
MAKE: Final = shutil.which('make') or ''


def commands() -> list[list[str]]:
    """Return the words of every line in a bash block."""
    text = (ROOT / 'README.md').read_text()
    blocks = re.findall(r'^```bash\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    lines = ''.join(blocks).replace('\\\n', ' ').splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def of(program: str) -> list[Any]:
    """Return the arguments of every call of a program, each as one test."""
    calls = [words[1:] for words in commands() if words[0] == program]
    return [pytest.param(call, id=' '.join(call)) for call in calls]


def test_every_command_of_the_readme_was_found() -> None:
    found = Counter(words[0] for words in commands())
    assert found == {'make': 5, 'vidseg': 8, 'vidseg-train': 7, 'colcon': 1, 'ros2': 2}


@pytest.mark.parametrize('page', [ROOT / 'README.md', *sorted(ROOT.glob('docs/*.md'))])
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r'\]\(([^)#:]+)\)', page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.fixture
def small_world(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with small substitutes for all that the commands name."""
    monkeypatch.chdir(tmp_path)
    picture = np.full((48, 64, 3), (200, 0, 0), np.uint8)
    with OverlayVideoWriter('drive.mp4', fps=10) as video:
        for number in range(3):
            video.write(picture, number * 100_000_000)
    with BagWriter(Path('my_bag')) as bag:
        for topic in ('/front/image', '/rear/image'):
            for number in range(3):
                stamp_ns = number * 100_000_000
                bag.write_image(topic, picture, encoding='rgb8', stamp_ns=stamp_ns, frame_id='')
    for folder, image in (('images', picture[..., ::-1]), ('labels', picture[..., 1])):
        Path(folder).mkdir()
        for number in range(3):
            assert cv2.imwrite(f'{folder}/{number:06d}.png', image)
    for models in (Path('models'), Path('prefix', 'share', 'vidseg_ros', 'models')):
        models.mkdir(parents=True)
        shutil.copy(tiny_model, models / f'{DEFAULT_MODEL}.onnx')
    for name in ('a.onnx', 'b.onnx'):
        shutil.copy(tiny_model, name)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'), prepend=os.pathsep)
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)  # for the live node
    return tmp_path


@pytest.mark.usefixtures('small_world')
@pytest.mark.parametrize('arguments', of('vidseg'))
def test_vidseg(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if '--live' in arguments:
        pytest.importorskip('rclpy')
    assert main(arguments) == 0
    assert 'tiny' in capsys.readouterr().out, 'the name of the model is missing'


@pytest.mark.skipif(not MAKE, reason='make is not installed')
@pytest.mark.parametrize('arguments', of('make'))
def test_make(arguments: list[str]) -> None:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith('MAKE')}
    done = subprocess.run(
        [MAKE, '--dry-run', *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace('\\\n', ' ').splitlines()
    demos = [shlex.split(line)[2:] for line in lines if '/vidseg demo' in line]
    assert len(demos) == arguments.count('demo')
    for words in demos:
        given = vars(demo._parse(words))
        for name, value in (word.split('=') for word in arguments if '=' in word):
            assert str(given[name.lower()]) == value


@pytest.mark.parametrize('arguments', of('vidseg-train'))
def test_vidseg_train(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = pytest.importorskip('vidseg_training.cli', reason='the training package is missing')

    called: list[str] = []

    def note(*things: object) -> str:
        called.extend(Path(str(thing)).stem for thing in things)
        return ''

    substitutes = {
        'fitting.run': lambda config, folder: note('fit', config.name, folder),
        'evaluation.evaluate': lambda run, *_, **_options: note('evaluate', run),
        'export.export': lambda run, out, _, **_options: SimpleNamespace(
            path=note('export', run, out)
        ),
        'motion_training.train_motion': lambda config, out: note('motion', *config.clips, out),
        'cli.propagate': lambda given: note('propagate', *given.clips, given.motion, given.out),
    }
    for name, substitute in substitutes.items():
        monkeypatch.setattr(f'vidseg_training.{name}', substitute)
    assert cli.main(arguments) == 0
    if arguments == ['list']:
        assert 'camvid_fddwnet' in capsys.readouterr().out
    else:
        assert called[0] == arguments[0]
        assert len(called) > 1
        assert set(called) <= {Path(word).stem for word in arguments}
