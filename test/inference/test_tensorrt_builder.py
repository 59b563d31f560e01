# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from contextlib import closing
import hashlib
import json
from pathlib import Path
import threading
from typing import Any

import numpy as np
import onnx
import pytest

from vidseg_ros.core.errors import EngineError, ModelError, ParameterError
from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.cuda_runtime import GpuError
from vidseg_ros.inference.engine_settings import EngineSettings
from vidseg_ros.inference.tensorrt_builder import open_tensorrt, shapes_of
from vidseg_ros.inference.tensorrt_cache import PlanCache
from vidseg_ros.inference.tensorrt_engine import TensorRtEngine
from vidseg_ros.inference.tensorrt_options import Progress, Shape

NOISE = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
SAMPLES = [Sample(image=image) for image in NOISE]


def run(model: Path, **settings: Any) -> TensorRtEngine:
    """Open the engine, run it once and close it."""
    with closing(open_tensorrt(model, EngineSettings(samples=SAMPLES, **settings))) as engine:
        engine.infer([NOISE[0]])
    return engine


def files(gpu: Any, suffix: str) -> list[Path]:
    return sorted(Path(gpu.cache).glob(f'*{suffix}'))


@pytest.mark.parametrize(
    ('cameras', 'size', 'shapes'),
    [
        (1, None, [(1, 12, 16)]),
        (3, None, [(1, 12, 16), (3, 12, 16)]),
        (1, (48, 64), [(1, 12, 16), (1, 48, 64)]),
        (6, (48, 64), [(1, 12, 16), (1, 48, 64), (6, 48, 64)]),
        (2, (12, 16), [(1, 12, 16), (2, 12, 16)]),
    ],
)
def test_what_is_built(cameras: int, size: Any, shapes: list[tuple[int, ...]]) -> None:
    assert shapes_of((12, 16), cameras, size) == tuple(Shape(*shape) for shape in shapes)


def test_built_once_then_out_of_the_cache(fake_gpu: Any, tiny_model: Path) -> None:
    run(tiny_model, size=(24, 32), cameras=2)
    run(tiny_model, size=(24, 32), cameras=2, build=False)
    assert fake_gpu.builds == 1
    (sidecar,) = files(fake_gpu, '.json')
    plain = json.loads(sidecar.read_text())
    assert plain['key'] | {'model_sha256': '', 'options': []} == {
        'model_sha256': '',
        'tensorrt': '11.4.0.106',
        'gpu': 'Fake GPU',
        'capability': '9.0',
        'precision': 'fp32',
        'shapes': [[1, 12, 16], [1, 24, 32], [2, 24, 32]],
        'slots': 2,
        'options': [],
    }
    assert 'STRONGLY_TYPED' in plain['key']['options'][0]
    about = plain['about']
    assert about['agreement']['pixels'] == 1.0
    assert about['agreement']['frames'] == 2
    assert about['checked_on'] == 'given frames'
    assert about['real_precision'] == {'fp32': 1}
    assert list(about['batching']) == ['(2, 24, 32)']


def test_one_frame_without_a_size_is_in_every_engine(fake_gpu: Any, tiny_model: Path) -> None:
    run(tiny_model, size=(24, 32))
    run(tiny_model)
    assert fake_gpu.builds == 1
    run(tiny_model, size=(48, 64))
    assert fake_gpu.builds == 2


def test_several_frames_without_a_size_are_built_at_network_size(
    fake_gpu: Any, tiny_model: Path
) -> None:
    run(tiny_model, size=(24, 32))
    engine = run(tiny_model, cameras=2)
    assert fake_gpu.builds == 2
    assert list(engine.batching) == [Shape(2, 12, 16)]


def test_an_engine_of_another_workspace_serves_as_well(fake_gpu: Any, tiny_model: Path) -> None:
    run(tiny_model, workspace_mib=64)
    run(tiny_model, build=False)
    (sidecar,) = files(fake_gpu, '.json')
    assert json.loads(sidecar.read_text())['about']['workspace_mib'] == 64
    run(tiny_model, workspace_mib=32, rebuild=True)
    assert fake_gpu.builds == 2
    assert json.loads(sidecar.read_text())['about']['workspace_mib'] == 32
    assert files(fake_gpu, '.cache')[0].read_bytes() == b'++'


def test_without_leave_to_build_the_command_is_named(fake_gpu: Any, tiny_model: Path) -> None:
    with pytest.raises(EngineError, match=r'no TensorRT .*: run vidseg build-engine .*tiny.onnx$'):
        run(tiny_model, build=False)
    with pytest.raises(EngineError, match=r'build-engine .*tiny.onnx --size 24x32 --frames 3$'):
        run(tiny_model, build=False, size=(24, 32), cameras=3)
    assert not fake_gpu.builds


