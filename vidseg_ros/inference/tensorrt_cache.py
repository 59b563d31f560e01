# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Built TensorRT engines on disk: a plan and beside it a JSON file that says what it is.

A plan is code: it is loaded only from a folder that nobody else can write, and only with the
side-car that was written with it.
"""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
import fcntl
import hashlib
import json
import logging
import os
from pathlib import Path
import stat
import tempfile
import time
from typing import Any, Final, NamedTuple

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.tensorrt_options import BuildCancelled, Shape

_logger = logging.getLogger(__name__)

FOLDER_VARIABLE: Final = 'VIDSEG_ENGINE_CACHE'
"""Environment variable with the folder of built engines."""

SCHEMA: Final = 2
"""Version of the side-car's layout."""

_LOCK_POLL_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class PlanKey:
    """Everything that a plan depends on."""

    model_sha256: str
    """Of the model file."""
    tensorrt: str
    """Version, all parts of it."""
    gpu: str
    """Name of the GPU."""
    capability: str
    """Its compute capability, such as ``9.0``."""
    precision: str
    """That of the model file."""
    shapes: tuple[Shape, ...]
    """What the engine takes."""
    slots: int
    """Optimisation profiles of each shape of a single frame."""
    options: tuple[str, ...]
    """Every other builder option that changes the plan."""

    def digest(self) -> str:
        """Return a SHA-256 of all of it, in hexadecimal."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def suits(self, other: 'PlanKey') -> bool:
        """Whether a plan of this key can serve who asks for another.

        It may take more shapes and have more slots.
        """
        same = all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
            if field.name not in ('shapes', 'slots')
        )
        return same and set(other.shapes) <= set(self.shapes) and other.slots <= self.slots


class CachedPlan(NamedTuple):
    """A plan out of the cache."""

    key: PlanKey
    """What it was built for."""
    path: Path
    """Its file."""
    plan: bytes
    """Its content, as its side-car says."""
    sha256: str
    """Of the content."""
    about: dict[str, Any]
    """What else the side-car says, such as how it was checked."""


class PlanCache:
    """A folder of plans; safe against other processes that use it."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder; it is made when something is stored.

        Args:
            folder: None takes that of `FOLDER_VARIABLE`, else the user's cache.
        """
        self.folder = folder or _default_folder()

    def find(self, wanted: PlanKey, refused: Container[str] = ()) -> CachedPlan | None:
        """Return the newest usable plan that suits, or None; damaged ones are named in the log.

        Args:
            wanted: What it must be able to serve.
            refused: SHA-256 of plans that are not wanted, because they did not load.

        Raises:
            EngineError: If somebody else could write to the folder, or it cannot be used.
        """
        with self._errors():
            if not self.folder.is_dir():
                return None
            refuse_shared(self.folder)
            sidecars = sorted(self.folder.glob('*.json'), key=_written_ns, reverse=True)
        for sidecar in sidecars:
            try:
                cached = self._read(sidecar, wanted, refused)
            except (OSError, ValueError, KeyError, TypeError) as error:
                _logger.warning('%s is not used: %s', sidecar.with_suffix('.plan'), error)
                continue
            if cached is not None:
                return cached
        return None

    @staticmethod
    def _read(sidecar: Path, wanted: PlanKey, refused: Container[str]) -> CachedPlan | None:
        """Return the plan of a side-car; None if it does not suit or was refused."""
        refuse_shared(sidecar)
        plain = json.loads(sidecar.read_text(encoding='utf-8'))
        if plain['schema'] != SCHEMA:
            msg = f'its side-car has schema {plain["schema"]}, this version reads {SCHEMA}'
            raise ValueError(msg)
        raw = plain['key']
        shapes = tuple(Shape(*shape) for shape in raw['shapes'])
        key = PlanKey(**raw | {'shapes': shapes, 'options': tuple(raw['options'])})
        if not key.suits(wanted) or plain['plan_sha256'] in refused:
            return None
        path = sidecar.with_suffix('.plan')
        refuse_shared(path)
        plan = path.read_bytes()
        sha256 = hashlib.sha256(plan).hexdigest()
        if sha256 != plain['plan_sha256']:
            msg = 'its content is not what its side-car says; it is built again'
            raise ValueError(msg)
        return CachedPlan(key, path, plan, sha256, plain['about'])

    def store(self, name: str, key: PlanKey, plan: bytes, about: dict[str, Any]) -> Path:
        """Write a plan and its side-car; an older one of the same key is replaced.

        Args:
            name: Begins the file's name, for people.
            key: What it was built for.
            plan: Its content.
            about: For the side-car, JSON.

        Returns:
            The plan's file.

        Raises:
            EngineError: If it cannot be written, or somebody else could write there.
        """
        path = self.folder / f'{name}-{key.digest()[:16]}.plan'
        sidecar = {
            'schema': SCHEMA,
            'key': asdict(key),
            'plan_sha256': hashlib.sha256(plan).hexdigest(),
            'built': datetime.now(timezone.utc).isoformat(timespec='seconds'),
            'about': about,
        }
        self._write(path, plan)
        self._write(path.with_suffix('.json'), json.dumps(sidecar, indent=2).encode())
        return path

    def remove(self, path: Path) -> None:
        """Take a plan that gives wrong results out of the cache.

        Raises:
            EngineError: If that is not allowed.
        """
        with self._errors():
            for file in (path.with_suffix('.json'), path):
                file.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what an error of the file system means."""
        try:
            yield
        except OSError as error:
            msg = (
                f'cannot use {self.folder}: {error.strerror or error}; '
                f'set {FOLDER_VARIABLE} to a folder of your own'
            )
            raise EngineError(msg) from error

    def read_timing(self, key: PlanKey) -> bytes:
        """Return what earlier builds on this GPU measured; empty if there is none."""
        path = self._timing_path(key)
        with suppress(OSError, EngineError):
            refuse_shared(self.folder)
            refuse_shared(path)
            return path.read_bytes()
        return b''

    def store_timing(self, key: PlanKey, timing: bytes) -> None:
        """Keep what a build measured.

        Raises:
            EngineError: As `store`.
        """
        self._write(self._timing_path(key), timing)

    def _timing_path(self, key: PlanKey) -> Path:
        text = f'{key.tensorrt} {key.gpu} {key.capability}'
        return self.folder / f'timing-{hashlib.sha256(text.encode()).hexdigest()[:16]}.cache'

    def _write(self, path: Path, content: bytes) -> None:
        try:
            self._make_folder()
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as draft:
                try:
                    draft.write(content)
                    draft.flush()
                    os.fsync(draft.fileno())
                    os.replace(draft.name, path)  # noqa: PTH105  # atomic on POSIX
                except BaseException:
                    Path(draft.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            msg = (
                f'cannot write {path}: {error.strerror or error}; '
                f'set {FOLDER_VARIABLE} to a folder of your own'
            )
            raise EngineError(msg) from error

    def _make_folder(self) -> None:
        missing = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        for folder in reversed(missing):  # `parents=True` would leave those above to the umask
            folder.mkdir(exist_ok=True, mode=0o700)
        refuse_shared(self.folder)

    @contextmanager
    def lock(self, key: PlanKey, on_wait: Callable[[], bool]) -> Iterator[None]:
        """Hold the right to build the plan of a key; another process or thread waits meanwhile.

        Args:
            key: Of the plan.
            on_wait: Called again and again while somebody else holds it; False gives up.

        Raises:
            BuildCancelled: If it is given up.
            EngineError: If the folder cannot be used.
        """
        with self._errors():
            self._make_folder()
            with (self.folder / f'{key.digest()[:16]}.lock').open('w') as file:
                while not _locked(file.fileno()):
                    if not on_wait():
                        msg = 'the wait for another process that builds this engine was cancelled'
                        raise BuildCancelled(msg)
                    time.sleep(_LOCK_POLL_S)
                yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _default_folder() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'vidseg_ros' / 'engines'


def _written_ns(path: Path) -> int:
    """Return when a file was written, ns; 0 if it is gone."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def refuse_shared(path: Path) -> None:
    """Refuse a path that somebody else could write, or put another one in its place.

    It and all folders above must belong to this user or root and be writable by nobody else; a
    folder with the sticky bit, such as /tmp, may lie above.

    Raises:
        EngineError: If that is not so.
        OSError: If the path is not there.
    """
    real = path.resolve(strict=True)
    for place in (real, *real.parents):
        status = place.stat()
        sticky = place != real and status.st_mode & stat.S_ISVTX
        foreign = status.st_uid not in (0, os.geteuid())
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky
        if foreign or shared:
            msg = (
                f'{path} is not used: others can write {place}, and an engine is code; '
                f'chmod go-w {place}, or set {FOLDER_VARIABLE} to a folder of your own'
            )
            raise EngineError(msg)
