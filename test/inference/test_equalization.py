# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import onnxruntime
import pytest

from vidseg_ros.inference.equalization import equalize

Arrays = dict[str, np.ndarray]


def graph_of(nodes: list[onnx.NodeProto], weights: Arrays, channels: int = 2) -> onnx.ModelProto:
    """Return a model from x (1, 2, 4, 4) to y."""
    x = helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 2, 4, 4])
    y = helper.make_tensor_value_info('y', TensorProto.FLOAT, [1, channels, None, None])
    tensors = [numpy_helper.from_array(np.asarray(w, 'f4'), name) for name, w in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, 'test', [x], [y], tensors),
        opset_imports=[helper.make_opsetid('', 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def weights_of(model: onnx.ModelProto) -> Arrays:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def conv(source: str, weight: str, target: str, *bias: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node('Conv', [source, weight, *bias], [target], **attributes)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype('f4')
    result: np.ndarray = session.run(None, {'x': x})[0]
    return result


def columns(*values: float) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1, 1)


def maxima(**values: list[float]) -> Arrays:
    return {name: np.array(value, np.float32) for name, value in values.items()}


def test_between_a_dense_and_a_depthwise_convolution_by_hand() -> None:
    nodes = [
        conv('x', 'dense', 'a', 'bias'),
        helper.make_node('Relu', ['a'], ['b']),
        conv('b', 'depthwise', 'y', group=2),
    ]
    weights = {'dense': np.ones((2, 2, 1, 1)), 'bias': [4, 8], 'depthwise': columns(3, 5)}
    model = graph_of(nodes, weights)
    found = equalize(model, maxima(x=[1, 1], a=[8, 2], b=[6, 2], y=[1, 1]))
    # Shares of the range: 1 and 1/4 in a, 1 and 1/3 in b. The depthwise weights pay nothing.
    assert weights_of(found)['dense'].ravel() == pytest.approx([1, 1, 3, 3])
    assert weights_of(found)['bias'] == pytest.approx([4, 24])
    assert weights_of(found)['depthwise'].ravel() == pytest.approx([3, 5 / 3])
    np.testing.assert_allclose(run(found), run(model), rtol=1e-5)
    assert weights_of(model)['bias'].tolist() == [4, 8]


def test_a_dense_convolution_that_reads_shares_the_burden() -> None:
    weights = {'first': columns(1, 1), 'second': np.array([2.0, 8.0]).reshape(1, 2, 1, 1)}
    model = graph_of(
        [conv('x', 'first', 'a', group=2), conv('a', 'second', 'y')], weights, channels=1
    )
    found = equalize(model, maxima(x=[1, 1], a=[1, 0.25], y=[1]))
    # sqrt(1 / (2/8)) = 2 and sqrt((1/4) / 1) = 1/2
    assert weights_of(found)['first'].ravel() == pytest.approx([0.5, 2])
    assert weights_of(found)['second'].ravel() == pytest.approx([4, 4])
    np.testing.assert_allclose(run(found), run(model), rtol=1e-5)


def test_a_channel_that_is_always_zero_stays() -> None:
    weights = {'first': columns(1, 1), 'second': columns(1, 1)}
    model = graph_of(
        [conv('x', 'first', 'a', group=2), conv('a', 'second', 'y', group=2)], weights
    )
    found = weights_of(equalize(model, maxima(x=[1, 1], a=[5, 0], y=[1, 1])))
    assert found['first'].ravel().tolist() == found['second'].ravel().tolist() == [1, 1]


def test_sums_concatenations_and_transposed_convolutions_let_channels_pass() -> None:
    pool = {'kernel_shape': [2, 2], 'strides': [1, 1]}
    nodes = [
        conv('x', 'w0', 'a', group=2),
        conv('x', 'w1', 'b', group=2),
        helper.make_node('Add', ['a', 'b'], ['sum']),
        helper.make_node('MaxPool', ['sum'], ['pooled'], **pool),
        helper.make_node('AveragePool', ['a'], ['mean'], **pool),
        helper.make_node('Concat', ['pooled', 'mean'], ['both'], axis=1),
        helper.make_node('ConvTranspose', ['both', 'up', 'shift'], ['y']),
    ]
    up = np.random.default_rng(1).normal(size=(4, 3, 2, 2))
    weights = {'w0': columns(1, 2), 'w1': columns(3, 4), 'up': up, 'shift': [1, 2, 3]}
    model = graph_of(nodes, weights, channels=3)
    ranges = maxima(a=[1, 2], b=[3, 9], sum=[4, 10], pooled=[4, 10], mean=[1, 2])
    found = equalize(model, {**ranges, **maxima(x=[1, 1], both=[4, 10, 1, 2], y=[1, 1, 1])})
    before, after = weights_of(model), weights_of(found)
    np.testing.assert_allclose(run(found), run(model), rtol=1e-4, atol=1e-5)
    ratio = after['w0'].ravel() / before['w0'].ravel()
    assert ratio.tolist() != [1, 1]
    np.testing.assert_allclose(after['w1'].ravel() / before['w1'].ravel(), ratio, rtol=1e-6)
    np.testing.assert_allclose(
        after['up'][:2, 0, 0, 0] / before['up'][:2, 0, 0, 0], 1 / ratio, rtol=1e-5
    )


@pytest.mark.parametrize(
    'node',
    [
        helper.make_node('Sigmoid', ['a'], ['b']),
        helper.make_node('Add', ['a', 'constant'], ['b']),
        helper.make_node('Concat', ['a', 'a'], ['b'], axis=2),
    ],
)
def test_what_does_not_let_channels_pass_keeps_their_scale(node: onnx.NodeProto) -> None:
    weights = {'first': columns(1, 7), 'second': columns(5, 1), 'constant': columns(1, 2)}
    weights['constant'] = weights['constant'].reshape(1, 2, 1, 1)
    nodes = [conv('x', 'first', 'a', group=2), node, conv('b', 'second', 'y', group=2)]
    found = weights_of(
        equalize(graph_of(nodes, weights), maxima(x=[1, 1], a=[1, 7], b=[1, 9], y=[2, 3]))
    )
    for name, weight in weights.items():
        np.testing.assert_array_equal(found[name], np.asarray(weight, 'f4'))


def test_what_a_branch_reads_keeps_its_scale() -> None:
    out = helper.make_tensor_value_info('inner', TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node('Neg', ['b'], ['inner'])], 'branch', [], [out])
    nodes = [
        conv('x', 'first', 'a', group=2),
        helper.make_node('Relu', ['a'], ['b']),
        helper.make_node('Cast', ['one'], ['yes'], to=TensorProto.BOOL),
        helper.make_node('If', ['yes'], ['c'], then_branch=branch, else_branch=branch),
        conv('b', 'second', 'd', group=2),
        helper.make_node('Add', ['c', 'd'], ['y']),
    ]
    weights = {'first': columns(1, 7), 'second': columns(5, 1)}
    model = graph_of(nodes, {**weights, 'one': np.array(1)})
    found = equalize(model, maxima(x=[1, 1], a=[1, 7], b=[1, 7], c=[1, 1], d=[5, 7], y=[2, 3]))
    np.testing.assert_array_equal(run(found), run(model))
    for name, weight in weights.items():
        np.testing.assert_array_equal(weights_of(found)[name], np.asarray(weight, 'f4'))


def test_weights_of_two_convolutions_stay() -> None:
    nodes = [conv('x', 'shared', 'a', group=2), conv('a', 'shared', 'y', group=2)]
    model = graph_of(nodes, {'shared': columns(1, 7)})
    found = equalize(model, maxima(x=[1, 1], a=[1, 7], y=[1, 49]))
    assert weights_of(found)['shared'].ravel().tolist() == [1, 7]


def test_the_channels_of_a_network_get_ranges_alike(layered_model: Path) -> None:
    model = onnx.load(layered_model)
    names = ('network/spread', 'network/positive', 'network/same')
    ranges = {name: np.array([20, 800, 0.5], 'f4') for name in names}
    found = weights_of(equalize(model, ranges | maxima(**{'network/image': [20, 20, 20]})))
    # a depthwise convolution reads them, so all reach 800
    assert np.diag(found['network/first'][..., 0, 0]) * 20 == pytest.approx([800, 800, 800])
