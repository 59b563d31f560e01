# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A second thread writes samples in order, loses none, and ends with the job."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
import threading
import time
from typing import Any

import numpy as np
import pytest

from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_training.propagation import sample_writer
from vidseg_training.propagation.correspondence import Correspondence
from vidseg_training.propagation.manifest import FILES
from vidseg_training.propagation.propagate import propagate_clip, PropagationJob
from vidseg_training.propagation.sample_writer import Record, Sample, SampleWriter, write_sample

SIZE = (12, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).mkdir()
    return tmp_path


def sample(name: str) -> Sample:
    still = np.zeros((*SIZE, 2), np.float32)
    return Sample(
        name=name,
        image=np.full((*SIZE, 3), 90, np.uint8),
        is_carried=True,
        labels=np.full(SIZE, 3, np.uint8),
        way=Correspondence(still, np.full(SIZE, 255, np.uint8), still),
    )


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < deadline, f'no {file}'
        time.sleep(0.01)


def writing_threads() -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith('vidseg-samples')
    ]


def test_records_come_in_order_also_those_without_a_sample(folder: Path) -> None:
    taken: list[Record] = []
    with SampleWriter(folder, 'agree', taken.append, in_background=True) as writer:
        for number in range(7):
            made = sample(f's{number}') if number % 3 else None
            writer.add({'name': f's{number}'}, made)
    assert [record['name'] for record in taken] == [f's{number}' for number in range(7)]
    assert [sorted(record) for record in taken[:2]] == [['name'], ['coverage', 'name', 'sha256']]
    assert taken[1] == {'name': 's1', **write_sample(folder, sample('s1'), 'agree')}
    assert not writing_threads()


def test_few_samples_wait(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write = threading.Event()

    def wait_and_write(where: Path, made: Sample, occlusion: Any) -> Record:
        assert may_write.wait(10)
        return write_sample(where, made, occlusion)

    monkeypatch.setattr(sample_writer, 'write_sample', wait_and_write)
    taken: list[Record] = []
    with SampleWriter(folder, 'agree', taken.append, in_background=True) as writer:
        for number in range(2):
            writer.add({'name': number}, sample(f's{number}'))
        assert not taken  # and yet both are accepted
        threading.Timer(0.05, may_write.set).start()
        writer.add({'name': 2}, sample('s2'))  # waits for the first
        assert [record['name'] for record in taken][:1] == [0]
    assert [record['name'] for record in taken] == [0, 1, 2]


def test_after_one_that_cannot_be_written_no_record_is_handed_on(folder: Path) -> None:
    taken: list[Record] = []

    def write_three() -> None:
        with SampleWriter(folder, 'agree', taken.append, in_background=True) as writer:
            for name in ('s0', 'absent/s1', 's2'):
                writer.add({'name': name}, sample(name))

    with pytest.raises(OutputError, match=r'cannot write .*absent.*s1\.jpg'):
        write_three()
    assert [record['name'] for record in taken] == ['s0']
    assert not writing_threads()


@pytest.mark.parametrize('error', [MemoryError('none left'), OutputError('torn'), SystemExit(3)])
def test_whatever_keeps_one_from_being_written_no_later_record_is_handed_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    written: list[str] = []

    def write(where: Path, made: Sample, occlusion: Any) -> Record:
        if made.name == 's1':
            raise error
        record = write_sample(where, made, occlusion)
        written.append(made.name)
        return record

    monkeypatch.setattr(sample_writer, 'write_sample', write)
    taken: list[Record] = []

    def write_four() -> None:
        with SampleWriter(folder, 'agree', taken.append, in_background=True) as writer:
            for name in ('s0', 's1', 's2'):
                writer.add({'name': name}, sample(name))
            wait_for(folder / 'confidence' / 's2.png')  # it is there, but after one that is not
            writer.add({'name': 's3'}, sample('s3'))

    with pytest.raises(type(error)):
        write_four()
    assert 's2' in written
    assert [record['name'] for record in taken] == ['s0']
    assert not writing_threads()


@pytest.mark.parametrize('in_background', [False, True])
@pytest.mark.parametrize('error', [OutputError('torn'), KeyboardInterrupt()])
def test_after_a_record_that_is_refused_no_later_one_is_handed_on(
    folder: Path, error: BaseException, *, in_background: bool
) -> None:
    taken: list[str] = []

    def take(record: Record) -> None:
        if record['name'] == 's1':
            raise error
        taken.append(record['name'])

    def write_four() -> None:
        with SampleWriter(folder, 'agree', take, in_background=in_background) as writer:
            for name in ('s0', 's1', 's2', 's3'):
                writer.add({'name': name}, sample(name))

    with pytest.raises(type(error)):
        write_four()
    assert taken == ['s0']
    assert not writing_threads()


def test_an_interruption_while_the_last_are_awaited_loses_no_written_sample(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Record] = []
    waited: list[bool] = []
    original = Future.result

    def interrupted(future: Future[Record], timeout: float | None = None) -> Record:
        if not waited:
            waited.append(True)
            raise KeyboardInterrupt
        return original(future, timeout)

    def write_two() -> None:
        with SampleWriter(folder, 'agree', taken.append, in_background=True) as writer:
            for name in ('s0', 's1'):
                writer.add({'name': name}, sample(name))
                wait_for(folder / 'confidence' / f'{name}.png')
            monkeypatch.setattr(Future, 'result', interrupted)

    with pytest.raises(KeyboardInterrupt):
        write_two()
    assert [record['name'] for record in taken] == ['s0', 's1']
    assert not writing_threads()


@pytest.mark.parametrize('in_background', [False, True])
def test_an_error_elsewhere_loses_no_written_sample(folder: Path, *, in_background: bool) -> None:
    taken: list[Record] = []

    def write_one_and_fail() -> None:
        with SampleWriter(folder, 'agree', taken.append, in_background=in_background) as writer:
            writer.add({'name': 's0'}, sample('s0'))
            wait_for(folder / 'confidence' / 's0.png')
            msg = 'elsewhere'
            raise SourceError(msg)

    with pytest.raises(SourceError, match='elsewhere'):
        write_one_and_fail()
    assert [record['name'] for record in taken] == ['s0']
    assert not writing_threads()


def test_one_thread_and_two_make_the_same_files(job: Callable[..., PropagationJob]) -> None:
    found = []
    for threads in (1, None):
        this = replace(job(offset=4, accumulate=True), threads=threads)
        this = replace(this, out=this.out / str(threads))
        summary = propagate_clip(this)
        assert summary.made == 8
        files = sorted(file for file in this.out.rglob('*') if file.is_file())
        found.append({str(file.relative_to(this.out)): file.read_bytes() for file in files})
    assert found[0] == found[1]
    assert len(found[0]) == 1 + 8 * len(FILES)
