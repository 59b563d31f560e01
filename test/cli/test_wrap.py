# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg inspect --wrap`: the commands of docs/model_file.md, and what it says when it fails."""

from collections.abc import Callable
import json
from pathlib import Path
import re
import shlex

import numpy as np
import pytest

from vidseg_ros.cli.main import main
from vidseg_ros.core.labels import CITYSCAPES
from vidseg_ros.evaluation.writers import OverlayVideoWriter
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.wrap_settings import WrapSettings

Foreign = Callable[..., Path]
PAGE = Path(__file__).parents[2] / 'docs' / 'model_file.md'
FLAGS = ['--classes', 'cityscapes', '--mean', '0', '0', '0', '--std', '1', '1', '1']


@pytest.fixture
def documented(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[list[str]]:
    """Go to a folder with all that the page names; the words of its commands."""
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    (settings,) = re.findall(r'^```yaml\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    Path('foreign.yaml').write_text(settings)
    foreign('foreign.onnx')
    foreign('foreign19.onnx', classes=19, size=('H', 'W'))
    rng = np.random.default_rng(0)
    with OverlayVideoWriter('drive.mp4', fps=10) as video:
        for number in range(3):
            blocks = rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            video.write(blocks, number * 100_000_000)
    (block,) = re.findall(r'^```bash\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for line in block.replace('\\\n', ' ').splitlines()]


def test_the_documented_commands(
    documented: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [words[:3] for words in documented] == [['vidseg', 'inspect', '--wrap']] * 2
    for words in documented:
        assert main(words[1:]) == 0
    first, second = capsys.readouterr().err.split('mine19.onnx')
    assert re.match(r'mine\.onnx agrees with foreign\.onnx on \d+\.\d+% of the pixels', first)
    assert 'over 3 frames of drive.mp4' in ' '.join(first.split())
    assert 'over 8 frames of made-up streets (for real ones: --frames)' in ' '.join(second.split())
    card = read_model(Path('mine.onnx')).card
    assert card.labels.names == ('road', 'sky', 'car')
    assert card.labels.colors[1] == (70, 130, 180)
    assert card.licence == 'what the data of the weights allow'
    other = read_model(Path('mine19.onnx')).card
    assert (other.labels, other.input_size) == (CITYSCAPES, (512, 1024))


def test_the_new_file_is_printed_as_json_alone(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / 'mine.onnx')
    words = ['inspect', '--json', '--out', target, '--gives', 'logits', '--no-confidence']
    source = foreign(classes=19)
    card = ['--name', 'theirs', '--licence', 'MIT']
    assert main([*words, '--wrap', str(source), *FLAGS, *card]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain['file']['path'] == target
    assert (plain['card']['name'], plain['card']['licence']) == ('theirs', 'MIT')
    assert [output['name'] for output in plain['outputs']] == ['labels']


def test_a_single_class_is_pointed_at(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['inspect', '--out', str(tmp_path / 'mine.onnx'), '--wrap', str(foreign(classes=19))]
    assert main([*words, *FLAGS, '--mean', '-1000000', '0', '0']) == 0
    err = ' '.join(capsys.readouterr().err.split())
    assert '1 of 19 classes were seen: ' in err
    assert 'A single class proves little: check mean, std, scale and order' in err


def test_errors_are_one_line(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / 'mine.onnx'
    wrap = ['inspect', '--out', str(target), '--wrap', str(foreign())]
    for more, message in (
        ([], 'classes and mean and std are missing'),
        (FLAGS, 'has no axis of 19 classes, as many as there are names'),
        ([*FLAGS, '--frames', str(tmp_path / 'none.mp4')], 'none.mp4: the path does not exist'),
        ([*FLAGS, '--settings', str(tmp_path / 'none.yaml')], 'cannot read settings'),
        ([*FLAGS, '--output', 'scores'], "has no output 'scores'; choose one of: result"),
    ):
        assert main([*wrap, *more]) == 2, more
        out, err = capsys.readouterr()
        assert out == ''
        assert err.startswith('vidseg: ')
        assert message in err
        assert err.count('\n') == 1, 'more than one line'
    assert not target.exists()


def test_the_file_is_looked_at_before_anything_is_asked(
    foreign: Foreign, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, message in (
        (tiny_model, f'{tiny_model} already is a model file; use it as it is: vidseg inspect'),
        (Path('none.onnx'), 'no ONNX file none.onnx'),
        (foreign(), '--wrap needs --out FILE, and what the network was trained with: --classes, '),
    ):
        assert main(['inspect', '--wrap', str(file)]) == 2
        assert capsys.readouterr().err.startswith(f'vidseg: {message}')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ([], 'give either MODEL or --wrap ONNX --out FILE'),
        (['street', '--wrap', 'a.onnx', '--out', 'b.onnx'], 'give either MODEL or --wrap'),
        (['street', '--mean', '0', '0', '0'], '--mean needs --wrap'),
        (['street', '--no-confidence'], '--no-confidence needs --wrap'),
        (['street', '--frames', 'x'], '--frames needs --wrap'),
        (['--wrap', 'a.onnx', '--out', 'b.onnx', '--classes', 'coco'], 'invalid choice'),
    ],
)
def test_arguments_that_do_not_go_together(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(['inspect', *words])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_every_setting_has_a_flag_and_a_row_in_the_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit):
        main(['inspect', '--help'])
    shown = capsys.readouterr().out
    rows = re.findall(r'^\| (`.+?`) \|', PAGE.read_text(), re.MULTILINE)
    documented = {name for row in rows for name in re.findall('`(.+?)`', row)}
    for name in WrapSettings.__dataclass_fields__:
        assert f'--{"no-" if name == "confidence" else ""}{name}' in shown
        assert name in documented