def test_a_plan_for_several_cameras_serves_one(fake_gpu: Any, tiny_model: Path) -> None:
    run(tiny_model, size=(24, 32), cameras=3)
    taken = len(fake_gpu.context_pixels)
    assert taken == 2 + 2 + 1, 'two for frames one by one, of both sizes'
    run(tiny_model, size=(24, 32), build=False)
    assert len(fake_gpu.context_pixels) == 2 * taken
    run(tiny_model, size=(12, 16), rebuild=True)
    assert len(fake_gpu.context_pixels) == 2 * taken + 1
    assert fake_gpu.builds == 2
    (sidecar,) = [p for p in files(fake_gpu, '.json') if '"slots": 1' in p.read_text()]
    assert json.loads(sidecar.read_text())['key']['shapes'] == [[1, 12, 16]]


def make_foreign(gpu: Any) -> Path:
    """Make the only plan of the cache one of another version, which does not load."""
    (path,) = files(gpu, '.plan')
    plan = json.loads(path.read_bytes()) | {'version': '10.0.1'}
    sidecar = json.loads(path.with_suffix('.json').read_text())
    content = json.dumps(plan).encode()
    path.write_bytes(content)
    sidecar['plan_sha256'] = hashlib.sha256(content).hexdigest()
    path.with_suffix('.json').write_text(json.dumps(sidecar))
    return path


def test_a_plan_that_does_not_load_is_built_again(
    fake_gpu: Any, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tiny_model)
    path = make_foreign(fake_gpu)
    with pytest.raises(EngineError, match='run vidseg build-engine'):
        run(tiny_model, build=False)
    assert path.exists(), 'who may not build takes nothing away'
    caplog.clear()
    run(tiny_model)
    assert fake_gpu.builds == 2
    said = (
        f'{path} is passed over, it does not load: TensorRT 11.4.0.106 refuses the plan: '
        'Error Code 1: the plan has another version; '
    )
    assert len([text for text in caplog.messages if text.startswith(said)]) == 1
    run(tiny_model)
    assert fake_gpu.builds == 2


def test_what_another_process_put_in_place_of_a_refused_plan_is_used(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_model)
    (path,) = files(fake_gpu, '.plan')
    good = [(file, file.read_bytes()) for file in (path, path.with_suffix('.json'))]
    make_foreign(fake_gpu)
    lock = PlanCache.lock

    def replaced_meanwhile(*arguments: Any) -> Any:
        for file, content in good:
            file.write_bytes(content)
        return lock(*arguments)

    monkeypatch.setattr(PlanCache, 'lock', replaced_meanwhile)
    run(tiny_model)
    assert fake_gpu.builds == 1


@pytest.mark.parametrize(
    'trouble',
    [
        {'free_bytes': 100},
        {'failures': {'context': 'it needs 3 GiB'}},
        {'failures': {'load': 'Cuda Runtime (out of memory)'}},
    ],
)
def test_a_gpu_that_fails_is_no_reason_to_build_again(
    fake_gpu: Any, tiny_model: Path, trouble: dict[str, Any]
) -> None:
    run(tiny_model)
    vars(fake_gpu).update(trouble)
    with pytest.raises(GpuError, match=r'out of memory|has no memory to run the plan'):
        run(tiny_model)
    assert fake_gpu.builds == 1
    assert len(files(fake_gpu, '.plan')) == 1
    assert not fake_gpu.leftovers


def test_an_engine_that_disagrees_is_not_kept(fake_gpu: Any, tiny_model: Path) -> None:
    fake_gpu.noise = 0.1
    with pytest.raises(ModelError, match='the engine of Fake GPU is not kept: it agrees with'):
        run(tiny_model)
    assert not files(fake_gpu, '.plan')
    assert not files(fake_gpu, '.json')
    assert not fake_gpu.leftovers


@pytest.mark.parametrize('height', [12, 24], ids=['network size', 'camera size'])
def test_frames_of_both_sizes_are_compared(fake_gpu: Any, tiny_model: Path, height: int) -> None:
    fake_gpu.noise, fake_gpu.noise_height = 0.1, height
    with pytest.raises(ModelError, match='the engine of Fake GPU is not kept'):
        run(tiny_model, size=(24, 32))
    assert not files(fake_gpu, '.plan')


@pytest.mark.parametrize('quicker', [True, False])
def test_a_batch_that_says_something_else_is_not_kept(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, *, quicker: bool
) -> None:
    times = iter([1, 2] if quicker else [2, 1])
    monkeypatch.setattr('vidseg_ros.inference.tensorrt_engine._best_s', lambda _: next(times))
    fake_gpu.batch_noise = 0.1
    with pytest.raises(ModelError, match=r'3 frames in one batch have 9\d\.\d\d% of the labels'):
        run(tiny_model, cameras=3)
    assert not files(fake_gpu, '.plan')
    assert not fake_gpu.leftovers


