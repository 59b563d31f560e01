# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`vidseg evaluate`: what it writes and prints, its exit codes, and what it says to bad input."""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import re
import shlex
import sys
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagWriter, IMAGE_TYPE, LABEL_INFO_TYPE
from vidseg_ros.bag_io.messages import serialize_image
from vidseg_ros.cli.evaluate import _parse
from vidseg_ros.cli.main import main
from vidseg_ros.core.fleet import run_jobs
from vidseg_ros.core.labels import LabelSet

COLORS: Final = np.array(((255, 0, 0), (0, 255, 0), (0, 0, 255)), np.uint8)
Evaluate = Callable[..., tuple[int, str, str]]


def golden(index: int) -> NDArray[np.uint8]:
    """Return the known (48, 64) label map of a frame."""
    ids = np.random.default_rng(index).integers(0, 3, (12, 16), np.uint8)
    return ids.repeat(4, axis=0).repeat(4, axis=1)


def record(name: str, frames: int = 4, classes: Sequence[str] | bytes = ()) -> Path:
    """Write a bag whose last frame has wrong labels in the right half.

    Classes of the labels are names, none, or a LabelInfo as it is.
    """
    with BagWriter(Path(name)) as bag:
        if isinstance(classes, bytes):
            bag.write_raw('/label_info', LABEL_INFO_TYPE, classes, 0)
        elif classes:
            colors = ((0, 0, 0),) * len(classes)
            names = LabelSet(names=tuple(classes), colors=colors)
            bag.write_label_info('/label_info', names, stamp_ns=0)
        for index in range(frames):
            ids = golden(index)
            rest: dict[str, Any] = {'stamp_ns': index * 100_000_000, 'frame_id': 'front'}
            bag.write_image('/camera', COLORS[ids], encoding='rgb8', **rest)
            truth = ids.copy()
            if index == frames - 1:
                truth[:, 32:] = (ids[:, 32:] + 1) % 3
            bag.write_image('/truth', truth, encoding='mono8', **rest)
    return Path(name)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '120')


