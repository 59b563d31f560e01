# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The contract that every engine in the table must pass."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidseg_ros.core.errors import EngineError, ModelError
from vidseg_ros.core.label_map import resize_labels
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.resources import find_model
from vidseg_ros.inference.engine import create_engine, ENGINES
from vidseg_ros.inference.model_file import CONFIDENCE, INPUT, LABELS

engines = pytest.mark.parametrize('kind', sorted(ENGINES))


@pytest.fixture(autouse=True)
def _gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT runs on a fake GPU here, ONNX Runtime's CUDA on the CPU: all else is ours."""
    kind = request.getfixturevalue('kind') if 'kind' in request.fixturenames else None
    if kind == 'onnxruntime-cuda':
        request.getfixturevalue('fake_cuda_provider')
    if kind == 'tensorrt':
        request.getfixturevalue('fake_gpu')
        noise = np.random.default_rng(0).integers(0, 256, (1, 12, 16, 3), np.uint8)
        streets = 'vidseg_ros.inference.tensorrt_builder.street_frames'  # drawing them takes long
        monkeypatch.setattr(streets, lambda _: list(noise))


def _blocks(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame of one-coloured blocks (4x4 network pixels each) and its labels 12x16."""
    ids = np.random.default_rng(seed).integers(0, 3, (3, 4)).astype(np.uint8)
    image = np.full((3, 4, 3), 20, np.uint8)
    image[np.arange(3)[:, None], np.arange(4), ids] = 230
    enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)
    return enlarged, ids.repeat(4, 0).repeat(4, 1)


@engines
def test_labels_of_a_frame_at_network_size_are_exact(kind: str, tiny_model: Path) -> None:
    image, truth = _blocks(12, 16)
    with closing(create_engine(kind, tiny_model)) as engine:
        prediction = engine.infer([image])
    assert prediction.labels.dtype == np.uint8
    assert prediction.confidence is None
    np.testing.assert_array_equal(prediction.labels, truth[None])


@engines
@pytest.mark.parametrize('size', [(48, 64), (12, 16), (36, 32)])
def test_frames_of_any_size_give_labels_at_network_size(
    kind: str, tiny_model: Path, size: tuple[int, int]
) -> None:
    image, truth = _blocks(*size)
    with closing(create_engine(kind, tiny_model)) as engine:
        labels = engine.infer([image]).labels
    assert labels.shape == (1, 12, 16)
    assert (labels[0] == truth).mean() > 0.75  # block edges blend
    np.testing.assert_array_equal(labels[0, 2::4, 2::4], truth[2::4, 2::4])


@engines
def test_a_batch_equals_its_frames_one_by_one(kind: str, tiny_model: Path) -> None:
    images = [_blocks(48, 64, seed)[0] for seed in range(3)]
    with closing(create_engine(kind, tiny_model)) as engine:
        batch = engine.infer(images, confidence=True)
        singles = [engine.infer([image], confidence=True) for image in images]
    assert batch.confidence is not None
    for index, single in enumerate(singles):
        np.testing.assert_array_equal(batch.labels[index], single.labels[0])
        assert single.confidence is not None
        np.testing.assert_array_equal(batch.confidence[index], single.confidence[0])


@engines
def test_confidence_is_the_maximum_of_the_softmax(kind: str, tiny_model: Path) -> None:
    image = np.empty((12, 16, 3), np.uint8)
    image[:] = (20, 10, 0)  # logits 2, 1, 0 after division by std 10
    with closing(create_engine(kind, tiny_model)) as engine:
        prediction = engine.infer([image], confidence=True)
    odds = np.exp([2.0, 1.0, 0.0])
    assert prediction.confidence is not None
    assert prediction.confidence.dtype == np.uint8
    np.testing.assert_array_equal(prediction.confidence, round(255 * odds[0] / odds.sum()))


@engines
def test_results_belong_to_the_caller(kind: str, tiny_model: Path) -> None:
    with closing(create_engine(kind, tiny_model)) as engine:
        first = engine.infer([_blocks(12, 16, 1)[0]]).labels
        kept = first.copy()
        engine.infer([_blocks(12, 16, 2)[0]])
    np.testing.assert_array_equal(first, kept)


@engines
def test_input_frames_are_not_changed_and_may_be_read_only(kind: str, tiny_model: Path) -> None:
    image, _ = _blocks(48, 64)
    before = image.copy()
    image.setflags(write=False)
    with closing(create_engine(kind, tiny_model)) as engine:
        engine.infer([image, image])
    np.testing.assert_array_equal(image, before)


@engines
@pytest.mark.parametrize('size', [(48, 64), (12, 16), (6, 8)])
def test_channels_may_lie_in_memory_the_other_way_round(
    kind: str, tiny_model: Path, size: tuple[int, int]
) -> None:
    plain, reversed_view = (_blocks(*size, seed)[0] for seed in range(2))
    reversed_view = np.ascontiguousarray(reversed_view[..., ::-1])[..., ::-1]
    with closing(create_engine(kind, tiny_model)) as engine:
        expected = engine.infer([plain, reversed_view.copy(order='C')]).labels
        found = engine.infer([plain, reversed_view]).labels
    assert reversed_view.strides[2] < 0
    assert (expected[0] != expected[1]).any()
    np.testing.assert_array_equal(found, expected)


@engines
def test_card_and_info_are_filled(kind: str, tiny_model: Path) -> None:
    with closing(create_engine(kind, tiny_model)) as engine:
        assert engine.card.labels.names == ('red', 'green', 'blue')
        assert engine.has_confidence
        assert engine.info.name == kind
        info = engine.info
        assert all((info.version, info.device, info.precision))
        assert not info.note


@engines
@pytest.mark.parametrize(
    ('frames', 'message'),
    [
        ([], 'no frames'),
        ([np.zeros((12, 16), np.uint8)], r'must be uint8 \(H, W, 3\)'),
        ([np.zeros((12, 16, 3), np.float32)], r'must be uint8 \(H, W, 3\)'),
        ([np.zeros((0, 16, 3), np.uint8)], r'must be uint8 \(H, W, 3\)'),
        ([np.zeros((12, 16, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)], 'one size'),
    ],
)
def test_bad_frames_are_refused(
    kind: str, tiny_model: Path, frames: list[np.ndarray], message: str
) -> None:
    with (
        closing(create_engine(kind, tiny_model)) as engine,
        pytest.raises(EngineError, match=message),
    ):
        engine.infer(frames)


@engines
def test_a_closed_engine_says_so_and_closes_twice(kind: str, tiny_model: Path) -> None:
    engine = create_engine(kind, tiny_model)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match='closed'):
        engine.infer([np.zeros((12, 16, 3), np.uint8)])


@engines
def test_a_missing_model_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'no model file .*absent\.onnx'):
        create_engine(kind, tmp_path / 'absent.onnx')


def test_an_unknown_engine_is_refused_with_the_choices(tiny_model: Path) -> None:
    with pytest.raises(EngineError, match='onnxruntime'):
        create_engine('abacus', tiny_model)


@engines
def test_shrinking_before_the_graph_changes_next_to_nothing(kind: str, data_dir: Path) -> None:
    """Any engine against the bare graph on camera-sized real frames: 99 % equal, mIoU 0.1."""
    import onnxruntime  # noqa: PLC0415  # the reference here, whatever engine is tested

    path = find_model('camvid_fddwnet')
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    video = cv2.VideoCapture(str(data_dir / 'dashcam' / 'project_video_cut.mp4'))
    frames = [video.read()[1][..., ::-1] for _ in range(3)]
    camvid = sorted((data_dir / 'camvid' / 'test').glob('*.png'))[::60]
    direct, engined = Confusion(11), Confusion(11)
    with closing(create_engine(kind, path)) as engine:
        for frame in frames:
            image = np.ascontiguousarray(frame)
            expected, _ = session.run([LABELS, CONFIDENCE], {INPUT: image[None]})
            assert (engine.infer([image]).labels == expected).mean() >= 0.99
        for name in camvid:
            image = cv2.cvtColor(cv2.imread(str(name)), cv2.COLOR_BGR2RGB)
            image = cv2.resize(image, (960, 720), interpolation=cv2.INTER_CUBIC)
            truth = cv2.imread(str(data_dir / 'camvid' / 'testannot' / name.name), 0)
            truth[truth >= 11] = 255
            (bare,) = session.run([LABELS], {INPUT: image[None]})
            for confusion, labels in ((direct, bare), (engined, engine.infer([image]).labels)):
                confusion.add(truth, resize_labels(labels[0], truth.shape))
    assert abs(100 * direct.miou() - 100 * engined.miou()) <= 0.1
