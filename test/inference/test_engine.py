# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from contextlib import closing
import gc
from pathlib import Path
import sys
from typing import Any, NoReturn
import weakref

import numpy as np
import onnxruntime
import pytest

from vidseg_ros.core.errors import EngineError, ModelError
from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.cuda_runtime import any_gpu_broken, GpuError, is_sticky
from vidseg_ros.inference.engine import CHOICES, create_engine
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.tensorrt_options import BuildCancelled

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
SETTINGS = EngineSettings(samples=[Sample(image=NOISE)])


def test_the_choices() -> None:
    assert CHOICES == ('auto', 'onnxruntime', 'onnxruntime-cuda', 'tensorrt')


def test_auto_prefers_tensorrt(fake_gpu: Any, tiny_model: Path) -> None:
    with closing(create_engine('auto', tiny_model, SETTINGS)) as engine:
        assert engine.info.name == 'tensorrt'
        assert not engine.info.note
    assert fake_gpu.builds == 1


def test_auto_falls_back_where_there_is_no_tensorrt(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with closing(create_engine('auto', tiny_model)) as engine:
        assert engine.info.name == 'onnxruntime'
        assert engine.info.note.startswith('not TensorRT: TensorRT is not installed; ')
        assert not engine.info.degraded, 'the usual case without a GPU'
        assert engine.infer([np.zeros((12, 16, 3), np.uint8)]).labels.shape == (1, 12, 16)


@pytest.mark.parametrize(
    ('trouble', 'said'),
    [
        ({'failures': {'cudaGetDeviceCount': 'cudaErrorNoDevice'}}, 'no NVIDIA GPU is visible'),
        ({'failures': {'build': 'no implementation'}}, 'no implementation'),
        ({'free_bytes': 100}, 'the GPU is out of memory'),
        ({'noise': 0.5}, 'is not kept'),
    ],
)
def test_auto_says_why_it_fell_back(
    fake_gpu: Any, tiny_model: Path, trouble: dict[str, Any], said: str
) -> None:
    vars(fake_gpu).update(trouble)
    with closing(create_engine('auto', tiny_model, SETTINGS)) as engine:
        assert engine.info.name == 'onnxruntime'
        assert engine.info.note.startswith('not TensorRT: ')
        assert engine.info.degraded
        assert said in engine.info.note
    assert not fake_gpu.leftovers


def test_auto_takes_no_gpu_for_lost_that_never_worked(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorLaunchFailure'
    with closing(create_engine('auto', tiny_model, SETTINGS)) as engine:
        assert engine.info.degraded
        assert 'cudaErrorLaunchFailure; CUDA cannot be used' in engine.info.note


def test_auto_says_that_a_gpu_that_worked_is_lost(fake_gpu: Any, tiny_model: Path) -> None:
    create_engine('auto', tiny_model, SETTINGS).close()
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorLaunchFailure'
    with pytest.raises(
        GpuError, match='cudaErrorLaunchFailure; CUDA cannot be used again'
    ) as caught:
        create_engine('auto', tiny_model, SETTINGS)
    assert is_sticky(caught.value)
    fake_gpu.failures['cudaGetDeviceCount'] = 'cudaErrorDevicesUnavailable'
    with closing(create_engine('auto', tiny_model, SETTINGS)) as engine:
        assert engine.info.degraded, 'another process would meet the same'


def test_auto_opens_nothing_else_when_the_build_is_cancelled(
    fake_gpu: Any, tiny_model: Path
) -> None:
    settings = EngineSettings(on_progress=lambda _: False)
    with pytest.raises(BuildCancelled, match='the build was cancelled'):
        create_engine('auto', tiny_model, settings)
    assert fake_gpu.builds == 1


def test_who_asks_for_tensorrt_gets_it_or_an_error(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(EngineError, match='TensorRT is not installed'):
        create_engine('tensorrt', tiny_model)


def test_auto_cannot_mend_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='no model file'):
        create_engine('auto', tmp_path / 'absent.onnx')


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


def test_cuda_is_asked_for_by_the_number_of_the_gpu(
    fake_cuda_provider: list[Any], tiny_model: Path
) -> None:
    with closing(create_engine('onnxruntime-cuda', tiny_model, EngineSettings(device=2))) as found:
        assert (found.info.name, found.info.device) == ('onnxruntime-cuda', 'GPU 2')
        assert isinstance(found, OnnxRuntimeEngine)
        found.infer([np.zeros((24, 32, 3), np.uint8)])
        assert found._batch.shape == (1, 24, 32, 3)  # the graph shrinks, on the GPU
    cuda = ('CUDAExecutionProvider', {'device_id': 2, 'use_tf32': 0})
    assert fake_cuda_provider == [[cuda, 'CPUExecutionProvider']]


def test_an_onnx_runtime_without_cuda_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CPUExecutionProvider'])
    with pytest.raises(EngineError, match='has no CUDA here; install onnxruntime-gpu in the'):
        create_engine('onnxruntime-cuda', tiny_model)


@pytest.mark.usefixtures('fake_cuda_provider')
def test_cuda_that_falls_back_to_the_cpu_is_refused(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(session, 'get_providers', lambda _: ['CPUExecutionProvider'])
    with pytest.raises(EngineError, match='cannot use CUDA on GPU 0; check the driver'):
        create_engine('onnxruntime-cuda', tiny_model)


LOST = (
    'CUDA failure 700: an illegal memory access was encountered ; GPU=2 ; expr=cudaMemcpyAsync; '
)


@pytest.mark.parametrize(
    ('kind', 'told', 'lost'),
    [
        ('onnxruntime-cuda', LOST, True),
        ('onnxruntime-cuda', 'CUDA failure 2: out of memory ; GPU=2 ; expr=cudaMalloc; ', False),
        ('onnxruntime-cuda', 'CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ; GPU=2 ; ', False),
        ('onnxruntime', LOST, False),
    ],
)
@pytest.mark.usefixtures('fake_cuda_provider')
def test_onnx_runtime_tells_of_a_lost_gpu(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, kind: str, told: str, *, lost: bool
) -> None:
    frame = np.zeros((12, 16, 3), np.uint8)

    def fail(*_: object) -> NoReturn:
        msg = f'[ONNXRuntimeError] : 1 : FAIL : Non-zero status code … Conv node. {told}'
        raise RuntimeError(msg)

    settings = EngineSettings(device=2)
    with (
        closing(create_engine(kind, tiny_model, settings)) as engine,
        closing(create_engine(kind, tiny_model, settings)) as idle,
    ):
        assert isinstance(engine, OnnxRuntimeEngine)
        assert isinstance(idle, OnnxRuntimeEngine)
        sessions = [weakref.ref(one._session) for one in (engine, idle)]
        with monkeypatch.context() as patch:
            patch.setattr(onnxruntime.InferenceSession, 'run', fail)
            with pytest.raises(EngineError, match='failed on 1 frames of 16x12') as got:
                engine.infer([frame])
        assert is_sticky(got.value) == lost
        assert any_gpu_broken() == lost
        assert ('CUDA cannot be used again in this process' in str(got.value)) == lost
        if lost:
            with pytest.raises(EngineError, match='the engine is closed'):
                engine.infer([frame])
        else:
            assert engine.infer([frame]).labels.shape == (1, 12, 16)
    del got
    gc.collect()
    left = [session() is not None for session in sessions]
    assert left == [lost, lost], 'to free what a lost GPU holds may abort the process'


@pytest.mark.usefixtures('fake_cuda_provider')
def test_a_lost_gpu_is_told_when_another_model_is_opened(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **rest: object) -> NoReturn:
        assert rest['enable_fallback'] == 0, 'else the CPU would run it, and nothing be told'
        raise RuntimeError(LOST)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', fail)
    with pytest.raises(GpuError, match=r'cannot load .*CUDA failure 700.*CUDA cannot be used'):
        create_engine('onnxruntime-cuda', tiny_model)
