# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The real precision of a built engine, read back from its layers.

TensorRT may build something else than was asked for, and says so only here.
"""

from collections import Counter
from collections.abc import Mapping
import json
from typing import Any, Final

from vidseg_ros.inference.tensorrt_options import Precision

_NAMES: Final = (
    ('uint8', 'uint8'),
    ('int8', 'int8'),
    ('fp16', 'fp16'),
    ('half', 'fp16'),
    ('bf16', 'bf16'),
    ('bfloat16', 'bf16'),
    ('fp8', 'fp8'),
    ('fp32', 'fp32'),
    ('float', 'fp32'),
)
"""Words of the inspector, and what we call them; the first that fits counts."""

_KERNELS: Final = (
    ('bf16bf16', 'bf16'),
    ('e4m3e4m3', 'fp8'),
    ('i8i8', 'int8'),
    ('i8f16', 'int8'),
    ('i8f32', 'int8'),
    ('int8', 'int8'),
    ('f16f16', 'fp16'),
    ('fp16', 'fp16'),
    ('hcudnn', 'fp16'),
    ('f32f32', 'fp32'),
    ('fp32', 'fp32'),
    ('scudnn', 'fp32'),
    ('sgemm', 'fp32'),
)
"""The same in the name of a kernel, such as ``sm80_xmma_fprop_implicit_gemm_f16f16_f16f16``."""

_COSTLY: Final = ('conv', 'gemm', 'matrixmultiply', 'matmul')
"""Words in the type of a layer that multiplies weights: what a precision is chosen for."""


def count_precisions(description: str) -> Counter[str]:
    """Count the layers that multiply weights by their precision.

    Args:
        description: JSON of the engine inspector, with detailed profiling verbosity.

    Returns:
        Number of layers by precision: of the first input of each, else of its weights, else of
        its kernel; empty if the text says nothing.
    """
    try:
        plain = json.loads(description)
    except json.JSONDecodeError:
        return Counter()
    layers = plain.get('Layers', []) if isinstance(plain, dict) else []
    found: Counter[str] = Counter()
    for layer in layers:
        if isinstance(layer, dict) and _is_costly(layer):
            found[_precision(layer)] += 1
    return found


def _is_costly(layer: Mapping[str, Any]) -> bool:
    kinds = f'{layer.get("LayerType", "")} {layer.get("ParameterType", "")}'.lower()
    return any(word in kinds for word in _COSTLY)


def _precision(layer: Mapping[str, Any]) -> str:
    inputs, weights = layer.get('Inputs') or [{}], layer.get('Weights')
    first = inputs[0] if isinstance(inputs[0], dict) else {}
    places = (
        (first.get('Format/Datatype', first.get('Datatype')), _NAMES),
        (weights.get('Type') if isinstance(weights, dict) else None, _NAMES),
        (layer.get('TacticName'), _KERNELS),
    )
    found = (name for text, names in places for word, name in names if word in str(text).lower())
    return next(found, 'unknown')


def describe_precision(counts: Counter[str]) -> str:
    """Return the precision for people: ``fp16``, or ``int8 (52 of 60 layers; fp16 8)``."""
    if not counts:
        return 'unknown'
    (main, number), *rest = counts.most_common()
    if not rest:
        return main
    others = ', '.join(f'{name} {count}' for name, count in rest)
    return f'{main} ({number} of {counts.total()} layers; {others})'


def precision_complaint(counts: Counter[str], wanted: Precision) -> str:
    """Say that an engine is not what was asked for; '' if most layers of known precision are.

    Args:
        counts: Of `count_precisions`.
        wanted: Precision of the model file.
    """
    known = Counter({name: number for name, number in counts.items() if name != 'unknown'})
    if not known or known.most_common(1)[0][0] == wanted:
        return ''
    return f'the engine was to be {wanted}, but its layers are {describe_precision(counts)}'
