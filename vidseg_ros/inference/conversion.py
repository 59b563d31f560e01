# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What every conversion of a model file begins and ends with, whatever its precision."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
import hashlib
from pathlib import Path

import onnx
from onnx import helper

from vidseg_ros.core.errors import ModelError, OutputError
from vidseg_ros.core.model_card import METADATA_KEY, ModelCard
from vidseg_ros.inference.agreement import Agreement, compare, require, Sample, TOLERANCES
from vidseg_ros.inference.model_file import read_model, replaced_when_whole
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine


def read_fp32(source: Path, target: Path) -> tuple[onnx.ModelProto, ModelCard]:
    """Read the model file to convert.

    Args:
        source: Model file in fp32.
        target: Where the converted one shall be.

    Raises:
        ModelError: If the source is no model file or not fp32.
        OutputError: If the target is the source.
    """
    card = read_model(source).card
    if card.precision != 'fp32':
        msg = f'{source} is {card.precision} already; convert the fp32 file that it was made of'
        raise ModelError(msg)
    if target.exists() and target.samefile(source):
        msg = f'{target} would replace the original; choose another --out'
        raise OutputError(msg)
    return onnx.load(source), card


def keep_if_it_agrees(  # noqa: PLR0913
    converted: onnx.ModelProto,
    source: Path,
    target: Path,
    samples: Iterable[Sample],
    *,
    precision: str,
    how: str,
) -> Agreement:
    """Write a converted model, and give it its name once it agrees with its source.

    Args:
        converted: Graph in the new precision; its card is replaced.
        source: What it was made of.
        target: Model file to write; an earlier one is replaced only by one that agrees.
        samples: At least one frame to compare the two on, in the colour order of the card.
        precision: Of ``converted``, a key of `TOLERANCES`.
        how: What else the card's recipe says of the conversion, such as options of `vidseg
            convert`; may be empty.

    Returns:
        How well the two agree.

    Raises:
        ModelError: If the two disagree.
        EngineError: If one of the two cannot run.
        OutputError: If the file cannot be written.
    """
    card = _card(read_model(source).card, source, precision, how)
    helper.set_model_props(converted, {METADATA_KEY: card.to_json()})
    with replaced_when_whole(target) as draft:
        onnx.save(converted, draft)
        with (
            closing(OnnxRuntimeEngine(draft)) as artefact,
            closing(OnnxRuntimeEngine(source)) as engine,
        ):
            agreement = compare(artefact, engine, samples)
        require(agreement, TOLERANCES[precision], str(target))
    return agreement


def is_network(node: onnx.NodeProto) -> bool:
    """Whether a node was part of the network that `build_model` got; it prefixes its names."""
    return node.output[0].startswith('network/') and not node.name.startswith('vidseg/')


def names_read_in_branches(node: onnx.NodeProto) -> set[str]:
    """Return the names that the graphs inside a node (If, Loop, Scan) read, their own included.

    A name that is also outside is the same tensor there: ONNX has no shadowing.
    """
    names = set[str]()
    for attribute in node.attribute:
        inner = [attribute.g] if attribute.HasField('g') else []
        for graph in (*inner, *attribute.graphs):
            names.update(value.name for value in graph.output)
            for child in graph.node:
                names.update(child.input)
                names |= names_read_in_branches(child)
    return names


def _card(card: ModelCard, source: Path, precision: str, how: str) -> ModelCard:
    """Return the card of the converted file; scores stay, and say what they were measured on."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    made = (
        f'vidseg convert {source.name} (SHA-256 {digest}) --precision {precision} {how}'.rstrip()
    )
    return replace(
        card,
        precision=precision,
        recipe=f'{card.recipe}; {made}',
        scores=tuple(
            replace(score, protocol=f'{score.protocol}; of the fp32 file') for score in card.scores
        ),
    )
