# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import pytest

from vidseg_ros.core.errors import OutputError, SourceError
from vidseg_training.propagation.manifest import Manifest, read_manifest


def test_a_torn_last_line_is_left_out_and_cut_off_before_the_next(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, {'mode': 'joint'})
    manifest.add({'name': 'a', 'inputs': '1'})
    path = tmp_path / 'manifest.jsonl'
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"name": "b", "inp')
    assert list(read_manifest(path)[1]) == ['a']
    Manifest(tmp_path, {'mode': 'joint'}).add({'name': 'c', 'inputs': '2'})
    assert list(read_manifest(path)[1]) == ['a', 'c']
    assert path.read_bytes().startswith(whole)


def test_the_later_line_of_a_name_holds(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, {})
    manifest.add({'name': 'a', 'inputs': '1', 'skipped': 'missing'})
    manifest.add({'name': 'a', 'inputs': '2', 'skipped': 'black'})
    again = Manifest(tmp_path, {})
    assert not again.holds('a', '1')
    assert again.holds('a', '2')
    assert not again.holds('b', '2')


def test_a_manifest_that_broke_off_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / 'manifest.jsonl').write_bytes(b'{"version"')
    Manifest(tmp_path, {'mode': 'joint'})
    assert read_manifest(tmp_path / 'manifest.jsonl') == ({'version': 1, 'mode': 'joint'}, {})


@pytest.mark.parametrize('text', ['no json\n', '{"version": 1}\n{"no": "name"}\n', '[]\n[]\n'])
def test_a_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 'manifest.jsonl').write_text(text)
    with pytest.raises(SourceError, match=r'manifest\.jsonl is no manifest of propagated samples'):
        read_manifest(tmp_path / 'manifest.jsonl')


def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'manifest.jsonl').write_text('{"version": 9}\n')
    with pytest.raises(SourceError, match='has version 9, not 1; propagate again'):
        read_manifest(tmp_path / 'manifest.jsonl')


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(tmp_path, {})
    path = tmp_path / 'manifest.jsonl'
    before = path.read_bytes()

    class Full(io.FileIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]  # a disk with 3 bytes left
            return super().write(data[:3])

    with monkeypatch.context() as full:
        full.setattr(Path, 'open', lambda self, mode, **_: Full(str(self), mode.replace('b', '')))
        with pytest.raises(OutputError, match='the disk is full; free some space'):
            manifest.add({'name': 'a', 'inputs': '1'})
    assert path.read_bytes() == before
    manifest.add({'name': 'a', 'inputs': '1'})
    assert list(read_manifest(path)[1]) == ['a']


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match=r'cannot write to .*; choose another --out'):
        Manifest(tmp_path / 'file' / 'clip', {})
