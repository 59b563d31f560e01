# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Files of a bag that are not as metadata.yaml says, or not as they should be."""

from contextlib import closing
import errno
from pathlib import Path
import resource
import shutil
import sqlite3
from typing import Any, Literal

import numpy as np
import pytest
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from ruamel.yaml import YAML
from zstandard import ZstdCompressor

from vidseg_ros.bag_io import BagReader, IMAGE_TYPE, TopicInfo
from vidseg_ros.bag_io.messages import message_types, serialize_image
from vidseg_ros.core.errors import SourceError

Storage = Literal['mcap', 'sqlite3']
SUFFIX = {'mcap': '.mcap', 'sqlite3': '.db3'}
FRAMES = 4


@pytest.fixture(params=['mcap', 'sqlite3'])
def storage(request: pytest.FixtureRequest) -> Storage:
    choice: Storage = request.param
    return choice


def qos(reliability: QosReliability) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1,
        reliability=reliability,
        durability=QosDurability.VOLATILE,
        deadline=QosTime(0, 0),
        lifespan=QosTime(0, 0),
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=QosTime(0, 0),
        avoid_ros_namespace_conventions=False,
    )


def message(index: int) -> bytes:
    image = np.full((600, 600, 3), index, np.uint8)  # a chunk of MCAP each
    return serialize_image(image, encoding='rgb8', stamp_ns=index, frame_id=str(index))


