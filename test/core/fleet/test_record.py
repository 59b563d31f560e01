# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

import hashlib
import json
import math
import os
from pathlib import Path

import pytest

from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_ros.core.fleet import job_digest, read_record, write_record


def test_digest_depends_on_contents_and_not_on_places_or_times(tmp_path: Path) -> None:
    one, two = tmp_path / 'one.mcap', tmp_path / 'two.mcap'
    one.write_bytes(b'frames')
    two.write_bytes(b'frames')
    os.utime(two, (0, 0))

    assert job_digest([one], {'tc': True}) == job_digest([two], {'tc': True})
    assert job_digest([one], {'tc': True}) != job_digest([one], {'tc': False})
    assert job_digest([one], {'a': 1, 'b': 2}) == job_digest([one], {'b': 2, 'a': 1})
    assert job_digest([one], {}) != job_digest([one, two], {})
    two.write_bytes(b'framez')
    assert job_digest([one], {'tc': True}) != job_digest([two], {'tc': True})


def test_digest_of_a_folder_takes_all_of_it(tmp_path: Path) -> None:
    for name in ('one', 'two'):
        (tmp_path / name / 'deep').mkdir(parents=True)
        (tmp_path / name / 'metadata.yaml').write_text('a bag')
        (tmp_path / name / 'deep' / 'frames.mcap').write_bytes(b'frames')
    one, two = tmp_path / 'one', tmp_path / 'two'

    assert job_digest([one], {}) == job_digest([two], {})
    (two / 'deep' / 'frames.mcap').rename(two / 'frames.mcap')
    assert job_digest([one], {}) != job_digest([two], {})


def test_digest_is_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / 'x.db3'
    path.write_bytes(b'1')
    expected = hashlib.sha256(
        b'{"k": 1}\0input\0\0.db3\0' + hashlib.sha256(b'1').digest()
    ).hexdigest()

    assert job_digest([path], {'k': 1}) == expected


def test_an_input_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r'cannot read .*none\.mcap: No such file'):
        job_digest([tmp_path / 'none.mcap'], {})


def test_record_comes_back_exactly_under_its_digest_only(tmp_path: Path) -> None:
    content = {'confusion': [[2**60 + 1, 0], [3, 4]], 'ms': 0.1 + 0.2}

    write_record(tmp_path, 'abc', content)

    assert read_record(tmp_path, 'abc') == content
    assert read_record(tmp_path, 'other') is None
    assert [path.name for path in tmp_path.iterdir()] == ['done.json']


@pytest.mark.parametrize('text', ['', '{"digest": "abc"', '[]', '{"digest": "abc", "content": 1}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / 'done.json').write_text(text)

    assert read_record(tmp_path, 'abc') is None
    assert read_record(tmp_path / 'nowhere', 'abc') is None


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_record(tmp_path, 'abc', {'frames': 1})
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_record(tmp_path, 'def', {'frames': math.nan})
    assert json.loads((tmp_path / 'done.json').read_text())['digest'] == 'abc'

    with pytest.raises(OutputError, match=r'cannot write .*done\.json: No such file'):
        write_record(tmp_path / 'nowhere', 'abc', {})
