# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from contextlib import closing
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from vidseg_ros.inference.engine import create_engine
from vidseg_ros.inference.engine_settings import EngineSettings


def test_settings_reach_the_engine_and_change_no_label(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    session = onnxruntime.InferenceSession

    def spy(path: str, options: onnxruntime.SessionOptions, **rest: object) -> object:
        spinning = options.get_session_config_entry('session.intra_op.allow_spinning')
        opened.append((options.intra_op_num_threads, spinning))
        return session(path, options, **rest)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', spy)
    frame = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    found = []
    for settings in (None, EngineSettings(threads=1, spinning=False)):
        with closing(create_engine('onnxruntime', tiny_model, settings)) as engine:
            found.append(engine.infer([frame]).labels)
    assert opened == [(0, '1'), (1, '0')]
    np.testing.assert_array_equal(*found)
