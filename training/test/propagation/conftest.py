# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""A tiny clip on the disk, labels of its middle frame, and jobs for them."""

from collections.abc import Callable
import os
from pathlib import Path
from types import ModuleType

import cv2
import pytest

from vidseg_training.propagation.clip import list_clips
from vidseg_training.propagation.propagate import PropagationJob, PropagationSettings


@pytest.fixture
def tiny_clip(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module `tiny_clip`, which workers find as well."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    paths = filter(None, (here, os.environ.get('PYTHONPATH')))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    import tiny_clip  # noqa: PLC0415 - once it is on the path

    return tiny_clip


@pytest.fixture
def clip_folder(tiny_clip: ModuleType, tmp_path: Path) -> Path:
    """Return a folder of 9 frames, `drive_0010.png` to `drive_0018.png`."""
    folder = tmp_path / 'drive'
    folder.mkdir()
    for frame in range(tiny_clip.FRAMES):
        tiny_clip.write_frame(folder, frame)
    return folder


@pytest.fixture
def label_folder(tiny_clip: ModuleType, tmp_path: Path) -> Path:
    """Return a folder with the label map of frame 4 of the clip, `drive_0014.png`."""
    folder = tmp_path / 'labels'
    folder.mkdir()
    labels = tiny_clip.cut_out(tiny_clip.scene()[1], 4)
    cv2.imwrite(str(folder / 'drive_0014.png'), labels)
    return folder


@pytest.fixture
def job(
    tiny_clip: ModuleType, clip_folder: Path, label_folder: Path, tmp_path: Path
) -> Callable[..., PropagationJob]:
    """Return what makes a job of the tiny clip, with the given settings and its true flow."""

    def make(**settings: object) -> PropagationJob:
        return PropagationJob(
            clip=list_clips(str(clip_folder))[0],
            labels=label_folder,
            settings=PropagationSettings(**{'motion': tiny_clip.true_flow, **settings}),  # type: ignore[arg-type]  # of a test
            out=tmp_path / 'out',
        )

    return make
