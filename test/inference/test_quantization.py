# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Collection
from contextlib import closing
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, TensorProto
import pytest

from vidseg_ros.core.errors import ModelError
from vidseg_ros.core.resources import find_model
from vidseg_ros.evaluation.samples import footage_samples
from vidseg_ros.evaluation.true_labels import LabelDirectory
from vidseg_ros.inference import quantization
from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.quantization import (
    choose_float,
    convert_to_int8,
    quantizable,
    quantize,
    QuantizerError,
    Target,
)
from vidseg_ros.inference.tensorrt_options import BuildCancelled, Progress

LAYERS = ['network/Conv_first', 'network/Relu', 'network/Conv_depthwise']
COLORS = [
    np.full((24, 32, 3), color, np.uint8)
    for color in ((200, 40, 10), (40, 200, 10), (10, 40, 200), (90, 80, 99))
]
SAMPLES = [Sample(image=image) for image in COLORS]

targets = pytest.mark.parametrize('engine', ['onnxruntime', 'tensorrt'])


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@targets
def test_labels_stay_though_channels_differ(
    layered_model: Path, tmp_path: Path, engine: Target
) -> None:
    out, phases = tmp_path / 'int8.onnx', []

    def heard(progress: Progress) -> bool:
        phases.append(progress.phase)
        return True

    result = convert_to_int8(layered_model, out, COLORS, SAMPLES, engine=engine, on_progress=heard)
    assert result.agreement.pixels == 1
    assert (result.layers, result.floating) == (3, ())
    with closing(OnnxRuntimeEngine(out)) as opened:
        labels = opened.infer(COLORS).labels
        assert opened.info.precision == 'int8'
    assert labels[:, 0, 0].tolist() == [0, 1, 2, 2]
    assert list(dict.fromkeys(phases)) == ['ranges of channels', 'ranges of activations']
    assert read_model(out).parameters == read_model(layered_model).parameters == 24
    card = read_model(out).card
    assert card.precision == 'int8'
    assert card.recipe.endswith(
        f'--engine {engine}, calibrated on frames (4 frames), float layers: none'
    )


def test_without_equalization_the_small_channel_would_be_lost(layered_model: Path) -> None:
    """What the model is for: the largest value is 800, so a step is 3.1 and blue's 0.5 is none."""
    model = onnx.load(layered_model)
    names = ('image', 'spread', 'positive', 'same', 'logits')
    ranges = {f'network/{name}': (0.0, 800.0) for name in names}
    found = quantize(model, ranges, LAYERS[1:], 'onnxruntime')
    path = layered_model.with_name('lost.onnx')
    onnx.save(found, path)
    with closing(OnnxRuntimeEngine(path)) as engine:
        assert engine.infer([COLORS[2]]).labels[0, 0, 0] != 2


def test_tensorrt_gets_zero_points_of_zero_and_a_float_bias(
    layered_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'int8.onnx'
    convert_to_int8(layered_model, out, COLORS, SAMPLES)
    model = onnx.load(out)
    weights = weights_of(model)
    quantizers = [node for node in model.graph.node if node.op_type == 'QuantizeLinear']
    for node in quantizers:
        zero = weights[node.input[2]]
        assert (zero.dtype, np.count_nonzero(zero)) == (np.int8, 0)
    assert weights['network/bias'].dtype == np.float32
    [first] = [node for node in quantizers if node.input[0] == 'network/first']
    assert weights[first.input[1]].shape == (3,)  # a scale for each output channel
    # The ReLU reads the convolution itself: nothing is rounded between the two.
    [relu] = [node for node in model.graph.node if node.op_type == 'Relu']
    assert relu.input == ['network/spread']


def test_onnx_runtime_gets_uint8_activations_and_int8_weights(
    layered_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'int8.onnx'
    convert_to_int8(layered_model, out, COLORS, SAMPLES, engine='onnxruntime')
    model = onnx.load(out)
    kinds = {t.data_type for t in model.graph.initializer if t.name.endswith('_quantized')}
    assert kinds == {TensorProto.INT8, TensorProto.INT32}
    zeros = {node.input[2] for node in model.graph.node if node.op_type == 'QuantizeLinear'}
    assert {weights_of(model)[name].dtype for name in zeros} == {np.dtype(np.uint8)}
    assert 'Relu' not in {node.op_type for node in model.graph.node}  # the lower end of a range


def test_only_the_network_and_not_its_scores_become_int8(
    layered_model: Path, tmp_path: Path
) -> None:
    before = onnx.load(layered_model)
    assert quantizable(before) == LAYERS
    out = tmp_path / 'int8.onnx'
    convert_to_int8(layered_model, out, COLORS, SAMPLES)
    after = onnx.load(out)
    kept = [node for node in before.graph.node if not node.output[0].startswith('network/')]
    assert [node for node in after.graph.node if node.name.startswith('vidseg/')][0:1] == kept[:1]
    for node in kept:
        assert node in after.graph.node
    assert weights_of(after)['network/last'].dtype == np.float32
    assert [value.name for value in after.graph.output] == ['labels', 'confidence']
    assert onnx.load(layered_model) == before


def test_nodes_without_names_are_named(layered_model: Path, tmp_path: Path) -> None:
    model = onnx.load(layered_model)
    for node in model.graph.node:
        node.name = ''
    old = tmp_path / 'old.onnx'
    onnx.save(model, old)
    found = convert_to_int8(old, tmp_path / 'int8.onnx', COLORS, SAMPLES)
    assert (found.layers, found.agreement.pixels) == (3, 1)


def test_a_layer_that_is_chosen_float_has_no_quantised_input(
    layered_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, 'GOAL', 1.1)
    tried: list[frozenset[str]] = []
    real = quantization.quantize

    def spy(
        model: onnx.ModelProto, ranges: Any, layers: Collection[str], engine: Target
    ) -> onnx.ModelProto:
        found = real(model, ranges, layers, engine)
        tried.append(frozenset(layers))
        quantised = {
            node.output[0] for node in found.graph.node if node.op_type == 'DequantizeLinear'
        }
        for node in found.graph.node:
            if node.op_type == 'Conv':
                assert (node.name in layers) == bool(quantised.intersection(node.input))
        return found

    monkeypatch.setattr(quantization, 'quantize', spy)
    convert_to_int8(layered_model, tmp_path / 'int8.onnx', COLORS, SAMPLES)
    everything = frozenset(LAYERS)
    assert tried[:4] == [everything, *(everything - {name} for name in LAYERS)]


@pytest.mark.parametrize('last', [[], ['Softmax'], ['Transpose', 'Transpose']])
def test_scores_stay_float_behind_other_nodes(layered_model: Path, last: list[str]) -> None:
    model = onnx.load(layered_model)
    at = [node.name for node in model.graph.node].index('network/Conv_last')
    node, name = model.graph.node[at], 'network/logits'
    for number, operator in enumerate(last):
        node.output[0] = f'network/step{number}'
        node = onnx.helper.make_node(operator, [node.output[0]], [name], f'network/{operator}')
        model.graph.node.insert(at + 1 + number, node)
        node = model.graph.node[at + 1 + number]
    assert quantizable(model) == LAYERS


def model_named(name: str) -> onnx.ModelProto:
    return onnx.ModelProto(producer_name=name)


def test_the_parts_that_gain_most_stay_float(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, 'PARTS', 4)
    gains = {'a': 0.0, 'b': 0.01, 'c': 0.0, 'd': 0.0, 'e': 0.03, 'f': 0.0, 'g': 0.005, 'h': 0.0}
    tried, heard = [], []

    def attempt(floating: frozenset[str]) -> tuple[onnx.ModelProto, float]:
        tried.append(''.join(sorted(floating)))
        return model_named(tried[-1]), 0.945 + sum(gains[name] for name in floating)

    model, floating = choose_float(list(gains), attempt, heard.append)
    assert tried == ['', 'ab', 'cd', 'ef', 'gh', 'ef', 'abef']
    assert model.producer_name == 'abef'
    assert floating == frozenset('abef')
    assert heard == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])


