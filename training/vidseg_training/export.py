# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""From a finished run to a model file, compared with its source before it gets its name."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
import logging
import os
from pathlib import Path
import tempfile
import time
from typing import Literal
import warnings

import numpy as np
from numpy.typing import NDArray
import onnx
import torch
from torch import nn

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import ModelError, SourceError
from vidseg_ros.core.metrics import Confusion
from vidseg_ros.core.model_card import ModelCard, Score
from vidseg_ros.inference.agreement import Sample
from vidseg_ros.inference.model_builder import build_model
from vidseg_ros.inference.model_file import ModelFile, OPSET, read_model, write_card
from vidseg_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from vidseg_ros.inference.precision import convert_to_fp16
from vidseg_training.checkpoints import check_classes, load_weights, read_weights, TrainedWeights
from vidseg_training.data import open_dataset, TrainingData
from vidseg_training.data.label_statistics import class_weights
from vidseg_training.data.sampling import LabelledImages
from vidseg_training.losses import ships_unweighted, without_class_weights
from vidseg_training.networks import check_size, MEAN, NETWORKS, STD
from vidseg_training.provenance import (
    describe_recipe,
    describe_score,
    describe_sources,
    licence_of,
)
from vidseg_training.scoring import predict, score_predictions

_logger = logging.getLogger(__name__)

LEAST_AGREEMENT = 0.999
"""Share of pixels on which the model file and the trained network must agree."""

CONFIDENCE_COST = 0.10
"""Largest share of the model's time that the optional confidence may add."""


_EXPECTED = {
    'torch.onnx._internal.exporter._compat': 'Setting ONNX exporter to use operator set version',
    'torch.onnx._internal.exporter._registration': 'torchvision is not installed',
}
"""Loggers of torch's exporter, and how a warning begins that is none here: the operator set is
checked after the export, and no network has operators of torchvision."""


@contextmanager
def without_expected_warnings() -> Iterator[None]:
    """Keep what torch's exporter says of every export to itself; all else is still said."""

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_EXPECTED[record.name])

    loggers = [logging.getLogger(name) for name in _EXPECTED]
    for logger in loggers:
        logger.addFilter(is_news)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch's exporter warns of its own deprecated calls
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_news)


def to_onnx(network: nn.Module, size: tuple[int, int], folder: Path) -> onnx.ModelProto:
    """Export a network alone: float (N, 3, h, w) in, logits out, any N.

    Args:
        network: The network, in evaluation mode.
        size: Height and width of its input in pixels.
        folder: Takes a temporary file.

    Raises:
        ModelError: If torch did not keep the operator set of the contract.
    """
    path = folder / 'network.onnx'
    with without_expected_warnings():
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, *size),),
            path,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim('N')},),
            external_data=False,
            verbose=False,
        )
    model = onnx.load(path)
    versions = [item.version for item in model.opset_import if item.domain == '']
    if versions != [OPSET]:
        msg = f'torch {torch.__version__} exported operator set {versions}, not {OPSET}'
        raise ModelError(msg)
    return model


