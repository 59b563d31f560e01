# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The training loop: one readable pass, exact resume after a kill."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
import json
import logging
import os
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from safetensors.torch import save_file
import torch
from torch import nn, Tensor
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.labels import IGNORE_ID
from vidseg_training.config import TrainConfig
from vidseg_training.data.class_uniform import class_centroids
from vidseg_training.data.sampling import (
    AugmentedImages,
    class_weights,
    EpochSampler,
    LabelledImages,
    TrainingSet,
)
from vidseg_training.distillation import distillation_loss
from vidseg_training.networks import normalise
from vidseg_training.relaxation import boundary_cross_entropy, relaxed_cross_entropy
from vidseg_training.scoring import score

_logger = logging.getLogger(__name__)

CHECKPOINT = 'last.ckpt'
WEIGHTS = 'last.safetensors'

FREELY = ('data', 'checkpoint_steps', 'validate_epochs')
"""Settings that may change between two calls of one run: they do not touch its outcome."""

MOVABLE = ('init', 'teacher', 'unlabelled')
"""Settings that name files: those may lie elsewhere in the next call, but not be others."""


def _outcome(name: str, settings: Mapping[str, Any]) -> object:
    """Return what of a setting decides the outcome of a run."""
    value = settings.get(name)
    if name in FREELY or value is None:
        return None
    if name in MOVABLE:
        return [Path(path).name for path in ([value] if isinstance(value, str) else value)]
    return value


