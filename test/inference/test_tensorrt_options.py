# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from vidseg_ros.core.errors import EngineError, ParameterError
from vidseg_ros.inference.tensorrt_options import (
    BuildFlags,
    BuildOptions,
    flags_for,
    parse_version,
    profile_shapes,
    Progress,
    Shape,
    SLOTS,
    slots_for,
)


@pytest.mark.parametrize(
    ('text', 'version'),
    [('8.5.3.1', (8, 5)), ('10.3.0', (10, 3)), ('10.13.3.9.post1', (10, 13)), ('11.4', (11, 4))],
)
def test_major_and_minor_count(text: str, version: tuple[int, int]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize('text', ['8.4.3', '7.1', 'new', ''])
def test_an_old_version_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match=r'is too old; install 8\.5 or later'):
        parse_version(text)


WEAK = BuildFlags(network=(), on=(), off=(), tactics=())
STRONG = WEAK._replace(network=('STRONGLY_TYPED',))
OLD = BuildFlags(
    network=('EXPLICIT_BATCH',),
    on=(),
    off=(),
    tactics=('EDGE_MASK_CONVOLUTIONS', 'JIT_CONVOLUTIONS'),
)


@pytest.mark.parametrize(
    ('version', 'precision', 'flags'),
    [
        ((8, 5), 'fp32', OLD._replace(off=('TF32',))),
        ((8, 5), 'fp16', OLD._replace(on=('FP16',))),
        ((8, 6), 'int8', OLD._replace(on=('FP16', 'INT8'))),
        ((10, 0), 'fp16', WEAK._replace(on=('FP16',))),
        ((10, 11), 'int8', WEAK._replace(on=('FP16', 'INT8'))),
        ((10, 12), 'fp16', STRONG),
        ((10, 16), 'fp32', STRONG._replace(off=('TF32',))),
        ((11, 0), 'int8', STRONG),
    ],
)
def test_flags_of_each_version(
    version: tuple[int, int], precision: Any, flags: BuildFlags
) -> None:
    assert flags_for(version, precision) == flags


def test_single_frames_have_a_profile_for_each_of_their_buffers() -> None:
    shapes = (Shape(1, 12, 16), Shape(3, 12, 16))
    assert profile_shapes(shapes, 2) == (shapes[0], shapes[0], shapes[1])
    assert profile_shapes(shapes, 1) == shapes


def test_frames_of_one_camera_never_overlap() -> None:
    assert [slots_for(cameras) for cameras in (1, 2, 8)] == [1, SLOTS, SLOTS]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'precision': 'bf16'}, "precision 'bf16' cannot be built, choose from fp32, fp16, int8"),
        ({'shapes': ()}, 'shapes must be one or more'),
        ({'shapes': (Shape(1, 2, 2), Shape(1, 2, 2))}, 'each once'),
        ({'shapes': (Shape(9, 2, 2),)}, 'cannot be built: 1 to 8 frames'),
        ({'shapes': (Shape(0, 2, 2),)}, 'cannot be built: 1 to 8 frames'),
        ({'shapes': (Shape(1, 0, 2),)}, 'of at least one pixel; correct --frames or --size'),
        ({'workspace_mib': 0}, 'workspace must be 1 MiB or more'),
    ],
)
def test_options_that_are_not_allowed(change: Any, message: str) -> None:
    good: dict[str, Any] = {'precision': 'fp16', 'shapes': (Shape(8, 2, 2),)}
    assert BuildOptions(**good).workspace_mib == 2048
    with pytest.raises(ParameterError, match=message):
        BuildOptions(**good | change)


def test_progress_for_people() -> None:
    assert str(Progress(phase='Building', elapsed_s=61.4, share=0.256)) == 'Building 26%, 61 s'
    assert str(Progress(phase='Building', elapsed_s=2)) == 'Building, 2 s'