@pytest.mark.parametrize('profile', range(5))
def test_every_profile_is_compared(fake_gpu: Any, tiny_model: Path, profile: int) -> None:
    """Two for frames of network size, two for those of the camera's, one for the batch."""
    fake_gpu.profile_noise = {profile: 0.2}
    with pytest.raises(ModelError, match=r'is not kept|buffers 2 have|in one batch have'):
        run(tiny_model, cameras=2, size=(24, 32))
    assert not files(fake_gpu, '.plan')
    assert not fake_gpu.leftovers


def test_an_engine_out_of_the_cache_is_compared_on_the_frames_given(
    fake_gpu: Any, tiny_model: Path
) -> None:
    run(tiny_model)
    more = [Sample(image=image) for image in (*NOISE, NOISE[0, ::-1])]
    with closing(open_tensorrt(tiny_model, EngineSettings(samples=more))) as engine:
        assert engine.file == files(fake_gpu, '.plan')[0]
    about = json.loads(files(fake_gpu, '.json')[0].read_text())['about']
    assert about['agreement']['frames'] == 3
    assert about['build_s'] >= 0
    fake_gpu.noise = 0.1
    with pytest.raises(ModelError, match='is not kept'):
        run(tiny_model)
    assert not files(fake_gpu, '.plan')
    assert fake_gpu.builds == 1
    assert not fake_gpu.leftovers


def test_without_frames_it_is_checked_on_made_up_streets(
    fake_gpu: Any, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        'vidseg_ros.inference.tensorrt_builder.street_frames',
        lambda order: [asked.append(order), *NOISE][1:],
    )
    open_tensorrt(tiny_model, EngineSettings()).close()
    assert asked == ['rgb8']
    about = json.loads(files(fake_gpu, '.json')[0].read_text())['about']
    assert about['checked_on'] == 'made-up streets'


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'cameras': 9}, '1 to 8 frames'),
        ({'size': (0, 16)}, 'at least one pixel'),
        ({'workspace_mib': 0}, 'workspace must be 1 MiB or more'),
    ],
)
def test_settings_that_cannot_be_built(
    fake_gpu: Any, tiny_model: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        run(tiny_model, **settings)
    assert not fake_gpu.builds


def of_precision(model: Path, folder: Path, precision: str) -> Path:
    """Return the same model, with a card that says another precision."""
    changed = onnx.load(model)
    card = json.loads(changed.metadata_props[0].value) | {'precision': precision}
    onnx.helper.set_model_props(changed, {METADATA_KEY: json.dumps(card)})
    path = folder / f'{precision}.onnx'
    onnx.save(changed, path)
    return path


@pytest.mark.parametrize('fake_gpu', ['8.5.3.1', '10.3.0', '10.13.3.9'], indirect=True)
@pytest.mark.parametrize('precision', ['fp16', 'int8'])
def test_the_precision_is_that_of_the_model_file(
    fake_gpu: Any, tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    engine = run(of_precision(tiny_model, tmp_path, precision))
    assert engine.info.precision == precision
    assert fake_gpu.builds == 1


def test_a_precision_that_tensorrt_does_not_know(
    fake_gpu: Any, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match="precision 'bf16' cannot be built"):
        run(of_precision(tiny_model, tmp_path, 'bf16'))
    assert not fake_gpu.builds


def test_a_cancelled_build_leaves_nothing(fake_gpu: Any, tiny_model: Path) -> None:
    with pytest.raises(EngineError, match='the build was cancelled'):
        run(tiny_model, on_progress=lambda _: False)
    assert not files(fake_gpu, '.plan')
    assert fake_gpu.builds == 1


def test_of_two_that_want_it_one_builds(fake_gpu: Any, tiny_model: Path) -> None:
    phases: list[str] = []
    waits = threading.Event()

    def heard(progress: Progress) -> bool:
        phases.append(progress.phase)
        if progress.phase.startswith('waiting for another process'):
            waits.set()
        return True

    def build() -> None:
        second.start()
        assert waits.wait(15)

    second = threading.Thread(target=lambda: run(tiny_model, on_progress=heard))
    fake_gpu.on_build = build
    run(tiny_model)
    second.join(15)
    assert not second.is_alive()
    assert fake_gpu.builds == 1
    assert phases[0] == 'waiting for another process that builds this engine'
    assert phases[-1] == 'comparing with ONNX Runtime', 'what it finds is checked on its frames'