def test_no_layer_stays_float_where_none_needs_to() -> None:
    model, floating = choose_float(
        ['a', 'b'], lambda _: (model_named('all'), 0.98), lambda _: None
    )
    assert (model.producer_name, floating) == ('all', frozenset())


def test_layers_do_not_stay_float_for_nothing() -> None:
    model, floating = choose_float(
        list('abcd'),
        lambda names: (model_named(str(len(names))), 0.9 - len(names) / 100),
        lambda _: None,
    )
    assert (model.producer_name, floating) == ('0', frozenset())


def test_a_conversion_can_be_cancelled(layered_model: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildCancelled, match='the conversion was cancelled: ranges of channels'):
        convert_to_int8(
            layered_model, tmp_path / 'x.onnx', COLORS, SAMPLES, on_progress=lambda _: False
        )
    assert not list(tmp_path.iterdir())


def test_what_cannot_become_int8(tiny_model: Path, layered_model: Path, tmp_path: Path) -> None:
    out = tmp_path / 'int8.onnx'
    with pytest.raises(ModelError, match=r'nothing in the network of .* may become int8'):
        convert_to_int8(tiny_model, out, COLORS, SAMPLES)
    convert_to_int8(layered_model, out, COLORS, SAMPLES)
    with pytest.raises(ModelError, match='is int8 already; convert the fp32 file'):
        convert_to_int8(out, tmp_path / 'again.onnx', COLORS, SAMPLES)
    with pytest.raises(QuantizerError, match="ONNX Runtime's quantiser failed: "):
        quantize(onnx.load(layered_model), {}, LAYERS, 'tensorrt')


def test_a_file_that_disagrees_is_not_kept(layered_model: Path, tmp_path: Path) -> None:
    # Red and green differ by less than a step of the ranges that the first frames have.
    near = [Sample(image=np.full((12, 16, 3), (100, 101, 0), np.uint8))]
    out = tmp_path / 'int8.onnx'
    bright = [np.full((12, 16, 3), 255, np.uint8)]
    with pytest.raises(ModelError, match=r'int8\.onnx is not kept: it agrees .* on 0\.00% of'):
        convert_to_int8(layered_model, out, bright, near)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@targets
def test_miou_on_real_frames_is_within_a_hundredth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Target
) -> None:
    """The conversion itself refuses to lose more; calibration and scores share no image."""
    data = os.environ.get('VIDSEG_DATA')
    if not data:
        pytest.skip('set VIDSEG_DATA to a folder with the CamVid data')
    monkeypatch.setattr(quantization, 'PARTS', 3)  # a fraction of the time
    camvid = Path(data) / 'camvid'
    frames = footage_samples(camvid / 'train', None, 'rgb8', most=6)
    labels = read_model(find_model('camvid_fddwnet')).card.labels
    truth = LabelDirectory(camvid / 'testannot', labels)
    checked = footage_samples(camvid / 'test', None, 'rgb8', truth, most=12)
    result = convert_to_int8(
        find_model('camvid_fddwnet'),
        tmp_path / 'int8.onnx',
        [item.image for item in frames],
        checked,
        engine=engine,
    )
    assert result.agreement.pixels > 0.96
    assert result.agreement.source_miou is not None
    assert result.agreement.artefact_miou is not None
    assert result.agreement.artefact_miou > result.agreement.source_miou - 0.01
    assert len(result.floating) < result.layers / 2