def poly_learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: linear warm-up times the poly schedule.

    Args:
        step: Step from 0.
        steps: Steps of the whole run.
        config: Gives peak, power and warm-up.
    """
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    return float(config.learning_rate * warmup * (1 - step / steps) ** config.poly_power)


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    *,
    relaxed: bool | None = None,
    strict: Sequence[int] = (),
) -> Tensor:
    """Cross-entropy at label resolution.

    Args:
        logits: (B, C, h, w) float at the network's own resolution.
        labels: (B, H, W) int64 ids, 255 ignored.
        weights: (C,) float class weights, or None.
        relaxed: True: boundaries relaxed; False: boundaries counted twice, the phase after that
            (`vidseg_training.relaxation`); None: plain.
        strict: Ids of classes that are not relaxed.

    Returns:
        Scalar; 0 with a gradient of 0 if every pixel is ignored.
    """
    if logits.shape[-2:] != labels.shape[-2:]:
        logits = F.interpolate(
            logits, size=labels.shape[-2:], mode='bilinear', align_corners=False
        )
    if relaxed is not None:
        if relaxed:
            return relaxed_cross_entropy(logits, labels, weights, strict)
        return boundary_cross_entropy(logits, labels, weights)
    if not (labels != IGNORE_ID).any():
        return logits.sum() * 0
    return F.cross_entropy(logits, labels, weights, ignore_index=IGNORE_ID)


class Run:
    """One training run in one folder; a second call continues where the first one stopped."""

    def __init__(
        self, config: TrainConfig, network: nn.Module, train: TrainingSet, folder: Path
    ) -> None:
        """Prepare the run, from its checkpoint if the folder holds one.

        Args:
            config: The settings; a checkpoint of other settings is refused.
            network: Freshly initialised network.
            train: Training set.
            folder: Receives checkpoints, weights and the log.

        Raises:
            ParameterError: If the folder holds a run with other settings, a strict class is
                unknown, or the images do not fill a batch.
        """
        self.config, self.folder = config, folder
        self.epoch = self.batch = 0
        self._fabric = Fabric(accelerator='auto', devices=1)
        names = train.images.label_set.names
        unknown = sorted(set(config.strict_classes) - set(names))
        if unknown:
            msg = f'strict_classes: {", ".join(unknown)} not among {", ".join(names)}'
            raise ParameterError(msg)
        self._strict = [names.index(name) for name in config.strict_classes]
        centroids = None
        if config.class_uniform:
            label_maps = (train.images[index][1] for index in range(len(train.images)))
            centroids = class_centroids(label_maps, len(names), config.class_uniform_tile)
        self._sampler = EpochSampler(len(train.images), config, centroids)
        self.batches = len(self._sampler) // config.batch_size
        if self.batches == 0:
            msg = (
                f'{len(train.images)} training images do not fill one batch of {config.batch_size}'
            )
            raise ParameterError(msg)
        self._loader = self._fabric.setup_dataloaders(
            DataLoader(
                AugmentedImages(train, config), batch_size=config.batch_size, sampler=self._sampler
            ),
            use_distributed_sampler=False,
        )
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch types only the 4-d tensor call
        self.network, self._optimizer = self._fabric.setup(network, optimizer)
        self._average = None
        if config.ema_decay is not None:
            average = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]  # torch left it untyped
            self._average = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        self._weights = None
        if config.class_weight_offset is not None:
            weights = class_weights(train.images, config.class_weight_offset)
            self._weights = torch.from_numpy(weights).to(self._fabric.device)
        self._restore()

    def _settings(self) -> str:
        return json.dumps(asdict(self.config), default=str, sort_keys=True)

    def _restore(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        before, now = json.loads(self._fabric.load(path)['settings']), json.loads(self._settings())
        changed = [name for name in now if _outcome(name, now) != _outcome(name, before)]
        if changed:
            msg = (
                f'{path} belongs to a run with other settings ({", ".join(changed)}); '
                'choose another --out'
            )
            raise ParameterError(msg)
        state: dict[str, Any] = {'network': self.network, 'optimizer': self._optimizer}
        if self._average is not None:
            state['average'] = self._average
        rest = self._fabric.load(path, state)
        self.epoch, self.batch = rest['epoch'], rest['batch']
        _logger.info('resuming %s at epoch %d, batch %d', path, self.epoch, self.batch)

    def _save(self) -> None:
        state = {
            'network': self.network,
            'optimizer': self._optimizer,
            'settings': self._settings(),
            'epoch': self.epoch,
            'batch': self.batch,
        }
        if self._average is not None:
            state['average'] = self._average
        partial = self.folder / f'{CHECKPOINT}.partial'
        self._fabric.save(partial, state)
        os.replace(partial, self.folder / CHECKPOINT)  # noqa: PTH105  # atomic on POSIX

    def _log(self, **record: object) -> None:
        with (self.folder / 'log.jsonl').open('a', encoding='utf-8') as log:
            log.write(json.dumps(record) + '\n')

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        share = self.config.relaxed_share
        relaxed = self.epoch < self.config.epochs * share if share else None
        return segmentation_loss(
            logits, labels, self._weights, relaxed=relaxed, strict=self._strict
        )

    def steps(self) -> Iterator[float]:
        """Train from the current position to the end; yield the loss of each step."""
        config = self.config
        total = config.epochs * self.batches
        self.network.train()
        while self.epoch < config.epochs:
            self._sampler.epoch, self._sampler.first_batch = self.epoch, self.batch
            for images, labels, soft in self._loader:
                step = self.epoch * self.batches + self.batch
                rate = poly_learning_rate(step, total, config)
                for group in self._optimizer.param_groups:
                    group['lr'] = rate
                outputs = self.network(normalise(images))
                logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
                loss = self._loss(logits, labels)
                for other in auxiliary:
                    loss = loss + config.auxiliary_weight * self._loss(other, labels)
                if soft.shape[1]:
                    loss = loss + config.distillation_weight * distillation_loss(logits, soft)
                self._optimizer.zero_grad()
                self._fabric.backward(loss)
                self._optimizer.step()
                if self._average is not None:
                    self._average.update_parameters(self.network)
                self.batch += 1
                self._log(step=step, loss=loss.item(), learning_rate=rate)
                if self.batch == self.batches:
                    self.epoch, self.batch = self.epoch + 1, 0
                if self.batch % config.checkpoint_steps == 0:
                    self._save()
                yield loss.item()

    def shipped(self) -> nn.Module:
        """Return the network as it ships: the average of the weights, or the last ones."""
        return self.network if self._average is None else self._average.module

    def finish(self) -> Path:
        """Write the weights that ship and return their path."""
        path = self.folder / WEIGHTS
        state = {name: value.contiguous() for name, value in self.shipped().state_dict().items()}
        save_file(state, path)
        return path


def fit(
    config: TrainConfig,
    network: nn.Module,
    train: TrainingSet,
    validation: LabelledImages | None,
    folder: Path,
) -> Path:
    """Train to the end with a progress bar; scores on ``validation`` go into the log.

    Args:
        config: The settings.
        network: Freshly initialised network.
        train: Training set.
        validation: Set that is only scored, or None.
        folder: Receives checkpoints, weights and the log; created if needed.

    Returns:
        Path of the weights that ship, after the last epoch (safetensors).

    Raises:
        ParameterError: If the folder holds a run with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(config, network, train, folder)
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(config.name, total=config.epochs * run.batches)
        progress.update(task, completed=run.epoch * run.batches + run.batch)
        for loss in run.steps():
            text = f'{config.name} epoch {run.epoch}/{config.epochs} loss {loss:.3f}'
            progress.update(task, advance=1, description=text)
            done = run.epoch if run.batch == 0 else 0
            if validation and done and done % config.validate_epochs == 0:
                confusion = score(run.shipped(), validation, config.input_size)
                run._log(epoch=done, validation_miou=confusion.miou())  # noqa: SLF001  # same file
                run.network.train()
    return run.finish()
