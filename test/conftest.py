# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all tests."""

from collections.abc import Callable
from functools import cache
from importlib import util
import os
from pathlib import Path
import shutil
import sys
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import onnxruntime
import pytest

from vidseg_ros.core.labels import LabelSet
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference import cuda_runtime, engine
from vidseg_ros.inference.model_builder import build_model
from vidseg_ros.inference.model_file import OPSET


def _color_model(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> Path:
    """Write a model file whose classes are red (0), green (1) and blue (2), 12x16, rgb8.

    Args:
        path: The file.
        nodes: From ``image``, colours divided by 10, to ``logits``, both (N, 3, 12, 16).
        weights: Initialisers by name.
    """
    names = ('red', 'green', 'blue')
    card = ModelCard(
        name=path.stem,
        network='1x1 convolutions',
        labels=LabelSet(names=names, colors=((255, 0, 0), (0, 255, 0), (0, 0, 255))),
        input_order='rgb8',
        input_size=(12, 16),
        precision='fp32',
        licence='Apache-2.0',
        recipe='test/conftest.py',
        datasets=(),
        scores=(),
    )
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['N', 3, 12, 16])],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['N', 3, 12, 16])],
        [numpy_helper.from_array(array.astype('f4'), name) for name, array in weights.items()],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)])
    onnx.save(build_model(network, card, mean=(0, 0, 0), std=(10, 10, 10)), path)
    return path


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file whose labels are known: the strongest channel of each pixel.

    Classes red (0), green (1) and blue (2), network size 12x16 (height, width), colour order
    rgb8. Frames made of one-coloured 4x4 blocks keep exact labels when 48x64 or 12x16 large.
    """
    node = helper.make_node('Conv', ['image', 'weight'], ['logits'])
    weights = {'weight': np.eye(3).reshape(3, 3, 1, 1)}
    return _color_model(tmp_path_factory.mktemp('models') / 'tiny.onnx', [node], weights)


@pytest.fixture(scope='session')
def layered_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `tiny_model` in three layers, between which green is 40 times as large, blue 1/40.

    One scale for all three channels, as int8 has it, would lose the blue one.
    """
    nodes = [
        helper.make_node('Conv', ['image', 'first', 'bias'], ['spread'], 'Conv_first'),
        helper.make_node('Relu', ['spread'], ['positive'], 'Relu'),
        helper.make_node('Conv', ['positive', 'depthwise'], ['same'], 'Conv_depthwise', group=3),
        helper.make_node('Conv', ['same', 'last'], ['logits'], 'Conv_last'),
    ]
    spread = np.diag([1, 40, 1 / 40]).reshape(3, 3, 1, 1)
    weights = {
        'first': spread,
        'bias': np.zeros(3),
        'depthwise': np.ones((3, 1, 1, 1)),
        'last': np.diag([1, 1 / 40, 40]).reshape(3, 3, 1, 1),
    }
    return _color_model(tmp_path_factory.mktemp('models') / 'layered.onnx', nodes, weights)


@pytest.fixture(scope='session')
def chromium() -> str | None:
    """Return the system's Chromium; None: the one that playwright installed. Skips without one."""
    sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    if found := shutil.which('chromium') or shutil.which('google-chrome'):
        return found
    with sync_api.sync_playwright() as playwright:
        if Path(playwright.chromium.executable_path).is_file():
            return None
    reason = 'no Chromium: apt install chromium, or make browser'
    if 'playwright' in os.environ.get('VIDSEG_REQUIRE', '').split():
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def _load(name: str) -> Any:
    """Load a module of this folder, which is no package."""
    spec = util.spec_from_file_location(f'vidseg_{name}', Path(__file__).with_name(f'{name}.py'))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_gpu(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Put a GPU, cuda-python and TensorRT in place, and an empty cache of engines.

    An indirect parameter gives the version of TensorRT, one of `tensorrt_names.json`.
    """
    version = getattr(request, 'param', '11.4.0.106')
    cuda, tensorrt = _load('fake_gpu'), _load('fake_tensorrt')
    gpu = cuda.FakeGpu()
    trt = tensorrt.FakeTensorRt(gpu, version, cuda.NAMES[version])
    monkeypatch.setattr(cuda_runtime, '_broken_gpus', {})
    monkeypatch.setattr(engine, '_gpus_that_worked', set())
    monkeypatch.setitem(sys.modules, 'tensorrt', trt)
    monkeypatch.setitem(sys.modules, 'cuda.bindings.runtime', cuda.FakeCuda(gpu))
    gpu.cache = tmp_path / 'engines'
    monkeypatch.setenv('VIDSEG_ENGINE_CACHE', str(gpu.cache))
    return gpu


@pytest.fixture
def fake_cuda_provider(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let ONNX Runtime have CUDA, which runs on the CPU; return the providers asked for."""
    asked: list[Any] = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # untyped
        def __init__(
            self, model: Any, options: Any = None, providers: Any = None, **rest: Any
        ) -> None:
            asked.append(providers)
            self.cuda = providers is not None and len(providers) > 1
            super().__init__(model, options, providers=['CPUExecutionProvider'], **rest)

        def get_providers(self) -> list[str]:
            found: list[str] = super().get_providers()
            return ['CUDAExecutionProvider', *found] if self.cuda else found

    monkeypatch.setattr(cuda_runtime, '_broken_gpus', {})
    available = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: available)
    monkeypatch.setattr(onnxruntime, 'InferenceSession', Session)
    return asked


