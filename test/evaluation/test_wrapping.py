# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Foreign networks of every kind become model files that say the same."""

from collections.abc import Callable
from contextlib import closing
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import TensorProto
import pytest

from vidseg_ros.core.errors import EngineError, ModelError, OutputError
from vidseg_ros.core.labels import LabelSet
from vidseg_ros.evaluation import wrapping
from vidseg_ros.evaluation.wrapping import wrap_model
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.wrap_settings import WrapSettings

Foreign = Callable[..., Path]
LABELS = LabelSet(names=('red', 'green', 'blue'), colors=((255, 0, 0), (0, 255, 0), (0, 0, 255)))
MEAN, STD = (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)
SETTINGS: dict[str, Any] = {'classes': LABELS, 'mean': MEAN, 'std': STD}


def frames(count: int = 3) -> list[NDArray[np.uint8]]:
    """Return frames (48, 64, 3) of one-coloured 8x8 blocks; exact at 12x16 and at half of it."""
    small = np.random.default_rng(7).integers(0, 256, (count, 6, 8, 3), np.uint8)
    return list(small.repeat(8, axis=1).repeat(8, axis=2))


def expected(frame: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the (12, 16) ids by the definition of the foreign network."""
    numbers = (frame[::4, ::4] / 255 - MEAN) / STD
    return np.asarray(numbers.argmax(axis=-1))


def segment(model: Path, images: list[NDArray[np.uint8]], *, confidence: bool = False) -> Any:
    with closing(OnnxRuntimeEngine(model)) as engine:
        return engine.infer(images, confidence=confidence)


VARIANTS: dict[str, dict[str, Any]] = {
    'plain': {},
    'probabilities': {'gives': 'probabilities'},
    'ids': {'gives': 'ids'},
    'ids int32 with a channel': {'gives': 'ids', 'ids': (TensorProto.INT32, True)},
    'ids float': {'gives': 'ids', 'ids': (TensorProto.FLOAT, False)},
    'ids float channel last': {
        'gives': 'ids',
        'ids': (TensorProto.FLOAT, True),
        'layout': 'nhwc',
    },
    'ids uint8 at half size': {'gives': 'ids', 'ids': (TensorProto.UINT8, True), 'stride': 2},
    'nhwc': {'layout': 'nhwc'},
    'nhwc in, nchw out': {'layout': 'nhwc', 'out_layout': 'nchw'},
    'half size': {'stride': 2},
    'free size': {'size': ('H', 'W')},
    'fixed batch': {'batch': 1},
    'one image only': {'batch': 1, 'baked': True},
    'one image only, says any number': {'baked': True},
    'one image only, ids': {'batch': 1, 'baked': True, 'gives': 'ids'},
    'half precision': {'half': True},
    'opset 12': {'opset': 12},
    'opset 18': {'opset': 18},
    'two outputs': {'extra': True},
}


@pytest.mark.parametrize('variant', VARIANTS.values(), ids=VARIANTS)
def test_a_wrapped_network_says_the_same(
    foreign: Foreign, tmp_path: Path, variant: dict[str, Any]
) -> None:
    source, target = foreign(**variant), tmp_path / 'models' / 'mine.onnx'
    settings = WrapSettings(
        **SETTINGS,
        size=(12, 16) if 'size' in variant else None,
        output='result' if 'extra' in variant else None,
    )
    images = frames()
    agreement = wrap_model(source, target, settings, images)
    assert (agreement.pixels, agreement.miou) == (1.0, 1.0)
    assert agreement.classes == LABELS.names
    result = segment(target, images)  # all at once
    for image, labels in zip(images, result.labels, strict=True):
        if variant.get('stride') != 2 or variant.get('gives') == 'ids':
            np.testing.assert_array_equal(labels, expected(image))
        else:  # logits between two blocks are a mixture
            assert (labels == expected(image)).mean() > 0.7
    assert read_model(target).has_confidence == (variant.get('gives') != 'ids')
    assert [path.name for path in target.parent.iterdir()] == ['mine.onnx']


@pytest.mark.parametrize('gives', ['logits', 'probabilities'])
def test_the_confidence_is_the_highest_probability(
    foreign: Foreign, tmp_path: Path, gives: str
) -> None:
    target = tmp_path / 'mine.onnx'
    color = np.array([140, 60, 40], np.uint8)
    image = np.broadcast_to(color, (48, 64, 3)).copy()
    wrap_model(foreign(gives=gives), target, WrapSettings(**SETTINGS), [image])
    logits = 4 * (color / 255 - MEAN) / STD
    probability = np.exp(logits).max() / np.exp(logits).sum()
    assert 0.4 < probability < 0.9
    confidence = segment(target, [image], confidence=True).confidence
    assert confidence.min() == confidence.max() == round(255 * probability)


def test_a_probability_above_one_is_full_confidence(foreign: Foreign, tmp_path: Path) -> None:
    """Averaged windows or float16 may add up to a little more; 256 would be 0 in uint8."""
    source, target = foreign(gives='probabilities'), tmp_path / 'mine.onnx'
    model = onnx.load(source)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1.005), 'more'))
    model.graph.node[-1].output[0] = 'sum_of_one'
    model.graph.node.append(onnx.helper.make_node('Mul', ['sum_of_one', 'more'], ['result']))
    onnx.save(model, source)
    red = np.full((48, 64, 3), (255, 0, 0), np.uint8)
    wrap_model(source, target, WrapSettings(**SETTINGS), [red])
    result = segment(target, [red], confidence=True)
    assert not result.labels.any()
    assert result.confidence.min() == result.confidence.max() == 255


def test_the_confidence_can_be_left_out(foreign: Foreign, tmp_path: Path) -> None:
    target = tmp_path / 'mine.onnx'
    wrap_model(foreign(), target, WrapSettings(**SETTINGS, confidence=False), frames())
    assert not read_model(target).has_confidence


def test_colour_order_and_scale_are_the_networks_own(foreign: Foreign, tmp_path: Path) -> None:
    """Numbers from -1 to 1, blue first."""
    target = tmp_path / 'mine.onnx'
    settings = WrapSettings(
        classes=LABELS, mean=(1, 1, 1), std=(1, 1, 1), scale=1 / 127.5, order='bgr8'
    )
    images = frames()
    wrap_model(foreign(), target, settings, images)
    assert read_model(target).card.input_order == 'bgr8'
    np.testing.assert_array_equal(
        segment(target, images).labels[0], images[0][::4, ::4].argmax(axis=-1)
    )


def test_the_card_says_where_it_comes_from(foreign: Foreign, tmp_path: Path) -> None:
    source, target = foreign('theirs.onnx', half=True), tmp_path / 'mine.onnx'
    wrap_model(source, target, WrapSettings(**SETTINGS, licence='MIT'), frames())
    card = read_model(target).card
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert (card.name, card.network, card.licence) == ('mine', 'theirs', 'MIT')
    assert card.recipe == f'vidseg inspect --wrap theirs.onnx (SHA-256 {digest})'
    assert (card.precision, card.input_size, card.labels) == ('fp16', (12, 16), LABELS)
    assert card.datasets == card.scores == ()


def test_weights_in_a_file_of_their_own_come_along(foreign: Foreign, tmp_path: Path) -> None:
    model = onnx.load(foreign())
    source, target = tmp_path / 'apart' / 'foreign.onnx', tmp_path / 'mine.onnx'
    source.parent.mkdir()
    onnx.save(model, source, save_as_external_data=True, location='weights.bin', size_threshold=0)
    assert (source.parent / 'weights.bin').exists()
    wrap_model(source, target, WrapSettings(**SETTINGS), frames())
    alone = target.rename(tmp_path / 'apart' / 'moved.onnx')
    for rest in ('foreign.onnx', 'weights.bin'):
        (source.parent / rest).unlink()
    np.testing.assert_array_equal(segment(alone, frames()).labels[1], expected(frames()[1]))


def test_one_frame_and_frames_of_several_sizes_will_do(foreign: Foreign, tmp_path: Path) -> None:
    target, settings = tmp_path / 'mine.onnx', WrapSettings(**SETTINGS)
    assert wrap_model(foreign(), target, settings, frames(1)).pixels == 1.0
    several = [frames()[0], frames()[1][:24], frames()[2][:, :32]]
    assert wrap_model(foreign(), target, settings, several).pixels == 1.0


def test_a_file_that_disagrees_gets_no_name(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / 'models' / 'mine.onnx'
    wrap_model(foreign(), target, WrapSettings(**SETTINGS), frames())
    before = target.read_bytes()

    def wrong(*args: Any, **kwargs: Any) -> onnx.ModelProto:
        model = wrap(*args, **kwargs)
        for tensor in model.graph.initializer:
            if tensor.name == 'vidseg.mean':
                changed = np.array([100, 0, 0], np.float32).reshape(1, 3, 1, 1)
                tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
        return model

    wrap = wrapping.wrap
    monkeypatch.setattr(wrapping, 'wrap', wrong)
    with pytest.raises(ModelError, match=r'agree on \d+\.\d+% of the pixels .* 99% are needed'):
        wrap_model(foreign(), target, WrapSettings(**SETTINGS), frames())
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ['mine.onnx']


def test_a_size_that_the_network_does_not_accept(foreign: Foreign, tmp_path: Path) -> None:
    source = foreign(size=('H', 'W'), batch=1)
    model = onnx.load(source)
    shape = onnx.numpy_helper.from_array(np.array([1, 3, 12, 16]), 'shape')
    model.graph.initializer.append(shape)
    model.graph.node[0].input[0] = 'shaped'
    model.graph.node.insert(0, onnx.helper.make_node('Reshape', ['pixels', 'shape'], ['shaped']))
    onnx.save(model, source)
    with pytest.raises(EngineError, match=r'fails on an image of 9 x 9 .*choose one .*\(size\)'):
        wrap_model(source, tmp_path / 'm.onnx', WrapSettings(**SETTINGS, size=(9, 9)), frames())


def test_an_id_without_a_name_is_noticed_on_any_frame(foreign: Foreign, tmp_path: Path) -> None:
    two = LabelSet(names=LABELS.names[:2], colors=LABELS.colors[:2])
    red, blue = (np.full((48, 64, 3), color, np.uint8) for color in ([255, 0, 0], [0, 0, 255]))
    settings = WrapSettings(classes=two, mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(ModelError, match='ids from 2 to 2, but the 2 names are those of 0 to 1'):
        wrap_model(foreign(gives='ids'), tmp_path / 'm.onnx', settings, [red, red, blue])


def test_the_original_is_never_replaced(foreign: Foreign) -> None:
    source = foreign()
    with pytest.raises(OutputError, match='would replace the original'):
        wrap_model(source, source, WrapSettings(**SETTINGS), frames())


def test_a_target_that_cannot_be_written(foreign: Foreign, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match=r'cannot write .*choose another --out'):
        wrap_model(foreign(), tmp_path / 'file' / 'm.onnx', WrapSettings(**SETTINGS), frames())
