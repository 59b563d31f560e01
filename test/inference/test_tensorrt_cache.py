# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from dataclasses import fields, replace
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.tensorrt_cache import PlanCache, PlanKey, refuse_shared
from vidseg_ros.inference.tensorrt_options import Shape

ONE, TWO = Shape(1, 12, 16), Shape(2, 12, 16)
KEY = PlanKey(
    model_sha256='ab',
    tensorrt='10.3.0',
    gpu='Orin',
    capability='8.7',
    precision='fp16',
    shapes=(ONE, TWO),
    slots=2,
    options=('fp16',),
)
OTHER: dict[str, Any] = {
    'model_sha256': 'cd',
    'tensorrt': '10.3.1',
    'gpu': 'Thor',
    'capability': '11.0',
    'precision': 'int8',
    'shapes': (ONE,),
    'slots': 1,
    'options': (),
}


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / 'new' / 'engines')


def test_what_was_stored_is_found(cache: PlanCache) -> None:
    assert cache.find(KEY) is None
    path = cache.store('tiny', KEY, b'plan', {'build_s': 3})
    assert path.name == f'tiny-{KEY.digest()[:16]}.plan'
    found = cache.find(KEY)
    assert found is not None
    assert (found.key, found.path, found.plan, found.about) == (KEY, path, b'plan', {'build_s': 3})
    assert sorted(p.suffix for p in cache.folder.iterdir()) == ['.json', '.plan']
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in cache.folder.iterdir())


@pytest.mark.parametrize('name', [field.name for field in fields(PlanKey)])
def test_every_part_of_the_key_counts(cache: PlanCache, name: str) -> None:
    other = replace(KEY, **{name: OTHER[name]})
    assert other.digest() != KEY.digest()
    cache.store('tiny', other, b'plan', {})
    assert cache.find(KEY) is None


def test_a_plan_for_more_shapes_suits(cache: PlanCache) -> None:
    cache.store('tiny', KEY, b'plan', {})
    assert cache.find(replace(KEY, shapes=(TWO,))) is not None
    assert cache.find(replace(KEY, shapes=())) is not None
    assert cache.find(replace(KEY, shapes=(Shape(3, 12, 16),))) is None
    assert cache.find(replace(KEY, shapes=(ONE,), slots=1)) is not None
    assert cache.find(replace(KEY, slots=3)) is None


def test_the_newest_one_that_suits_is_taken(cache: PlanCache) -> None:
    for second, shapes in ((20, (ONE, TWO)), (10, (ONE,))):
        path = cache.store('tiny', replace(KEY, shapes=shapes), b'%d' % second, {})
        os.utime(path.with_suffix('.json'), (second, second))
    found = cache.find(replace(KEY, shapes=()))
    assert found is not None
    assert found.plan == b'20'