def record(
    path: Path,
    storage: Storage,
    *,
    first: int = 0,
    reliability: QosReliability = QosReliability.RELIABLE,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    writer = Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(
            '/camera',
            IMAGE_TYPE,
            typestore=message_types(),
            offered_qos_profiles=[qos(reliability)],
        )
        for index in range(first, first + FRAMES):
            writer.write(connection, index, message(index))
    return path


def record_split(path: Path, storage: Storage, *files: QosReliability) -> Path:
    """Write a bag of several files, each with a QoS of its own; the metadata has the first."""
    parts = [
        record(path / f'part{at}', storage, first=at * FRAMES, reliability=reliability)
        for at, reliability in enumerate(files)
    ]
    yaml = YAML()
    content = yaml.load(parts[0] / 'metadata.yaml')
    metadata = content['rosbag2_bagfile_information']
    names = [f'part{at}{SUFFIX[storage]}' for at in range(len(parts))]
    for part, name in zip(parts, names, strict=True):
        shutil.move(part / name, path / name)
        shutil.rmtree(part)
    metadata['relative_file_paths'] = names
    metadata['message_count'] = FRAMES * len(parts)
    metadata['topics_with_message_count'][0]['message_count'] = FRAMES * len(parts)
    yaml.dump(content, path / 'metadata.yaml')
    return path


def read(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the frame ids, of frames that can be decoded, and the notes."""
    with BagReader(path) as bag:
        images = list(bag.images(bag.image_topic()))
        assert bag.topics == (TopicInfo('/camera', IMAGE_TYPE, len(images)),)
        for image in images:
            assert image.decode('rgb8')[0, 0, 0] == int(image.frame_id)
        return [image.frame_id for image in images], bag.notes


def ids(*numbers: range) -> list[str]:
    return [str(number) for part in numbers for number in part]


def test_another_qos_in_the_metadata_than_in_the_file_loses_nothing(
    tmp_path: Path, storage: Storage
) -> None:
    folder = record(tmp_path / 'drive', storage)
    metadata = folder / 'metadata.yaml'
    other = record(tmp_path / 'other', storage, reliability=QosReliability.BEST_EFFORT)
    text = (other / 'metadata.yaml').read_text().replace('other.', 'drive.')
    assert text != metadata.read_text()
    metadata.write_text(text)
    assert read(folder) == (ids(range(FRAMES)), ())


def test_files_of_different_qos_are_read_in_order(tmp_path: Path, storage: Storage) -> None:
    qualities = (QosReliability.RELIABLE, QosReliability.BEST_EFFORT, QosReliability.RELIABLE)
    folder = record_split(tmp_path / 'drive', storage, *qualities)
    assert read(folder) == (ids(range(3 * FRAMES)), ())


def test_fewer_messages_than_the_metadata_counts_are_noted(
    tmp_path: Path, storage: Storage
) -> None:
    metadata = record(tmp_path / 'drive', storage) / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 4', 'message_count: 9'))
    assert read(tmp_path / 'drive') == (
        ids(range(FRAMES)),
        (f'read are 4 of the 9 messages that metadata.yaml of {tmp_path}/drive counts',),
    )


@pytest.mark.parametrize('damage', ['missing', 'empty', 'truncated'])
def test_a_bad_file_of_several_is_named_and_the_others_are_read(
    tmp_path: Path, storage: Storage, damage: str
) -> None:
    folder = record_split(tmp_path / 'drive', storage, *[QosReliability.RELIABLE] * 3)
    bad = folder / f'part1{SUFFIX[storage]}'
    content = bad.read_bytes()
    bad.write_bytes(b'' if damage == 'empty' else content[: len(content) * 2 // 5])
    if damage == 'missing':
        bad.unlink()
    frames, notes = read(folder)
    if (storage, damage) == ('mcap', 'truncated'):
        assert frames == ids(range(FRAMES + 1), range(2 * FRAMES, 3 * FRAMES))
        assert notes[0].startswith(f'{bad} is unfinished or damaged (')
    else:
        assert frames == ids(range(FRAMES), range(2 * FRAMES, 3 * FRAMES))
        why = {'missing': 'the file is missing', 'empty': '', 'truncated': 'malformed'}[damage]
        assert notes[0].startswith(f'{bad} is left out, it cannot be read: ')
        assert why in notes[0]
    assert notes[1:] == (
        f'read are {len(frames)} of the 12 messages that metadata.yaml of {folder} counts',
    )


def test_a_bag_without_any_of_its_files_says_so(tmp_path: Path, storage: Storage) -> None:
    folder = record_split(tmp_path / 'drive', storage, *[QosReliability.RELIABLE] * 2)
    for file in folder.glob('part*'):
        file.unlink()
    with (
        pytest.raises(
            SourceError, match=r'cannot read bag .*part0.*: the .* missing; part1.*: the'
        ),
        BagReader(folder),
    ):
        pass


def test_files_that_have_another_name_in_the_metadata_are_noted(
    tmp_path: Path, storage: Storage
) -> None:
    folder = record(tmp_path / 'drive', storage)
    renamed = folder / f'other{SUFFIX[storage]}'
    (folder / f'drive{SUFFIX[storage]}').rename(renamed)
    note = f'no file of the bag is named as in metadata.yaml: reading {renamed} as it is'
    assert read(folder) == (ids(range(FRAMES)), (note,))


def test_no_more_files_are_open_than_are_read(tmp_path: Path, storage: Storage) -> None:
    folder = record_split(tmp_path / 'drive', storage, *[QosReliability.RELIABLE] * 12)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(file.name) for file in Path('/proc/self/fd').iterdir()}
    eighth = [number for number in range(len(used) + 8) if number not in used][7]
    resource.setrlimit(resource.RLIMIT_NOFILE, (eighth, before[1]))
    try:
        with BagReader(folder) as bag, BagReader(folder) as labels:
            pairs = zip(bag.images('/camera'), labels.images('/camera'), strict=True)
            assert sum(image.cdr == label.cdr for image, label in pairs) == 12 * FRAMES
            assert (bag.notes, labels.notes) == ((), ())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    'error', [PermissionError(errno.EACCES, 'no'), OSError(errno.EMFILE, 'no'), MemoryError('no')]
)
def test_trouble_of_the_machine_is_no_damage(
    tmp_path: Path, storage: Storage, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = record_split(tmp_path / 'drive', storage, *[QosReliability.RELIABLE] * 3)
    whole = Path.open

    def refuse(path: Path, *args: Any, **rest: Any) -> Any:
        if path.stem == 'part1':
            raise error
        return whole(path, *args, **rest)

    with BagReader(folder) as bag:
        monkeypatch.setattr(Path, 'open', refuse)
        frames: list[str] = []
        with pytest.raises(SourceError, match=r'part1.* be read after message 0 of /camera'):
            frames.extend(image.frame_id for image in bag.images('/camera'))
    assert frames == ids(range(FRAMES), range(2 * FRAMES, 3 * FRAMES))
    message = rf'part1.* cannot be read at all: {type(error).__name__}.* check its permissions'
    with pytest.raises(SourceError, match=message), BagReader(folder):
        pass


def test_a_length_beyond_all_memory_is_damage(tmp_path: Path) -> None:
    content = bytearray((file := record(tmp_path / 'drive', 'mcap') / 'drive.mcap').read_bytes())
    at = int.from_bytes(content[-28:-20], 'little')  # where the footer says that the summary is
    content[at + 1 : at + 9] = (2**60).to_bytes(8, 'little')
    file.write_bytes(content)
    frames, (note,) = read(tmp_path / 'drive')
    assert frames == ids(range(FRAMES))
    assert note.startswith(f'{file} is unfinished or damaged (MemoryError')


def test_after_a_file_damaged_on_the_way_the_others_are_read(
    tmp_path: Path, storage: Storage
) -> None:
    folder = record_split(tmp_path / 'drive', storage, *[QosReliability.RELIABLE] * 3)
    bad = folder / f'part1{SUFFIX[storage]}'
    content = bytearray(bad.read_bytes())
    begin = len(content) * {'mcap': 4, 'sqlite3': 5}[storage] // 8  # third chunk, third blob
    content[begin - 9000 : begin + 9000] = b'\xff' * 18_000
    bad.write_bytes(content)
    frames: list[str] = []
    message = rf'^{bad} is damaged after message 2 of /camera: .*`mcap recover`'
    with BagReader(folder) as bag, pytest.raises(SourceError, match=message):
        frames.extend(image.frame_id for image in bag.images('/camera'))
    assert frames == ids(range(FRAMES + 2), range(2 * FRAMES, 3 * FRAMES))


def killed(path: Path) -> Path:
    """Write a bag of which half the messages are in the write-ahead log only; return its file."""
    record(path / 'whole', 'sqlite3')
    with closing(sqlite3.connect(path / 'whole' / 'whole.db3')) as database:
        database.execute('PRAGMA journal_mode=WAL')
        database.execute('PRAGMA wal_autocheckpoint=0')
        with database:
            database.execute('CREATE TEMP TABLE later AS SELECT * FROM messages WHERE id > 2')
            database.execute('DELETE FROM messages WHERE id > 2')
        database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        with database:
            database.execute('INSERT INTO messages SELECT * FROM later')
        for suffix in ('', '-wal'):  # before closing puts the log into the file
            shutil.copyfile(f'{path}/whole/whole.db3{suffix}', f'{path}/drive.db3{suffix}')
    shutil.rmtree(path / 'whole')
    return path / 'drive.db3'


@pytest.fixture
def copies(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files."""
    folder = tmp_path_factory.mktemp('copies')
    monkeypatch.setattr('tempfile.tempdir', str(folder))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_messages_in_the_write_ahead_log_are_read(tmp_path: Path, copies: Path) -> None:
    file = killed(tmp_path)
    before = contents(tmp_path)
    frames, (note,) = read(file)
    assert frames == ids(range(FRAMES))
    assert note.startswith(
        f'{file} was not closed: read is a copy of it and of what drive.db3-wal'
    )
    assert f"`sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'`" in note
    assert contents(tmp_path) == before, 'the bag is not written to'
    assert not list(copies.iterdir()), 'the copy is gone'


def test_a_log_that_cannot_be_copied_names_the_repair(
    tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, copy: Path) -> None:
        copy.write_bytes(b'half of it')
        raise OSError(errno.ENOSPC, 'No space left on device')

    file = killed(tmp_path)
    monkeypatch.setattr(shutil, 'copyfile', full)
    with BagReader(file) as bag:
        assert [image.frame_id for image in bag.images('/camera')] == ids(range(2))
        (note,) = bag.notes
        assert not list(copies.iterdir()), 'what was copied is gone at once'
    assert note.startswith(f'{file} was not closed, and lacks what drive.db3-wal holds; a copy ')
    assert 'No space left' in note
    assert f"`sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'` puts it into the file" in note


def test_a_file_that_is_damaged_all_the_same_names_the_repair(
    tmp_path: Path, copies: Path
) -> None:
    file = killed(tmp_path)
    file.write_bytes(file.read_bytes()[:10_000])
    (tmp_path / 'drive.db3-wal').write_bytes(b'no log')
    with pytest.raises(SourceError, match=r'malformed.*PRAGMA wal_checkpoint'), BagReader(file):
        pass
    assert not list(copies.iterdir())


def test_a_log_without_content_is_no_reason_for_a_copy(tmp_path: Path) -> None:
    folder = record(tmp_path / 'drive', 'sqlite3')
    (folder / 'drive.db3-wal').touch()
    assert read(folder) == (ids(range(FRAMES)), ())


@pytest.mark.parametrize('mode', [CompressionMode.MESSAGE, CompressionMode.FILE])
def test_compressed_bags_are_read(tmp_path: Path, storage: Storage, mode: CompressionMode) -> None:
    folder = record(tmp_path / 'drive', storage, compression=mode)
    assert read(folder) == (ids(range(FRAMES)), ())


def test_a_compressed_file_is_read_by_itself(
    tmp_path: Path, storage: Storage, copies: Path
) -> None:
    folder = record(tmp_path / 'drive', storage, compression=CompressionMode.FILE)
    (folder / 'metadata.yaml').unlink()
    file = folder / f'drive{SUFFIX[storage]}.zstd'
    assert read(file) == (ids(range(FRAMES)), ())
    assert read(folder)[1] == (f'bag has no metadata.yaml: reading {file} as it is',)
    assert not list(copies.iterdir())


def test_what_can_be_decompressed_of_a_damaged_file_is_read(
    tmp_path: Path, storage: Storage, copies: Path
) -> None:
    folder = record_split(tmp_path / 'drive', storage, *[QosReliability.RELIABLE] * 2)
    plain = folder / f'part0{SUFFIX[storage]}'
    whole = plain.read_bytes()
    frames = [ZstdCompressor().compress(part) for part in (whole[:3_000_000], whole[3_000_000:])]
    bad = plain.with_name(f'{plain.name}.zstd')
    bad.write_bytes(frames[0] + b'\xff' * 10 + frames[1])
    plain.unlink()
    metadata = folder / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace(plain.name, bad.name))
    with BagReader(folder) as bag:
        found = [image.frame_id for image in bag.images('/camera')]
        assert len(list(copies.iterdir())) == (storage == 'mcap'), 'else it is gone at once'
    if storage == 'mcap':
        assert found == ids(range(2), range(FRAMES, 2 * FRAMES))
        assert bag.notes[0].startswith(f'{bad} is damaged (')
        assert 'read is what can be decompressed of it' in bag.notes[0]
        assert bag.notes[1].startswith(f'{bad} is unfinished or damaged (')
    else:
        assert found == ids(range(FRAMES, 2 * FRAMES))
        assert bag.notes[0].startswith(f'{bad} is left out, it cannot be read: zstd decompress')


def test_compressed_messages_are_recognised_without_metadata(
    tmp_path: Path, storage: Storage
) -> None:
    folder = record(tmp_path / 'drive', storage, compression=CompressionMode.MESSAGE)
    (folder / 'metadata.yaml').unlink()
    for path in (folder, folder / f'drive{SUFFIX[storage]}'):
        frames, notes = read(path)
        assert frames == ids(range(FRAMES))
        assert notes[-1].startswith(
            f'messages of {folder}/drive{SUFFIX[storage]} are compressed ('
        )


def test_a_damaged_compressed_message_is_one_bad_frame(tmp_path: Path) -> None:
    file = record(tmp_path / 'drive', 'sqlite3', compression=CompressionMode.MESSAGE) / 'drive.db3'
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE messages SET data = x'28b52ffd00000000ff' WHERE id = 2")
    with BagReader(file) as bag:
        bad = [image.log_ns for image in bag.images('/camera') if not image.frame_id]
    assert bad == [1]
