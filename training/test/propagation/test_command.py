# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
import shlex
import shutil

import av
import cv2
import numpy as np
import pytest
import tyro

from vidseg_ros.core.labels import CAMVID
from vidseg_training.cli import _parser, main
from vidseg_training.config import TrainConfig
from vidseg_training.propagation.pictures import Sample, write_pictures
from vidseg_training.propagation.propagate import propagate_clip, PropagationJob
from vidseg_training.recipes import RECIPES


def test_a_clip_becomes_samples_and_pictures(
    clip_folder: Path, label_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(label_folder / 'drive_0014.png', label_folder / 'drive_0099.png')
    out = tmp_path / 'out'
    command = ['propagate', str(clip_folder), '--labels', str(label_folder), '--out', str(out)]
    assert main([*command, '--offset', '2', '--accumulate', '--show']) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith('drive: 1 labelled frames, 4 samples made, 0 were there already, ')
    assert said[1:] == [
        '1 label maps belong to no frame',
        str(out / 'drive' / 'samples.png'),
        str(out / 'drive' / 'samples.webm'),
    ]
    assert len(list((out / 'drive' / 'images').iterdir())) == 4
    assert main([*command, '--offset', '2', '--accumulate']) == 0
    assert '1 labelled frames, 0 samples made, 4 were there already' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('where', [['--jobs', '2'], ['--ray', 'local']])
def test_clips_in_other_processes_give_the_same_samples(
    clip_folder: Path, label_folder: Path, tmp_path: Path, where: list[str]
) -> None:
    other = shutil.copytree(clip_folder, tmp_path / 'other')
    for clip in ('drive', 'other'):
        shutil.copytree(label_folder, tmp_path / 'maps' / clip)
    clips = [str(clip_folder), str(other), '--labels', str(tmp_path / 'maps')]
    for out, options in (('here', []), ('there', where)):
        assert main(['propagate', *clips, '--out', str(tmp_path / out), *options]) == 0
    for path in (tmp_path / 'here').rglob('*.*'):
        there = tmp_path / 'there' / path.relative_to(tmp_path / 'here')
        assert there.read_bytes() == path.read_bytes()


def test_clips_whose_frames_have_the_same_names_do_not_share_labels(
    clip_folder: Path, label_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(clip_folder, tmp_path / 'other')
    clips = [str(clip_folder), str(other), '--labels', str(label_folder)]
    assert main(['propagate', *clips, '--out', str(tmp_path / 'out')]) == 2
    assert 'whose label maps are those in' in capsys.readouterr().err
    assert not list((tmp_path / 'out').rglob('*.png'))


def test_pictures_show_frame_labels_and_what_is_hidden(
    job: Callable[..., PropagationJob],
) -> None:
    propagate_clip(this := job(offset=4))
    sheet, video = write_pictures(this.out / 'drive', None)
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] == 8 + 3 * (320 + 8)
    red = (np.abs(picture.astype(int) - (60, 30, 230)).sum(2) < 6).mean(0)
    assert red[8 + 656 :].max() > 0.4  # the third column of pictures
    assert red[: 8 + 656].max() == 0
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 2
    assert (frames[0].width, frames[0].height) == (960, 212)


def test_pictures_tell_void_from_unsure() -> None:
    sample = Sample(
        caption='',
        image=np.zeros((90, 320, 3), np.uint8),
        labels=np.repeat([[255] * 160 + [1] * 160], 90, 0).astype(np.uint8),
        confidence=np.zeros((90, 320), np.uint8),
        coverage=0.5,
    )
    hidden = sample.panels(CAMVID)[2]
    assert hidden[45, 80].tolist() == [230, 30, 60]
    assert hidden[45, 240].tolist() == [125, 90, 20]


def test_errors_name_the_clip_and_the_others_are_done(
    clip_folder: Path, label_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    clips = [str(clip_folder), str(tmp_path / 'broken.mp4')]
    out = ['--out', str(tmp_path / 'out')]
    assert main(['propagate', *clips, '--labels', str(label_folder), *out]) == 2
    said = capsys.readouterr()
    assert 'drive: 1 labelled frames, 2 samples made' in said.out
    assert '1 of 2 clips failed:' in said.err
    assert 'broken.mp4: cannot read video' in said.err


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (['--labels', 'LABELS', '--offset', '5'], 'not one sample was made: 2 beyond the clip'),
        ([], 'has no labels of its own; give a folder of them by --labels'),
        (['--labels', 'EMPTY'], 'no label maps in'),
        (['--labels', 'OTHER'], 'no label map belongs to a frame'),
        (['--labels', 'LABELS', '--offset', '0'], 'offset must be above zero, not 0'),
        (['--labels', 'LABELS', '--motion', 'raft'], "no motion source 'raft'"),
        (['--labels', 'LABELS', '--motion', 'exact'], 'known of street clips only'),
        (['--labels', 'LABELS', '--jobs', '0'], 'workers is 0; use at least 1'),
        (['--labels', 'LABELS', '--classes', 'none.yaml'], 'cannot read classes from none.yaml'),
    ],
)
@pytest.mark.usefixtures('label_folder')
def test_what_cannot_be_done_is_said(
    clip_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    for name in ('EMPTY', 'OTHER'):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / 'OTHER' / 'elsewhere_1.png'), np.zeros((40, 60), np.uint8))
    places = {
        'LABELS': tmp_path / 'labels',
        'EMPTY': tmp_path / 'EMPTY',
        'OTHER': tmp_path / 'OTHER',
    }
    words = [str(places.get(option, option)) for option in options]
    out = ['--out', str(tmp_path / 'out')]
    assert main(['propagate', str(clip_folder), *out, *words]) == 2
    assert expected in capsys.readouterr().err


def test_commands_of_the_guide_are_ones() -> None:
    guide = Path(__file__).parents[3] / 'docs' / 'propagation.md'
    lines = guide.read_text(encoding='utf-8').replace('\\\n', ' ').splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith('vidseg-train ')]
    assert [words[0] for words in commands] == ['propagate', 'fit']
    arguments = _parser().parse_args(commands[0])
    assert (arguments.offset, arguments.accumulate, arguments.show) == (3, True, True)
    _, rest = _parser().parse_known_args(commands[1])
    config = tyro.cli(TrainConfig, default=RECIPES['own_compact'](), args=rest)
    assert (config.propagation, config.offset, config.accumulate) == ('joint', 3, True)


def test_two_clips_of_one_name_are_refused(
    clip_folder: Path, label_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(clip_folder, tmp_path / 'b' / 'drive')
    clips = [str(clip_folder), str(other), '--labels', str(label_folder)]
    assert main(['propagate', *clips, '--out', str(tmp_path / 'out')]) == 2
    assert '2 clips are called drive: rename' in capsys.readouterr().err


def test_videos_need_label_folders_of_their_own(
    label_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [str(tmp_path / name) for name in ('a.mp4', 'b.mp4')]
    for clip in clips:
        Path(clip).write_bytes(b'')
    out = ['--labels', str(label_folder), '--out', str(tmp_path / 'out')]
    assert main(['propagate', *clips, *out]) == 2
    assert 'a, b? Put them into folders of these names' in capsys.readouterr().err
