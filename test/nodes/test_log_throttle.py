# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import math
from types import SimpleNamespace

import pytest

from vidseg_ros.nodes import log_throttle
from vidseg_ros.nodes.log_throttle import LogThrottle


def test_each_kind_passes_once_per_period(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(log_throttle, 'time', SimpleNamespace(monotonic=lambda: now.s))
    throttle = LogThrottle(5.0)
    passed = []
    for _ in range(120):  # the front camera is bad at 10 Hz, the rear one at 0.5 Hz
        if throttle.passes('front', 'corrupt'):
            passed.append((now.s, 'front'))
        if now.s % 2 == 0 and throttle.passes('rear', 'corrupt'):
            passed.append((now.s, 'rear'))
        now.s += 0.125
    assert passed == [
        (0, 'front'),
        (0, 'rear'),
        (5, 'front'),
        (6, 'rear'),
        (10, 'front'),
        (12, 'rear'),
    ]


def test_a_kind_that_passes_once() -> None:
    throttle = LogThrottle(math.inf)
    assert [throttle.passes(kind) for kind in 'abaab'] == [True, True, False, False, False]


def test_reasons_of_one_camera_are_kinds_of_their_own() -> None:
    throttle = LogThrottle(1000.0)
    assert throttle.passes('front', 'corrupt')
    assert throttle.passes('front', 'step')
    assert not throttle.passes('front', 'corrupt')
