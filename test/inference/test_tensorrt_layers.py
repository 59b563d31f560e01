# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
from collections import Counter
import json
from typing import Any

import pytest

from vidseg_ros.inference.tensorrt_layers import (
    count_precisions,
    describe_precision,
    precision_complaint,
)


def layer(form: str, kind: str = 'CaskConvolution', **more: Any) -> dict[str, Any]:
    return {'LayerType': kind, 'Inputs': [{'Format/Datatype': form}, {}], **more}


def test_layers_that_multiply_weights_are_counted() -> None:
    layers = [
        layer('Channel major FP16 format where channel % 8 == 0'),
        layer('Row major linear FP32'),
        layer('Row major linear UINT8'),
        layer('Thirty-two wide channel vectorized row major Int8 format'),
        layer('Half', kind='CaskGemmConvolution'),
        layer('INT8', kind='fused', ParameterType='Convolution'),
        {'LayerType': 'Convolution', 'Inputs': [{'Datatype': 'BFloat16'}]},
        {'LayerType': 'MatrixMultiply', 'Inputs': []},
        layer('Row major linear FP32', kind='Reformat'),
        'a name only, without detailed verbosity',
    ]
    counts = count_precisions(json.dumps({'Layers': layers}))
    assert counts == {'fp16': 2, 'fp32': 1, 'int8': 2, 'bf16': 1, 'uint8': 1, 'unknown': 1}


HIDDEN = 'N/A due to dynamic shapes'


@pytest.mark.parametrize(
    ('more', 'precision'),
    [
        ({'Weights': {'Type': 'Half', 'Count': 9408}}, 'fp16'),
        ({'Weights': {'Type': 'Int8', 'Count': 9}, 'TacticName': 'ampere_scudnn_128x64'}, 'int8'),
        ({'TacticName': 'sm80_xmma_fprop_implicit_gemm_interleaved_i8f32_i8i32_f32_nchw'}, 'int8'),
        ({'TacticName': 'sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc'}, 'fp16'),
        ({'TacticName': 'sm80_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwc'}, 'bf16'),
        ({'TacticName': 'sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwc'}, 'fp32'),
        ({'TacticName': 'ampere_scudnn_128x64_relu_interior_nn_v1'}, 'fp32'),
        ({'Weights': 'of another layout', 'TacticName': 'volta_hcudnn_256x64'}, 'fp16'),
        ({'TacticName': 'CaskConvolution'}, 'unknown'),
        ({}, 'unknown'),
    ],
)
def test_where_formats_are_not_told_weights_and_kernel_tell(
    more: dict[str, Any], precision: str
) -> None:
    assert count_precisions(json.dumps({'Layers': [layer(HIDDEN, **more)]})) == {precision: 1}


def test_what_is_unknown_is_no_complaint() -> None:
    assert not precision_complaint(Counter(unknown=9), 'fp16')
    assert not precision_complaint(Counter(unknown=9, fp16=1), 'fp16')
    assert 'its layers are unknown (9 of 10 layers; fp32 1)' in precision_complaint(
        Counter(unknown=9, fp32=1), 'fp16'
    )


@pytest.mark.parametrize('text', ['', 'no JSON', '[]', '{}', '{"Layers": ["a", "b"]}'])
def test_a_text_that_says_nothing(text: str) -> None:
    assert not count_precisions(text)
    assert describe_precision(Counter()) == 'unknown'
    assert not precision_complaint(Counter(), 'fp16')


def test_for_people() -> None:
    assert describe_precision(Counter(fp16=3)) == 'fp16'
    mixed = Counter(int8=52, fp16=8)
    assert describe_precision(mixed) == 'int8 (52 of 60 layers; fp16 8)'
    assert not precision_complaint(mixed, 'int8')
    assert precision_complaint(mixed, 'fp16') == (
        'the engine was to be fp16, but its layers are int8 (52 of 60 layers; fp16 8)'
    )