def test_new_folders_are_the_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache = PlanCache(tmp_path / 'a' / 'b')
        path = cache.store('tiny', KEY, b'plan', {})
    finally:
        os.umask(before)
    assert cache.find(KEY) is not None
    for folder in (cache.folder, cache.folder.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_removed_plan_is_gone(cache: PlanCache) -> None:
    cache.remove(cache.store('tiny', KEY, b'plan', {}))
    assert cache.find(KEY) is None
    assert not list(cache.folder.iterdir())


def _damage(path: Path, how: str) -> None:
    sidecar = path.with_suffix('.json')
    plain = json.loads(sidecar.read_text())
    if how == 'cut':
        path.write_bytes(path.read_bytes()[:2])
    elif how == 'gone':
        path.unlink()
    elif how == 'no json':
        sidecar.write_text('{')
    elif how == 'schema':
        sidecar.write_text(json.dumps(plain | {'schema': 99}))
    elif how == 'field':
        plain['key']['colour'] = 'red'
        sidecar.write_text(json.dumps(plain))
    elif how == 'no key':
        sidecar.write_text(json.dumps({'schema': 2}))


@pytest.mark.parametrize(
    ('how', 'said'),
    [
        ('cut', 'its content is not what its side-car says'),
        ('gone', 'No such file'),
        ('no json', 'Expecting property name'),
        ('schema', 'has schema 99, this version reads 2'),
        ('field', 'colour'),
        ('no key', 'key'),
    ],
)
def test_a_damaged_plan_is_named_and_not_used(
    cache: PlanCache, caplog: pytest.LogCaptureFixture, how: str, said: str
) -> None:
    path = cache.store('tiny', KEY, b'plan', {})
    _damage(path, how)
    assert cache.find(KEY) is None
    (record,) = caplog.records
    assert f'{path} is not used: ' in record.message
    assert said in record.message


def test_a_writer_that_fails_leaves_the_old_plan(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store('tiny', KEY, b'old', {})

    def full(*_: Any) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(EngineError, match=r'cannot write .*\.plan: No space left .*; set VIDSEG_'):
        cache.store('tiny', KEY, b'new', {})
    found = cache.find(KEY)
    assert found is not None
    assert found.plan == b'old'
    assert len(list(cache.folder.iterdir())) == 2


@pytest.mark.parametrize('mode', [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_refused(cache: PlanCache, mode: int) -> None:
    cache.store('tiny', KEY, b'plan', {})
    cache.folder.chmod(mode)
    for use in (
        lambda: cache.find(KEY),
        lambda: cache.store('tiny', KEY, b'plan', {}),
        lambda: cache.lock(KEY, lambda: True).__enter__(),
    ):
        with pytest.raises(EngineError, match=r'others can write .*chmod go-w .* or set VIDSEG_'):
            use()
    assert cache.read_timing(KEY) == b''


@pytest.mark.parametrize('suffix', ['.plan', '.json'])
def test_a_file_that_others_can_write_is_refused(cache: PlanCache, suffix: str) -> None:
    path = cache.store('tiny', KEY, b'plan', {})
    path.with_suffix(suffix).chmod(0o666)
    with pytest.raises(EngineError, match='is not used: others can write'):
        cache.find(KEY)


def test_a_folder_above_counts_too_unless_it_is_sticky(tmp_path: Path) -> None:
    inner = tmp_path / 'above' / 'inner'
    inner.mkdir(parents=True)
    (tmp_path / 'above').chmod(0o777)
    with pytest.raises(EngineError, match=r'others can write .*above, and an engine is code'):
        refuse_shared(inner)
    (tmp_path / 'above').chmod(0o1777)
    refuse_shared(inner)


def test_a_link_into_a_shared_folder_is_refused(cache: PlanCache, tmp_path: Path) -> None:
    shared = tmp_path / 'shared'
    shared.mkdir()
    shared.chmod(0o777)
    cache.folder.parent.mkdir()
    cache.folder.symlink_to(shared)
    with pytest.raises(EngineError, match=r'others can write .*shared'):
        cache.find(KEY)


def test_somebody_elses_folder_is_refused(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.store('tiny', KEY, b'plan', {})
    monkeypatch.setattr('os.geteuid', lambda: 12345)
    if os.getuid() == 0:
        assert cache.find(KEY) is not None, "root's may be used by all"
    else:
        with pytest.raises(EngineError, match='others can write'):
            cache.find(KEY)


def test_what_the_file_system_refuses_is_said(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache.store('tiny', KEY, b'plan', {})

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, 'Permission denied')

    message = r'cannot use .*engines: Permission denied; set VIDSEG_ENGINE_CACHE to a folder of'
    monkeypatch.setattr(Path, 'unlink', refuse)
    with pytest.raises(EngineError, match=message):
        cache.remove(path)
    monkeypatch.setattr(Path, 'is_dir', refuse)
    with pytest.raises(EngineError, match=message):
        cache.find(KEY)


def test_a_side_car_that_vanishes_meanwhile_is_none(
    cache: PlanCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.folder.mkdir(parents=True, mode=0o700)
    (cache.folder / 'gone.json').symlink_to(cache.folder / 'nowhere')
    assert cache.find(KEY) is None
    assert 'gone.plan is not used: ' in caplog.text


HOLD = """
import sys
from vidseg_ros.inference.tensorrt_cache import PlanCache, PlanKey
from vidseg_ros.inference.tensorrt_options import Shape
key = PlanKey(**eval(sys.argv[2]))
with PlanCache(__import__('pathlib').Path(sys.argv[1])).lock(key, lambda: False):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_another_process_waits_for_the_lock(cache: PlanCache) -> None:
    command = [sys.executable, '-c', HOLD, str(cache.folder), repr(vars(KEY))]
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == 'held\n'
        waits = iter((True, True, False))
        with (
            pytest.raises(EngineError, match=r'another process that builds this .* cancelled'),
            cache.lock(KEY, lambda: next(waits)),
        ):
            pass
        with cache.lock(replace(KEY, precision='fp32'), lambda: False):
            pass

        def let_go() -> bool:
            process.communicate(timeout=15)
            return True

        with cache.lock(KEY, let_go):
            assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_the_lock_is_free_again_after_an_error(cache: PlanCache) -> None:
    with pytest.raises(ZeroDivisionError), cache.lock(KEY, lambda: False):
        raise ZeroDivisionError
    with cache.lock(KEY, lambda: False):
        pass


def test_timing_belongs_to_version_and_gpu(cache: PlanCache) -> None:
    assert cache.read_timing(KEY) == b''
    cache.store_timing(KEY, b'times')
    assert cache.read_timing(replace(KEY, model_sha256='x', precision='int8')) == b'times'
    assert cache.read_timing(replace(KEY, gpu='Thor')) == b''
    assert cache.find(KEY) is None


def test_the_folder_is_chosen_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('VIDSEG_ENGINE_CACHE', str(tmp_path))
    assert PlanCache().folder == tmp_path
    monkeypatch.delenv('VIDSEG_ENGINE_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', '/x')
    assert PlanCache().folder == Path('/x/vidseg_ros/engines')
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', '/home/me')
    assert PlanCache().folder == Path('/home/me/.cache/vidseg_ros/engines')