@pytest.fixture
def foreign(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes an ONNX file that was not made for vidseg; see `foreign_network`."""

    def write(name: str = 'foreign.onnx', **variant: Any) -> Path:
        path = tmp_path / name
        onnx.save(foreign_network(**variant), path)
        return path

    return write


def foreign_network(  # noqa: PLR0913 (every way in which networks differ)
    *,
    gives: str = 'logits',
    layout: str = 'nchw',
    out_layout: str | None = None,
    batch: int | str = 'N',
    size: tuple[int | str, int | str] = (12, 16),
    stride: int = 1,
    opset: int = OPSET,
    half: bool = False,
    ids: tuple[int, bool] = (TensorProto.INT64, False),
    baked: bool = False,
    extra: bool = False,
    classes: int = 3,
) -> onnx.ModelProto:
    """Return a network whose class of each pixel is the input channel with the highest number.

    With more than three classes the weights are random.

    Args:
        gives: logits, probabilities or ids.
        layout: Axes of the input.
        out_layout: Axes of the output; as the input's if None.
        batch: 1, or a name where any number goes.
        size: Height and width of the input, or names where they are free.
        stride: Input pixels for one of the output.
        opset: Operator set.
        half: Whether input and weights are float16.
        ids: Element type of ids, and whether they have an axis of one channel.
        baked: Whether the graph itself, not only its input, can do with one image only.
        extra: Whether there is a second output, ``auxiliary``.
        classes: Number of classes.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    weight = np.eye(3) * 4 if classes == 3 else np.random.default_rng(0).normal(size=(classes, 3))
    weight = weight.astype(np.float16 if half else np.float32).reshape(classes, 3, 1, 1)
    weights = [numpy_helper.from_array(weight, 'weight')]
    last, out_last = layout == 'nhwc', (out_layout or layout) == 'nhwc'
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if last:
        steps.append(('Transpose', [], {'perm': [0, 3, 1, 2]}))
    if baked:
        for number, shape in enumerate(([1, 3, -1], [1, 3, *size])):
            weights.append(numpy_helper.from_array(np.array(shape, np.int64), f'shape{number}'))
            steps.append(('Reshape', [f'shape{number}'], {}))
    steps.append(('Conv', ['weight'], {}))
    if stride > 1:
        how = {'kernel_shape': [stride] * 2, 'strides': [stride] * 2}
        steps.append(('AveragePool', [], how))
    if gives == 'probabilities':
        steps.append(('Softmax', [], {'axis': 1}))
    if gives == 'ids':
        kind_out, channel = ids
        steps += [
            ('ArgMax', [], {'axis': 1, 'keepdims': int(channel)}),
            ('Cast', [], {'to': kind_out}),
        ]
    if out_last and (gives != 'ids' or ids[1]):
        steps.append(('Transpose', [], {'perm': [0, 2, 3, 1]}))
    nodes, at = [], 'pixels'
    for number, (operator, more, attributes) in enumerate(steps):
        to = 'result' if number == len(steps) - 1 else f'step{number}'
        nodes.append(helper.make_node(operator, [at, *more], [to], **attributes))
        at = to
    shape = [batch, *size, 3] if last else [batch, 3, *size]
    out_kind = ids[0] if gives == 'ids' else kind
    rank = 3 if gives == 'ids' and not ids[1] else 4
    outputs = [helper.make_tensor_value_info('result', out_kind, [None] * rank)]
    if extra:
        nodes.append(helper.make_node('GlobalMaxPool', ['pixels'], ['auxiliary']))
        outputs.append(helper.make_tensor_value_info('auxiliary', kind, [None] * 4))
    graph = helper.make_graph(
        nodes, 'foreign', [helper.make_tensor_value_info('pixels', kind, shape)], outputs, weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
