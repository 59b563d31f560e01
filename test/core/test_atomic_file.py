# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from vidseg_ros.core.atomic_file import write_atomically
from vidseg_ros.core.errors import OutputError


@pytest.mark.parametrize('durable', [True, False])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, *, durable: bool) -> None:
    path = tmp_path / 'a.bin'
    write_atomically(path, b'old')
    write_atomically(path, b'new', durable=durable)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {'a.bin': b'new'}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.bin'
    write_atomically(path, b'old')

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', full)
    with pytest.raises(OutputError, match=r'cannot write .*a\.bin: No space left on device'):
        write_atomically(path, b'new')
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {'a.bin': b'old'}