@pytest.fixture
def evaluate(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        words = [str(word) for word in arguments]
        model = [] if '--model' in words else ['--model', str(tiny_model)]
        out = [] if '--out' in words else ['--out', 'out']
        capsys.readouterr()
        status = main(['evaluate', *words, *model, *out])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def results(folder: str = 'out') -> Any:
    return json.loads(Path(folder, 'results.json').read_text())


def test_a_mix_of_sources_with_labels_in_the_bags(evaluate: Evaluate, tiny_model: Path) -> None:
    Path('images').mkdir()
    for index in range(3):
        cv2.imwrite(f'images/{index}.png', COLORS[golden(index)][..., ::-1])
    status, out, err = evaluate(record('one'), record('two', 2), '--labels', '/truth')
    assert (status, err) == (0, '')
    content = results()
    assert [(item['key'], item['frames'], item['labelled']) for item in content['sources']] == [
        ('one', 4, 4),
        ('two', 2, 2),
    ]
    assert content['overall']['a']['accuracy'] == 1 - 2 * 0.5 / 6
    assert 'overall' in out
    assert str(tiny_model) in out
    assert 'results are in out; open out/report.html\n' in out
    assert Path('out/sources/two/frames-a.csv').is_file()
    status, _, _ = evaluate('images', 'one', '--topic', '/camera', '--out', 'other')
    assert status == 0
    assert [item['kind'] for item in results('other')['sources']] == ['folder', 'bag']


def test_images_and_masks(evaluate: Evaluate) -> None:
    for folder in ('images', 'masks'):
        Path(folder).mkdir()
    for index in range(3):
        cv2.imwrite(f'images/{index}.png', COLORS[golden(index)][..., ::-1])
        cv2.imwrite(f'masks/{index}.png', golden(index))
    status, out, _ = evaluate('images', '--labels', 'masks', '--min-miou', '1')
    assert status == 0
    assert 'images: the frames of a folder are taken to be 1/15 s apart; if they are not' in out
    assert results()['overall']['a']['miou'] == 1


def test_thresholds(evaluate: Evaluate) -> None:
    bag = record('one')
    labels = (bag, '--labels', '/truth')
    miou = 0.7
    status, _, err = evaluate(*labels, '--min-miou', '0.95', '--min-tc', '0.99')
    found = results()['overall']['a']
    assert miou < found['miou'] < 0.95
    assert status == 1
    assert err.splitlines() == [
        f'vidseg: mIoU of model a is {found["miou"]:.4f}, wanted at least 0.95',
        f'vidseg: TC of model a is {found["tc"]:.4f}, wanted at least 0.99',
    ]
    assert evaluate(*labels, '--min-miou', str(miou))[0] == 0
    status, _, err = evaluate('one', '--limit', '1', '--out', 'short', '--min-tc', '0.1')
    assert (status, err) == (1, 'vidseg: TC of model a is not defined, wanted at least 0.1\n')


def test_names_of_folders_are_printed_as_they_are(evaluate: Evaluate) -> None:
    out = 'o5[/b]:smile:'
    status, text, _ = evaluate(record('one'), '--topic', '/camera', '--out', out)
    assert status == 0
    assert f'results are in {out}' in text


def test_two_models(evaluate: Evaluate, tiny_model: Path) -> None:
    model = str(tiny_model)
    camera = (record('one'), '--topic', '/camera')
    status, out, _ = evaluate(*camera, '--model', model, '--model', model)
    assert status == 0
    assert f'model b: {model}' in out
    assert set(results()['overall']) == {'a', 'b'}


def test_a_rerun_and_another_run_in_the_same_folder(evaluate: Evaluate) -> None:
    bag = record('one')
    evaluate(bag, '--topic', '/camera')
    table = Path('out/sources/one/frames-a.csv')
    written_ns = table.stat().st_mtime_ns
    status, out, _ = evaluate(bag, '--topic', '/camera')
    assert status == 0
    assert table.stat().st_mtime_ns == written_ns
    assert (
        '\n1 of 1 sources were skipped: done by an earlier run, with the same contents and' in out
    )
    status, _, err = evaluate(bag, '--topic', '/camera', '--limit', '2')
    assert (status, err) == (
        2,
        'vidseg: out holds another run (other limit); choose another --out, or --overwrite it\n',
    )
    assert evaluate(bag, '--topic', '/camera', '--limit', '2', '--overwrite')[0] == 0
    assert results()['sources'][0]['frames'] == 2


def test_an_ended_rerun_keeps_what_was_done(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = (record('one'), '--topic', '/camera')
    evaluate(*call)
    (before,) = results()['sources']

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('vidseg_ros.cli.evaluate.run_jobs', end)
    status, out, err = evaluate(*call)
    assert (status, out) == (130, '')
    assert err == (
        'vidseg: 1 of 1 sources are done and kept; the same command goes on with the others\n'
        'vidseg: interrupted\n'
    )
    (after,) = results()['sources']
    assert after.pop('problems') == ['result of an earlier run: not checked']
    assert before.pop('problems') == []
    assert after == before
    assert evaluate(*call, '--labels', '/truth')[0] == 130
    (other,) = results()['sources']
    assert other['problems'] == ['not done: the run was ended']


def test_an_ended_run_counts_what_is_kept_and_not_what_failed(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path('bad.mp4').touch()
    camera = ('--topic', '/camera', '--no-report')
    evaluate(record('one'), *camera)

    def end_after_the_first(*arguments: Any, on_result: Any, **options: Any) -> None:
        function, jobs, *_ = arguments
        run_jobs(function, jobs[:1], on_result=on_result, **options)
        assert not Path('out/results.json').exists(), 'until the run ends'
        raise KeyboardInterrupt

    monkeypatch.setattr('vidseg_ros.cli.evaluate.run_jobs', end_after_the_first)
    status, _, err = evaluate('bad.mp4', 'one', record('two'), *camera)
    assert status == 130
    assert err.startswith('vidseg: 1 of 3 sources are done and kept; the same command goes on')


def test_a_source_that_fails_does_not_disturb_the_others(evaluate: Evaluate) -> None:
    Path('notes.txt').touch()
    Path('bad.mp4').touch()
    status, out, err = evaluate('bad.mp4', record('one'), 'notes.txt', '--topic', '/camera')
    assert status == 2
    assert err.startswith('vidseg: 2 of 3 sources were not evaluated:\nbad.mp4: cannot read video')
    assert 'notes.txt: notes.txt is of no known type' in err
    assert [source['frames'] for source in results()['sources']] == [4, 0, 0]
    assert 'cannot read video' not in out, 'said once, on stderr'
    assert results()['overall']['a']['tc'] is not None


def test_a_source_of_which_no_frame_can_be_read_has_failed(evaluate: Evaluate) -> None:
    with BagWriter(Path('odd')) as bag:
        for index in range(3):
            cdr = serialize_image(COLORS[golden(0)], encoding='rgb8', stamp_ns=index, frame_id='')
            bag.write_raw('/camera', IMAGE_TYPE, cdr.replace(b'rgb8', b'nv24'), index)
    call = ('odd', record('one'), '--topic', '/camera')
    for skipped in (False, True):
        status, out, err = evaluate(*call)
        assert (status, '2 of 2 sources were skipped' in out) == (2, skipped)
        assert err.startswith(
            'vidseg: 1 of 2 sources were not evaluated:\n'
            'odd: not one frame of /camera was segmented: '
            "frames without a label map (encoding): 3; image encoding 'nv24' is not supported; "
        )
    assert [(item['frames'], item['unreadable']) for item in results()['sources']] == [
        (3, 3),
        (4, 0),
    ]
    assert results()['overall']['a']['tc'] is not None


@pytest.mark.parametrize(('name', 'known'), [('other', True), ('7', False)])
def test_labels_that_no_frame_has(evaluate: Evaluate, name: str, *, known: bool) -> None:
    """Names that no stamp can have are refused at once, a stamp after all frames were read."""
    Path('labels').mkdir()
    cv2.imwrite(f'labels/{name}.png', golden(0))
    status, _, err = evaluate(record('one'), '--topic', '/camera', '--labels', 'labels')
    assert status == 2
    assert err == (
        'vidseg: no frame has labels in labels; PNGs must be named like the frames: vidseg-train '
        'masks writes those of published data sets so\n'
    )
    assert Path('out').exists() is not known
    if not known:
        assert results()['sources'][0]['labels_without_frame'] == 1


def test_labels_of_one_of_two_folders_are_enough(evaluate: Evaluate) -> None:
    for folder in ('labels', 'left', 'right'):
        Path(folder).mkdir()
    cv2.imwrite('labels/a.png', golden(0))
    for file in ('left/a.png', 'right/b.png'):
        cv2.imwrite(file, COLORS[golden(0)][..., ::-1])
    assert evaluate('left', 'right', '--labels', 'labels', '--no-report')[0] == 0


def test_sources_that_do_not_exist_are_named_before_anything_is_done(evaluate: Evaluate) -> None:
    status, out, err = evaluate(record('one'), 'drve.mp4', 'my_bga', '--topic', '/camera')
    assert (status, out) == (2, '')
    assert err.startswith(
        'vidseg: no footage at drve.mp4, my_bga: the paths do not exist; expected a rosbag2 folder'
    )
    assert not Path('out').exists()


def test_class_lists_and_maps(evaluate: Evaluate) -> None:
    bag = record('one')
    Path('classes.yaml').write_text('classes: [red, green, sky]\n')
    labels = (bag, '--labels', '/truth', '--topic', '/camera', '--label-classes', 'classes.yaml')
    status, _, err = evaluate(*labels)
    assert status == 2
    assert err.startswith('vidseg: classes of the labels are not among those that are scored: sky')
    assert not Path('out').exists()
    Path('map.yaml').write_text('sky: blue\n')
    assert evaluate(*labels, '--class-map', 'map.yaml')[0] == 0
    assert results()['overall']['a']['accuracy'] == 1 - 0.5 / 4


def test_the_class_list_of_a_bag_may_be_the_one_that_is_scored(evaluate: Evaluate) -> None:
    labels = (record('named', classes=('warm', 'green', 'cold')), '--labels', '/truth')
    Path('map.yaml').write_text('red: warm\n')
    status, _, err = evaluate(*labels, '--class-map', 'map.yaml')
    assert status == 2
    assert re.match(r'vidseg: classes of model .* scored: blue \(scored: warm, green, cold\)', err)
    Path('map.yaml').write_text('red: warm\nblue: cold\n')
    assert evaluate(*labels, '--class-map', 'map.yaml')[0] == 0
    assert [item['name'] for item in results()['classes']] == ['warm', 'green', 'cold']
    assert results()['overall']['a']['accuracy'] == 1 - 0.5 / 4


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        (('x', 'y'), r'odd: classes of the labels /truth are not .*: x, y \(scored: red, gr'),
        (b'\0\1\0\0garbage', r'odd: cannot read the class list on /label_info in odd: '),
    ],
    ids=['foreign', 'damaged'],
)
def test_a_bag_with_a_class_list_that_does_not_fit_is_one_failed_source(
    evaluate: Evaluate, classes: Sequence[str] | bytes, message: str
) -> None:
    bags = [record('odd', classes=classes), record('good', classes=('red', 'green', 'blue'))]
    labels = ('--topic', '/camera', '--labels', '/truth', '--no-report')
    status, _, err = evaluate(*bags, *labels)
    assert status == 2
    assert re.match(rf'vidseg: 1 of 2 sources were not evaluated:\n{message}', err), err
    assert {source['key']: source['labelled'] for source in results()['sources']} == {
        'good': 4,
        'odd': None,
    }
    status, out, _ = evaluate(*reversed(bags), *labels)
    assert (status, '1 of 2 sources were skipped' in out) == (2, True), 'still the same run'


def test_a_setting_may_be_corrected_after_a_run_that_came_to_nothing(evaluate: Evaluate) -> None:
    bag = record('one')
    status, out, err = evaluate(bag, '--labels', '/nolabels')
    assert (status, 'results are in' in out) == (2, False), 'there is nothing to look at'
    assert not Path('out/report.html').exists()
    assert Path('out/results.csv').read_text().count('no label maps on /nolabels') == 2
    assert 'no label maps on /nolabels in one' in err
    assert err.count('no label maps') == 1, 'both cameras have the same trouble'
    assert evaluate(bag, '--labels', '/truth', '--limit', '2')[0] == 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'the following arguments are required: SOURCE, --out'),
        (['x', '--out', 'o', '--min-miou', '65'], '--min-miou: must be a fraction above 0'),
        (['x', '--out', 'o', '--min-miou', '0.5'], '--min-miou needs --labels'),
        (['x', '--out', 'o', '--min-tc', '0.5', '--metrics', 'fast'], 'about the standard TC'),
        (['x', '--out', 'o', '--model', 'a', '--model', 'b', '--model', 'c'], 'two models'),
        (['x', '--out', 'o', '--rate', '2'], '--rate needs --live'),
        (['x', '--out', 'o', '--live', '--limit', '2'], '--limit is for offline runs'),
        (['x', '--out', 'o', '--live', '--model', 'a', '--model', 'b'], 'one model at a time'),
        (['x', '--out', 'o', '--live', '--jobs', '2'], 'one source after the other'),
        (['x', '--out', 'o', '--jobs', '0'], '--jobs: must be a whole number from 1'),
        (['x', '--out', 'o', '--void', 'sky'], "--void: must be an id from 0 to 255, not 'sky'"),
    ],
)
def test_arguments_that_are_not_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match='2'):
        main(['evaluate', *arguments])
    assert message in capsys.readouterr().err


def test_live_without_ros_says_what_to_install(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith('vidseg_ros.nodes.')]:
        monkeypatch.delitem(sys.modules, name)
    for name in ('rclpy', 'lifecycle_msgs', 'lifecycle_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)
    status, _, err = evaluate(record('one'), '--live')
    assert status == 2
    assert err.startswith('vidseg: --live needs ROS 2 for Python')
    assert not Path('out').exists()


def test_the_commands_of_the_page_are_understood() -> None:
    page = Path(__file__).resolve().parents[2] / 'docs' / 'evaluation.md'
    (block,) = re.findall(r'^```bash\n(.*?)^```', page.read_text(), re.MULTILINE | re.DOTALL)
    calls = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(calls) == 6
    for program, command, *arguments in calls:
        assert (program, command) == ('vidseg', 'evaluate')
        assert _parse(arguments).out == Path('eval')
