# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Sequence
from dataclasses import replace
import hashlib
import json
from pathlib import Path
import subprocess
import sys
import time
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
import pytest

from vidseg_ros.core.errors import OutputError, ParameterError, SourceError
from vidseg_training.propagation.clip import ClipReference
from vidseg_training.propagation.manifest import read_manifest, sample_file
from vidseg_training.propagation.motion import ClipFrame
from vidseg_training.propagation.propagate import (
    propagate_clip,
    PropagationJob,
    PropagationSettings,
)

Job = Callable[..., PropagationJob]


def samples(job: PropagationJob) -> dict[str, dict[str, Any]]:
    return read_manifest(job.out / 'drive' / 'manifest.jsonl')[1]


def plane(job: PropagationJob, kind: str, name: str) -> NDArray[np.uint8]:
    path = job.out / 'drive' / sample_file(kind, name)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None, name
    return read.astype(np.uint8)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


@pytest.mark.parametrize('chaining', ['steps', 'direct'])
def test_carried_labels_are_those_of_the_frame_as_far_as_it_was_seen(
    job: Job, tiny_clip: ModuleType, chaining: str
) -> None:
    this = job(offset=3, chaining=chaining)
    summary = propagate_clip(this)
    assert (summary.labelled, summary.made, summary.kept) == (1, 2, 0)
    truth = tiny_clip.scene()[1]
    for sign, frame, seen in ((-1, 1, np.s_[:, 6:]), (1, 7, np.s_[:, :-6])):
        name = f'drive_0014_{3 * sign:+03d}'
        labels = plane(this, 'labels', name)
        np.testing.assert_array_equal(labels[seen], tiny_clip.cut_out(truth, frame)[seen])
        confidence = plane(this, 'confidence', name)
        assert (confidence[seen] == 255).all()
        hidden = np.ones(labels.shape, np.bool_)
        hidden[seen] = False
        assert (labels[hidden] == 255).all()
        assert (confidence[hidden] == 0).all()
        record = samples(this)[name]
        assert record['target'] == f'drive_{10 + frame:04d}'
        assert record['coverage'] == pytest.approx(0.9)  # 54 of 60 columns


def test_joint_samples_show_the_labelled_frame_and_label_samples_the_real_one(
    job: Job, tiny_clip: ModuleType, tmp_path: Path
) -> None:
    joint = job(offset=2)
    real = replace(job(offset=2, mode='label'), out=tmp_path / 'real')
    propagate_clip(joint)
    propagate_clip(real)
    image = tiny_clip.scene()[0]
    carried = plane(joint, 'images', 'drive_0014_+02')[..., ::-1]
    shown = tiny_clip.cut_out(image, 6)
    near = {'atol': 6, 'rtol': 0}  # JPEG
    np.testing.assert_allclose(carried[:, :-4].astype(int), shown[:, :-4], **near)
    border = np.repeat(shown[:, -5:-4], 4, 1)
    np.testing.assert_allclose(carried[:, -4:].astype(int), border, **near)
    picture = plane(real, 'images', 'drive_0014_+02')[..., ::-1]
    np.testing.assert_allclose(picture.astype(int), shown, **near)
    labels = (plane(which, 'labels', 'drive_0014_+02') for which in (joint, real))
    np.testing.assert_array_equal(*labels)


def test_single_offset_and_accumulated_are_different_settings(job: Job, tmp_path: Path) -> None:
    propagate_clip(single := job(offset=3))
    propagate_clip(many := replace(job(offset=3, accumulate=True), out=tmp_path / 'many'))
    assert [record['offset'] for record in samples(single).values()] == [-3, 3]
    assert [record['offset'] for record in samples(many).values()] == [-1, -2, -3, 1, 2, 3]


