# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A small drive whose label maps are known, and `vidseg replay` over it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.bag_io import BagWriter
from vidseg_ros.cli.main import main

COLORS = np.array(((255, 0, 0), (0, 255, 0), (0, 0, 255)), np.uint8)
STEP_NS = 100_000_000


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '120')


@pytest.fixture
def golden() -> Callable[[int], NDArray[np.uint8]]:
    """Return what gives the known (48, 64) label map of a frame."""

    def labels(index: int) -> NDArray[np.uint8]:
        ids = np.random.default_rng(index).integers(0, 3, (12, 16), np.uint8)
        return ids.repeat(4, axis=0).repeat(4, axis=1)

    return labels


@pytest.fixture
def record(golden: Callable[[int], NDArray[np.uint8]]) -> Callable[..., Path]:
    """Return what writes a bag of frames whose labels `tiny_model` gets right."""

    def write(path: Path, topics: tuple[str, ...] = ('/camera',), frames: int = 10) -> Path:
        with BagWriter(path) as bag:
            for index in range(frames):
                for topic in topics:
                    bag.write_image(
                        topic,
                        COLORS[golden(index)],
                        encoding='rgb8',
                        stamp_ns=index * STEP_NS,
                        frame_id='front',
                    )
        return path

    return write


@pytest.fixture
def drive(in_an_empty_folder: None, record: Callable[..., Path]) -> Path:  # noqa: ARG001
    return record(Path('drive'))


@pytest.fixture
def replay(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `vidseg replay` and gives exit code, stdout and stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        model = () if '--model' in arguments else ('--model', tiny_model)
        status = main(['replay', *map(str, (*arguments, *model))])
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def refused() -> Callable[[tuple[int, str, str]], str]:
    """Return what checks that a run ended with one line of message and exit 2, the message."""

    def message(result: tuple[int, str, str]) -> str:
        status, _, err = result
        assert status == 2
        assert err.startswith('vidseg: ')
        assert err.count('\n') == 1, 'more than one line'
        return err[len('vidseg: ') : -1]

    return message
