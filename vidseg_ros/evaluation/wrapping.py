# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Makes a model file of a foreign network, compared with it before it gets its name."""

from collections.abc import Sequence
from contextlib import closing
import hashlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
import onnx

from vidseg_ros.core.errors import EngineError, ModelError, OutputError
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.inference.agreement import Agreement
from vidseg_ros.inference.foreign_model import ForeignNetwork, read_network
from vidseg_ros.inference.model_file import replaced_when_whole
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.original import OriginalNetwork
from vidseg_ros.inference.wrap_settings import WrapSettings
from vidseg_ros.inference.wrapping import OutputForm, precision_of, read_form, wrap

LEAST_AGREEMENT: Final = 0.99
"""Share of pixels, and mIoU, at which a model file may count as the same as its original."""


def wrap_model(
    source: Path, target: Path, settings: WrapSettings, frames: Sequence[NDArray[np.uint8]]
) -> Agreement:
    """Write the model file of a foreign network.

    Args:
        source: The foreign ONNX file.
        target: Model file to write; an earlier one is replaced once the new one is checked.
        settings: What the network expects and says.
        frames: One or more frames (H, W, 3) uint8, in the settings' colour order, to compare the
            two on.

    Returns:
        How well the two agree.

    Raises:
        ModelError: If the network does not fit the contract or the settings, or the two disagree.
        EngineError: If the original cannot run.
        OutputError: If the file cannot be written.
    """
    if target.exists() and source.exists() and target.samefile(source):
        msg = f'{target} would replace the original; choose another --out'
        raise OutputError(msg)
    network = read_network(source, settings)
    original = OriginalNetwork(network, settings)
    truth = []
    for frame in frames:
        result = original.run(frame)
        form = read_form(result, network, settings)
        truth.append(original.labels(result, form))
    card = _card(network, target, settings)
    with replaced_when_whole(target) as draft:
        return _write_checked(draft, network, form, settings, card, frames, truth)


def _write_checked(  # noqa: PLR0913, PLR0917
    draft: Path,
    network: ForeignNetwork,
    form: OutputForm,
    settings: WrapSettings,
    card: ModelCard,
    frames: Sequence[NDArray[np.uint8]],
    truth: Sequence[NDArray[np.uint8]],
) -> Agreement:
    """Write the file that agrees with the original.

    What a graph says of its batch is often not what it can do, so it is tried with two frames.
    Where it cannot, its frames go through it one by one, inside the model file.
    """
    for frame_by_frame in (False, True):
        problem: ModelError | EngineError
        try:
            onnx.save(wrap(network, form, settings, card, frame_by_frame=frame_by_frame), draft)
            agreement = _compare(draft, frames, truth)
        except (ModelError, EngineError) as error:
            problem = error
            continue
        if min(agreement.pixels, agreement.miou) >= LEAST_AGREEMENT:
            return agreement
        msg = (
            f'the model file and {network.path} agree on {agreement.pixels:.2%} of the pixels '
            f'(mIoU {agreement.miou:.4f}), {LEAST_AGREEMENT:.0%} are needed; nothing is written. '
            'Both had the same settings, so please report this network'
        )
        problem = ModelError(msg)
    raise problem


def _compare(
    model: Path, frames: Sequence[NDArray[np.uint8]], truth: Sequence[NDArray[np.uint8]]
) -> Agreement:
    """Compare label maps of a model file with those of its original; frames go in by twos."""
    with closing(OnnxRuntimeEngine(model)) as engine:
        labels = engine.card.labels
        confusion = Confusion(len(labels))
        for index, expected in enumerate(truth):
            other = index - 1 if frames[index - 1].shape == frames[index].shape else index
            found = engine.infer([frames[index], frames[other]]).labels
            confusion.add(expected, found[0])
            confusion.add(truth[other], found[1])
    return Agreement.of(confusion, labels, frames=len(truth))


def _card(network: ForeignNetwork, target: Path, settings: WrapSettings) -> ModelCard:
    digest = hashlib.sha256(network.path.read_bytes()).hexdigest()
    return ModelCard(
        name=settings.name or target.stem,
        network=settings.network or network.path.stem,
        labels=settings.classes,
        input_order=settings.order,
        input_size=network.size,
        precision=precision_of(network.model),
        licence=settings.licence,
        recipe=f'vidseg inspect --wrap {network.path.name} (SHA-256 {digest})',
        datasets=(),
        scores=(),
    )