def spread(images: LabelledImages) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield about 16 images and their labels, from all over the set."""
    for index in range(0, len(images), max(1, len(images) // 16)):
        yield images[index]


def agreement(network: nn.Module, model: Path, images: LabelledImages) -> float:
    """Return the share of pixels on which a model file agrees with its network, 0 to 1."""
    same = total = 0
    with closing(OnnxRuntimeEngine(model)) as engine:
        for image, _ in spread(images):
            labels = engine.infer([image]).labels[0]
            same += int((labels == predict(network, image, engine.card.input_size)).sum())
            total += labels.size
    return same / total


def score_model(model: Path, images: LabelledImages) -> Confusion:
    """Score a model file on a labelled set."""
    with closing(OnnxRuntimeEngine(model)) as engine:
        return score_predictions(lambda image: engine.infer([image]).labels[0], images)


def confidence_cost(model: Path, rounds: int = 30) -> float:
    """Return the time the confidence output adds, as a share of the time without it.

    The graph without the output is cut from the same file; both run in turn and the quickest
    run of each counts, so that other load on the machine matters little.
    """
    whole = onnx.load(model)
    card = read_model(model).card
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / 'bare.onnx'
        kept = onnx.ModelProto()
        kept.CopyFrom(whole)
        del kept.graph.output[1:]
        onnx.save(kept, bare)
        frame = np.zeros((*card.input_size, 3), np.uint8)
        best = [float('inf'), float('inf')]
        with (
            closing(OnnxRuntimeEngine(bare)) as without,
            closing(OnnxRuntimeEngine(model)) as full,
        ):
            for _ in range(rounds):
                for which, engine in enumerate((without, full)):
                    start = time.perf_counter()
                    engine.infer([frame], confidence=True)
                    best[which] = min(best[which], time.perf_counter() - start)
    return best[1] / best[0] - 1


def load_run(
    path: Path, data: Path | None = None
) -> tuple[TrainedWeights, nn.Module, TrainingData]:
    """Read a run: its settings and epoch, its network as it ships, and its test set.

    Args:
        path: Folder, checkpoint or weights of the run, see `read_weights`.
        data: Folder of the data set, if it is not where it was during training.

    Raises:
        SourceError: If there is no such file, its weights are not the network's, or the data have
            other classes.
    """
    trained = read_weights(path)
    config = trained.config if data is None else replace(trained.config, data=data)
    test = open_dataset(config, 'test')
    check_classes(path, trained.classes, test.label_set.names)
    network: nn.Module = NETWORKS[config.network](len(test.label_set))
    load_weights(network, trained.state, path)
    weights = trained.class_weights
    if weights is None and ships_unweighted(config):
        assert config.class_weight_offset is not None
        # Runs from before their weights were kept: counted over the labelled images.
        counted = class_weights(open_dataset(config, 'train'), config.class_weight_offset)
        weights = tuple(counted.tolist())
    network = without_class_weights(network, config, weights)
    return trained._replace(config=config), network.eval(), test


def export(
    folder: Path,
    target: Path,
    data: Path | None = None,
    *,
    precision: Literal['fp32', 'fp16'] = 'fp32',
    input_size: tuple[int, int] | None = None,
) -> ModelFile:
    """Write the model file of a finished run, with its score on the test set in the card.

    Args:
        folder: The run's folder.
        target: Model file to write.
        data: Folder of the data set, if it is not where it was during training.
        precision: Of the network; one of fp16 is made of the fp32 file, compared with it on test
            images and scored itself.
        input_size: Height and width in pixels of the network's input; None: the run's.

    Raises:
        SourceError: If the run is not there, not finished or of another version.
        ParameterError: If the size does not fit the network.
        ModelError: If the file disagrees with the network, or the confidence costs too much.
    """
    trained, network, test = load_run(folder, data)
    config = trained.config
    options = '' if precision == 'fp32' else f' --precision {precision}'
    if input_size is not None:
        check_size(config.network, 'input_size', input_size)
        options += f' --input-size {input_size[0]} {input_size[1]}'
    recipe = describe_recipe(config) + (options and f'; vidseg-train export{options}')
    config = replace(config, input_size=input_size or config.input_size)
    if trained.epoch < config.epochs:
        msg = f'{folder} stands at epoch {trained.epoch} of {config.epochs}; let it finish first'
        raise SourceError(msg)
    sources = describe_sources(config, test)
    card = ModelCard(
        name=config.name,
        network=config.network,
        labels=test.label_set,
        input_order='rgb8',
        input_size=config.input_size,
        precision='fp32',
        licence=licence_of(sources),
        recipe=recipe,
        datasets=sources,
        scores=(),
    )
    make_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        draft = Path(scratch) / target.name
        inner = to_onnx(network, config.input_size, Path(scratch))
        onnx.save(build_model(inner, card, mean=MEAN, std=STD), draft)
        share = agreement(network, draft, test)
        _logger.info('agreement with the trained network: %.5f of the pixels', share)
        if share < LEAST_AGREEMENT:
            msg = f'the model file agrees with its network on {share:.4f} of the pixels only'
            raise ModelError(msg)
        cost = confidence_cost(draft)
        _logger.info('the confidence adds %.1f %% to the model time', 100 * cost)
        if cost > CONFIDENCE_COST:
            msg = f'the confidence adds {100 * cost:.0f} % to the model time, 10 % is the limit'
            raise ModelError(msg)
        if precision == 'fp16':
            samples = (Sample(image=image, truth=truth) for image, truth in spread(test))
            half = draft.with_name(f'fp16-{target.name}')
            _logger.info('fp16 and fp32 agree on %s', convert_to_fp16(draft, half, samples))
            draft = half
            card = replace(card, precision=precision)
        confusion = score_model(draft, test)
        score = Score(metric='mIoU', value=confusion.miou(), protocol=describe_score(config, test))
        write_card(draft, replace(card, scores=(score,)))
        for name, iou in zip(card.labels.names, confusion.iou(), strict=True):
            _logger.info('%12s %.4f', name, iou)
        _logger.info('%12s %.4f', 'mIoU', confusion.miou())
        os.replace(draft, target)  # noqa: PTH105  # atomic on POSIX
    return read_model(target)