def test_the_manifest_says_where_samples_come_from(job: Job, tmp_path: Path) -> None:
    this = job(offset=1, void=(3,))
    propagate_clip(this)
    header, records = read_manifest(this.out / 'drive' / 'manifest.jsonl')
    assert header == {
        'version': 1,
        'clip': 'drive',
        'motion': 'true_flow',
        'mode': 'joint',
        'offset': 1,
        'accumulate': False,
        'chaining': 'steps',
        'occlusion': 'agree',
        'cut_error': 16.0,
        'void': [3],
    }
    for record in records.values():
        assert record['source'] == 'drive_0014'
        assert set(record['sha256']) == {
            sample_file(kind, record['name']) for kind in ('images', 'labels', 'confidence')
        }
        for path, digest in record['sha256'].items():
            data = (tmp_path / 'out' / 'drive' / path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == digest
    assert 3 not in plane(this, 'labels', 'drive_0014_+01')


def test_a_rerun_makes_only_what_is_missing_damaged_or_outdated(
    job: Job, label_folder: Path
) -> None:
    this = job(offset=2, accumulate=True)
    propagate_clip(this)
    before = contents(this.out)
    again = propagate_clip(this)
    assert (again.made, again.kept) == (0, 4)
    assert contents(this.out) == before

    (this.out / 'drive' / 'labels' / 'drive_0014_-02.png').unlink()
    (this.out / 'drive' / 'images' / 'drive_0014_+01.jpg').write_bytes(b'half')
    mended = propagate_clip(this)
    assert (mended.made, mended.kept) == (2, 2)
    after = contents(this.out)
    assert {path for path in after if after[path] != before[path]} == {'drive/manifest.jsonl'}

    labels = cv2.imread(str(label_folder / 'drive_0014.png'), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(label_folder / 'drive_0014.png'), 9 - np.minimum(labels, 9))
    assert propagate_clip(this).made == 4


def test_a_run_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(
    job: Job, tmp_path: Path
) -> None:
    whole = replace(job(offset=4, accumulate=True), out=tmp_path / 'whole')
    propagate_clip(whole)
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from tiny_clip import true_flow, slow_flow
slow_flow.__name__ = 'true_flow'
from vidseg_training.propagation.propagate import *
job = PropagationJob(clip=ClipReference({whole.clip.name!r}, {whole.clip.path!r}, 'drive_'),
    labels=Path({str(whole.labels)!r}), out=Path({str(tmp_path / 'killed')!r}),
    settings=PropagationSettings(motion=slow_flow, offset=4, accumulate=True))
propagate_clip(job)
"""
    manifest = tmp_path / 'killed' / 'drive' / 'manifest.jsonl'
    with subprocess.Popen([sys.executable, '-c', program]) as worker:
        deadline_s = time.monotonic() + 120
        while not manifest.exists() or manifest.read_bytes().count(b'\n') < 3:
            assert worker.poll() is None, 'it ended before it was killed'
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        worker.kill()
    with manifest.open('ab') as stream:
        stream.write(b'{"name": "dri')  # as a power cut may leave it
    killed = replace(whole, out=tmp_path / 'killed')
    summary = propagate_clip(killed)
    assert summary.made + summary.kept == 8
    assert 2 <= summary.kept < 8
    ends = contents(tmp_path / 'killed')
    assert {path: ends[path] for path in contents(tmp_path / 'whole')} == contents(
        tmp_path / 'whole'
    )


def test_other_settings_in_the_same_folder_are_refused(job: Job) -> None:
    propagate_clip(job(offset=1))
    with pytest.raises(
        ParameterError,
        match=r'samples made with other settings \(mode, offset\); choose',
    ):
        propagate_clip(job(offset=2, mode='label'))


def test_labels_of_another_size_are_refused(job: Job, label_folder: Path) -> None:
    cv2.imwrite(str(label_folder / 'drive_0014.png'), np.zeros((20, 30), np.uint8))
    with pytest.raises(
        SourceError, match=r'the labels of drive/drive_0014 are 30x20, the frame is 60x40; resize'
    ):
        propagate_clip(job())


def test_labels_may_have_a_palette(job: Job, label_folder: Path) -> None:
    propagate_clip(grey := job(offset=1))
    file = label_folder / 'drive_0014.png'
    image = Image.fromarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
    image.putpalette([*range(255, -1, -1)] * 3)
    image.save(file)
    propagate_clip(colored := replace(grey, out=grey.out / 'colored'))
    name = 'drive_0014_+01'
    np.testing.assert_array_equal(*(plane(this, 'labels', name) for this in (grey, colored)))


def test_labels_that_are_none_are_refused(job: Job, label_folder: Path) -> None:
    cv2.imwrite(str(label_folder / 'drive_0014.png'), np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(SourceError, match=r'drive_0014\.png has the mode RGB; expected one 8-bit'):
        propagate_clip(job())


def test_two_label_maps_of_a_frame_are_refused(job: Job, label_folder: Path) -> None:
    cv2.imwrite(str(label_folder / 'drive_0014_color.png'), np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(SourceError, match='are label maps of the same frame: keep'):
        propagate_clip(job())


def test_a_clip_without_labels_is_refused(job: Job) -> None:
    with pytest.raises(ParameterError, match='has no labels of its own; give a folder of them'):
        propagate_clip(replace(job(), labels=None))


def test_a_full_disk_leaves_the_manifest_whole_and_a_rerun_goes_on(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = job(offset=4, accumulate=True)
    replaced: list[Path] = []
    original = Path.replace

    def fill(path: Path, target: Path) -> Path:
        replaced.append(target)
        if len(replaced) == 8:  # in the third sample
            raise OSError(28, 'No space left on device')
        return original(path, target)

    with monkeypatch.context() as full:
        full.setattr(Path, 'replace', fill)
        with pytest.raises(OutputError, match='No space left on device; check the path and the'):
            propagate_clip(this)
    lines = (this.out / 'drive' / 'manifest.jsonl').read_text().splitlines()
    assert [json.loads(line).get('name') for line in lines[1:]] == [
        'drive_0014_-01',
        'drive_0014_-02',
    ]
    summary = propagate_clip(this)
    assert (summary.made, summary.kept) == (6, 2)


def test_a_worker_limits_the_threads_of_a_motion_network(job: Job) -> None:
    torch = pytest.importorskip('torch')
    before = torch.get_num_threads()
    try:
        propagate_clip(replace(job(), threads=before + 1))
        assert torch.get_num_threads() == before + 1
        propagate_clip(job())
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_settings_are_checked() -> None:
    with pytest.raises(ParameterError, match='offset must be above zero, not 0'):
        PropagationSettings(offset=0)
    with pytest.raises(ParameterError, match='cut_error must be above zero, not -1'):
        PropagationSettings(cut_error=-1)


def test_a_procedural_street_is_labelled_by_itself(tmp_path: Path) -> None:
    settings = PropagationSettings(motion='exact', offset=1)
    clip = ClipReference('street_3', 'street:3')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('vidseg_training.propagation.clip.STREET_FRAMES', 3)
        summary = propagate_clip(
            PropagationJob(clip=clip, labels=None, settings=settings, out=tmp_path)
        )
    assert (summary.labelled, summary.made) == (1, 1)
    assert summary.skipped == {'beyond the clip': 1}


class _WithPast:
    """A motion source that looks at one frame beyond the source; the scene moves 2 px a frame."""

    name = 'with past'
    past_frames = 1

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, list[int]]] = []

    def backward_flow(
        self, target: ClipFrame, source: ClipFrame, past: Sequence[ClipFrame]
    ) -> NDArray[np.float32]:
        self.calls.append((target.position, source.position, [one.position for one in past]))
        flow = np.zeros((*target.image.shape[:2], 2), np.float32)
        flow[..., 0] = 2 * (target.position - source.position)
        return flow


def test_any_motion_source_may_be_given_and_all_it_looks_at_counts(
    job: Job, clip_folder: Path, tiny_clip: ModuleType
) -> None:
    source = _WithPast()
    this = job(motion=source, offset=1)
    propagate_clip(this)
    # The labelled frame is 4. Beyond it as seen from 3 lies 5, beyond 3 as seen from 4 lies 2.
    assert source.calls == [(3, 4, [5]), (4, 3, [2]), (5, 4, [3]), (4, 5, [6])]
    assert propagate_clip(this).kept == 2
    for frame, made in ((5, 2), (6, 1), (2, 1), (7, 0)):
        other = cv2.add(tiny_clip.cut_out(tiny_clip.scene()[0], frame)[..., ::-1], 5)
        cv2.imwrite(str(clip_folder / f'drive_{10 + frame:04d}.png'), other)
        assert propagate_clip(this).made == made


@pytest.mark.parametrize(
    'flow',
    [
        lambda image: np.zeros((image.shape[0] // 2, image.shape[1] // 2, 2), np.float32),
        lambda image: np.full((*image.shape[:2], 2), np.nan, np.float32),
        lambda image: np.zeros(image.shape[:2], np.float32),
        lambda image: np.zeros((*image.shape[:2], 2), np.int32),
    ],
)
def test_what_is_no_flow_is_refused(
    job: Job, flow: Callable[[NDArray[np.uint8]], NDArray[Any]]
) -> None:
    def my_flow(first: NDArray[np.uint8], _second: NDArray[np.uint8]) -> NDArray[Any]:
        return flow(first)

    with pytest.raises(ParameterError, match=r'the motion source my_flow gave .* for a frame of'):
        propagate_clip(job(motion=my_flow, offset=1))


def test_a_flow_may_have_any_floats(job: Job, tiny_clip: ModuleType) -> None:
    def my_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[Any]:
        return np.asarray(tiny_clip.true_flow(first, second), np.float64)

    assert propagate_clip(job(motion=my_flow, offset=1)).made == 2


def test_samples_of_a_removed_label_map_are_forgotten(job: Job, label_folder: Path) -> None:
    propagate_clip(this := job(offset=1))
    labels = label_folder / 'drive_0014.png'
    labels.rename(label_folder / 'drive_0013.png')
    summary = propagate_clip(this)
    assert (summary.made, summary.kept) == (2, 0)
    records = samples(this).values()
    assert {record['source'] for record in records if 'skipped' not in record} == {'drive_0013'}
    assert {record['source'] for record in records if 'skipped' in record} == {'drive_0014'}
    (label_folder / 'drive_0013.png').rename(labels)
    assert propagate_clip(this).made == 2
