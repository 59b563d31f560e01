# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the contract test does not ask: CUDA graphs, batches, failures of the GPU."""

from collections.abc import Callable
from contextlib import closing
import gc
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pytest

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.cuda_runtime import GpuError
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.tensorrt_builder import open_tensorrt
from vidseg_ros.inference.tensorrt_engine import TensorRtEngine
from vidseg_ros.inference.tensorrt_options import Shape

BIG = (48, 64)


def scene(seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a frame (48, 64, 3) of one-coloured blocks and its labels (12, 16)."""
    ids = np.random.default_rng(seed).integers(0, 3, (3, 4)).astype(np.uint8)
    image = (np.eye(3, dtype=np.uint8)[ids] * 200).repeat(16, 0).repeat(16, 1)
    return image, ids.repeat(4, 0).repeat(4, 1)


SAMPLES = [Sample(image=scene(seed)[0]) for seed in range(2)]  # drawn streets take long


def opened(model: Path, cameras: int = 1, size: tuple[int, int] | None = BIG) -> TensorRtEngine:
    return open_tensorrt(model, EngineSettings(cameras=cameras, size=size, samples=SAMPLES))


def test_the_graph_runs_and_nothing_is_left_behind(fake_gpu: Any, tiny_model: Path) -> None:
    with closing(opened(tiny_model)) as engine:
        enqueued = fake_gpu.calls['cudaMemcpyAsync']
        launched = fake_gpu.calls['cudaGraphLaunch']
        image, truth = scene()
        labels = engine.infer([image]).labels[0]
        assert fake_gpu.calls['cudaMemcpyAsync'] == enqueued
        assert fake_gpu.calls['cudaGraphLaunch'] == launched + 1
        assert (labels == truth).mean() > 0.75  # edges of blocks blend
        assert not engine.info.note
    assert not fake_gpu.leftovers


@pytest.mark.parametrize(
    ('trouble', 'said'),
    [
        ({'refuses_capture': True}, 'TensorRT cannot run the network'),
        ({'wrong_graph': True}, 'it gives other results than the plain way'),
        (
            {'failures': {'cudaStreamBeginCapture': 'cudaErrorStreamCaptureUnsupported'}},
            'cudaErrorStreamCaptureUnsupported',
        ),
        (
            {'failures': {'cudaGraphInstantiateWithFlags': 'cudaErrorMemoryAllocation'}},
            'the GPU is out of memory',
        ),
    ],
)
def test_without_a_graph_it_falls_back_and_says_so(
    fake_gpu: Any,
    tiny_model: Path,
    caplog: pytest.LogCaptureFixture,
    trouble: dict[str, Any],
    said: str,
) -> None:
    vars(fake_gpu).update(trouble)
    with closing(opened(tiny_model)) as engine:
        assert engine.info.note.startswith('no CUDA graph: ')
        assert said in engine.info.note
        assert any('every call is enqueued' in message for message in caplog.messages)
        launched = fake_gpu.calls['cudaGraphLaunch']
        for seed in range(3):
            image, truth = scene(seed)
            labels = engine.infer([image]).labels[0]
            np.testing.assert_array_equal(labels[2::4, 2::4], truth[2::4, 2::4])
        assert fake_gpu.calls['cudaGraphLaunch'] == launched
    assert not fake_gpu.leftovers


@pytest.mark.parametrize('quicker', [True, False])
@pytest.mark.parametrize('count', [1, 2, 3, 4])
def test_batches_and_single_frames_say_the_same(
    fake_gpu: Any, tiny_model: Path, count: int, *, quicker: bool
) -> None:
    scenes = [scene(seed) for seed in range(count)]
    with closing(opened(tiny_model, cameras=3)) as engine:
        batch = Shape(3, *BIG)
        assert engine.batching.keys() == {batch}
        engine.batching[batch] = quicker
        launched = fake_gpu.calls['cudaGraphLaunch']
        found = engine.infer([image for image, _ in scenes], confidence=True)
        calls = fake_gpu.calls['cudaGraphLaunch'] - launched
        assert calls == (1 if quicker and count == 3 else count)
        for index, (image, truth) in enumerate(scenes):
            np.testing.assert_array_equal(found.labels[index, 2::4, 2::4], truth[2::4, 2::4])
            alone = engine.infer([image], confidence=True)
            np.testing.assert_array_equal(found.labels[index], alone.labels[0])
            assert found.confidence is not None
            assert alone.confidence is not None
            np.testing.assert_array_equal(found.confidence[index], alone.confidence[0])


def test_both_ways_are_measured_with_their_copies_on_the_host(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, copies = list[object](), list[int]()

    def copy(image: Any, *arguments: Any) -> Any:
        copied.append(image)
        return resize_image(image, *arguments)

    def best_s(run: Callable[[], None]) -> float:
        before = len(copied)
        run()
        copies.append(len(copied) - before)
        return 1.0

    monkeypatch.setattr('vidseg_ros.inference.tensorrt_engine._best_s', best_s)
    monkeypatch.setattr('vidseg_ros.inference.tensorrt_lane.resize_image', copy)
    opened(tiny_model, cameras=2).close()
    assert copies == [2, 2]
    assert fake_gpu.builds == 1


@pytest.mark.parametrize(('batch_s', 'quicker'), [(2.0, True), (4.0, False)])
def test_the_quicker_way_is_measured(
    fake_gpu: Any,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_s: float,
    *,
    quicker: bool,
) -> None:
    times = iter([batch_s, 3.0])
    monkeypatch.setattr(
        'vidseg_ros.inference.tensorrt_engine._best_s', lambda run: (run(), next(times))[1]
    )
    with closing(opened(tiny_model, cameras=2)) as engine:
        assert engine.batching == {Shape(2, *BIG): quicker}
    assert fake_gpu.builds == 1


def test_one_frame_computes_while_the_next_one_is_filled(fake_gpu: Any, tiny_model: Path) -> None:
    """Two frames are under way before the first is waited for."""
    with closing(opened(tiny_model, cameras=3)) as engine:
        under_way: list[int] = []
        lanes = engine._lanes[Shape(1, *BIG)]
        for lane in lanes:
            start = lane.start

            def watched(start: Any = start) -> None:
                start()
                under_way.append(sum(bool(s.pending) for s in fake_gpu.streams.values()))

            lane.start = watched  # type: ignore[method-assign]
        engine.infer([scene(seed)[0] for seed in range(4)])
    assert under_way == [1, 2, 2, 2]


def test_other_sizes_are_shrunk_on_the_cpu_and_said_once(
    fake_gpu: Any, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, truth = scene()
    larger = image.repeat(2, 0).repeat(2, 1)
    with closing(opened(tiny_model)) as engine:
        for _ in range(2):
            labels = engine.infer([larger, larger]).labels
            np.testing.assert_array_equal(labels[1, 2::4, 2::4], truth[2::4, 2::4])
    assert caplog.messages == [
        'frames of 128x96 are shrunk on the CPU; for the GPU: vidseg build-engine --size 96x128'
    ]
    assert fake_gpu.builds == 1, 'never while cameras wait'


def test_frames_in_pinned_memory_are_not_copied(fake_gpu: Any, tiny_model: Path) -> None:
    shape = Shape(1, *BIG)
    image, truth = scene()
    with closing(opened(tiny_model)) as engine:
        memory = engine.pinned_frames(shape)
        assert memory.shape == (1, *BIG, 3)
        memory[0] = image
        memory.setflags(write=False)  # a copy onto itself would be refused
        labels = engine.infer(list(memory)).labels[0]
        np.testing.assert_array_equal(labels[2::4, 2::4], truth[2::4, 2::4])
        with pytest.raises(EngineError, match=r'not built for Shape\(frames=2, .*but for Shape\('):
            engine.pinned_frames(Shape(2, *BIG))
    with pytest.raises(EngineError, match='but for nothing any more, it is closed'):
        engine.pinned_frames(shape)
    assert fake_gpu.builds == 1


def test_stages_are_timed_on_the_gpu(fake_gpu: Any, tiny_model: Path) -> None:
    with closing(opened(tiny_model)) as engine:
        for _ in range(2):
            before = fake_gpu.calls.copy()
            times = engine.measure_stages([scene()[0]])
            assert min(vars(times).values()) > 0
            calls = fake_gpu.calls - before
            assert calls['cudaMemcpyAsync'] == 3, 'one frame up, labels and confidence down'
            assert calls['cudaGraphLaunch'] == 1, 'the network alone'
        assert not calls['cudaStreamBeginCapture'], 'recorded once'
        before = fake_gpu.calls.copy()
        assert min(vars(engine.measure_stages([scene()[0]], recorded=False)).values()) > 0
        assert not (fake_gpu.calls - before)['cudaGraphLaunch'], 'enqueued'
    assert (
        fake_gpu.calls['cudaGraphExecDestroy'] == fake_gpu.calls['cudaGraphInstantiateWithFlags']
    )
    assert not fake_gpu.leftovers


def test_stages_are_timed_without_graphs_where_there_are_none(
    fake_gpu: Any, tiny_model: Path
) -> None:
    fake_gpu.refuses_capture = True
    with closing(opened(tiny_model)) as engine:
        captured = fake_gpu.calls['cudaStreamBeginCapture']
        assert min(vars(engine.measure_stages([scene()[0]])).values()) > 0
        assert fake_gpu.calls['cudaStreamBeginCapture'] == captured
    assert not fake_gpu.calls['cudaGraphLaunch']


def test_every_way_to_run_frames_can_be_asked_for(fake_gpu: Any, tiny_model: Path) -> None:
    scenes = [scene(seed) for seed in range(3)]
    with closing(opened(tiny_model, cameras=3)) as engine:
        fake_gpu.profile_noise = {3: 0.5, 4: 1.0}  # of those for one frame of 48x64, and the batch
        ways = engine.infer_every_way([image for image, _ in scenes])
        wrong = {
            way: float(
                np.mean([(labels != truth)[2::4, 2::4].mean() for labels, (_, truth) in both])
            )
            for way, both in (
                (way, list(zip(found, scenes, strict=True))) for way, found in ways.items()
            )
        }
        assert list(wrong) == ['one by one', 'one by one in buffers 2', 'in one batch']
        assert wrong['one by one'] == 0 < wrong['one by one in buffers 2'] < wrong['in one batch']
        with pytest.raises(EngineError, match='not built for'):
            engine.infer_every_way([scenes[0][0]] * 2)


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('cudaErrorIllegalAddress', 'CUDA cannot be used again in this process: restart it'),
        ('cudaErrorLaunchFailure', 'check dmesg for Xid'),
    ],
)
def test_a_gpu_that_fails_at_work_ends_in_a_clear_error(
    fake_gpu: Any, tiny_model: Path, name: str, said: str
) -> None:
    with closing(opened(tiny_model)) as engine:
        fake_gpu.broken = name
        for _ in range(2):
            with pytest.raises(GpuError, match=f'GPU 0: .* gave {name}; .*{said}') as caught:
                engine.infer([scene()[0]])
            assert caught.value.name == name


def test_a_gpu_that_hangs_ends_in_a_clear_error(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('vidseg_ros.inference.cuda_runtime.WAIT_S', 0.05)
    with closing(opened(tiny_model)) as engine:
        fake_gpu.hangs = True
        with pytest.raises(GpuError, match=r'GPU 0 did not answer for 0 s; CUDA cannot be used'):
            engine.infer([scene()[0]])
    with pytest.raises(EngineError, match='the engine is closed'):
        engine.infer([scene()[0]])
    assert fake_gpu.leftovers, 'freeing might never return'


def test_a_gpu_that_hangs_while_the_engine_opens_is_left_alone(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its buffers nor the execution context, whose destructor might never return."""
    opened(tiny_model).close()
    gc.collect()
    destroyed = fake_gpu.destroyed_contexts
    assert destroyed == 2
    monkeypatch.setattr('vidseg_ros.inference.cuda_runtime.WAIT_S', 0.05)
    fake_gpu.hangs = True
    with pytest.raises(GpuError, match='GPU 0 did not answer'):
        opened(tiny_model)
    gc.collect()
    assert fake_gpu.destroyed_contexts == destroyed
    assert fake_gpu.leftovers


def test_too_little_memory_frees_what_was_taken(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.free_bytes = 48 * 64 * 3 - 1
    with pytest.raises(GpuError, match='the GPU is out of memory: fewer cameras in one batch'):
        opened(tiny_model)
    assert not fake_gpu.leftovers
    assert not list(Path(fake_gpu.cache).glob('*.plan'))


def test_the_device_is_chosen(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.names = ['Fake GPU', 'Fake GPU']
    with closing(open_tensorrt(tiny_model, EngineSettings(device=1, samples=SAMPLES))) as engine:
        assert engine.info.device == 'Fake GPU (GPU 1)'
    with pytest.raises(GpuError, match='there is no GPU of that number'):
        open_tensorrt(tiny_model, EngineSettings(device=2))


def test_the_real_precision_is_told(
    fake_gpu: Any, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake_gpu.real_precision = 'FP16'
    with caplog.at_level(logging.WARNING), closing(opened(tiny_model)) as engine:
        assert engine.info.precision == 'fp16'
        assert engine.precisions == {'fp16': 1}
    assert caplog.messages == ['the engine was to be fp32, but its layers are fp16']


def test_a_precision_that_is_not_told_is_no_complaint(
    fake_gpu: Any, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake_gpu.hides_types = True
    with caplog.at_level(logging.WARNING), closing(opened(tiny_model)) as engine:
        assert engine.info.precision == 'unknown'
    assert caplog.messages == []
