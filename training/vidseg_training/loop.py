# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The training loop: one readable pass, exact resume after a kill, one or many devices."""

from collections.abc import Iterator
import logging
from math import inf, isfinite
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn, Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import ParameterError
from vidseg_training.checkpoints import (
    BEST,
    check_classes,
    check_origin,
    CHECKPOINT,
    load_weights,
    origin,
    SETTINGS,
    started_run,
    WEIGHTS,
    write_atomically,
    write_weights,
)
from vidseg_training.config import TrainConfig
from vidseg_training.consistency.lessons import ClipBatches, Lessons, NO_LESSONS
from vidseg_training.consistency.objective import ConsistencyObjective
from vidseg_training.data.clip_triplets import Triplets
from vidseg_training.data.label_statistics import crop_centroids
from vidseg_training.data.sampling import (
    build_loader,
    EpochSampler,
    image_of,
    LabelledImages,
    RestOfRun,
    trained_images,
    TrainingSet,
)
from vidseg_training.distillation import distillation_loss
from vidseg_training.losses import class_ids, LabelLoss, without_class_weights
from vidseg_training.networks import normalise
from vidseg_training.processes import (
    average_gradients,
    join_batch_norms,
    open_fabric,
    sum_over_processes,
)
from vidseg_training.progress import train_to_end
from vidseg_training.run_log import RunLog
from vidseg_training.run_settings import settings_text
from vidseg_training.sample_pictures import draw_samples
from vidseg_training.schedule import build_optimizer, poly_learning_rate
from vidseg_training.scoring import score
from vidseg_training.shown_classes import absence

_logger = logging.getLogger(__name__)

MOST_SKIPPED: Final = 20
"""Steps in a row without a finite loss or gradient after which a run gives up."""


class Run:
    """One training run in one folder; a second call continues where the first one stopped.

    Attributes:
        config: The settings.
        network: The network in training, as Fabric wraps it.
        epoch: Epochs behind it.
        batch: Batches of the current epoch behind it.
        batches: Batches of an epoch.
        skipped: Steps that were left out because loss or gradient were not finite.
        score: The last score in words; empty before the first one.
    """

    def __init__(  # noqa: PLR0913  # the last by name
        self,
        config: TrainConfig,
        network: nn.Module,
        train: TrainingSet,
        folder: Path,
        validation: LabelledImages | None = None,
        *,
        lessons: Lessons = NO_LESSONS,
    ) -> None:
        """Prepare the run, from its checkpoint if the folder holds one.

        Args:
            config: The settings; a checkpoint of other settings is refused.
            network: Freshly initialised network.
            train: Training set.
            folder: Receives checkpoints, weights, pictures and the log; created if needed.
            validation: Set that is only scored, or None.
            lessons: What is learned from beside the labels.

        Raises:
            ParameterError: If the folder holds a run with other settings, a strict class is
                unknown, the images do not fill a batch, a batch not the processes, or no clip
                has three frames.
            SourceError: If the checkpoint is damaged or another network's.
        """
        self.config, self._folder, self._validation = config, folder, validation
        self.epoch = self.batch = self.skipped = self._skipped_in_a_row = 0
        self._best, self.score = -inf, ''
        self._names, self._label_set = train.images.names, train.images.label_set
        self._real = train.real
        self.fabric = open_fabric(config)
        checkpoint = started_run(folder, config)  # before anything is counted or written
        self._sampler = self._epoch_sampler(train.images)
        self.batches = len(self._sampler) // config.batch_size
        if self.batches == 0:
            msg = (
                f'{len(train.images)} training images do not fill one batch of {config.batch_size}'
            )
            raise ParameterError(msg)
        self._draws = RestOfRun(self._sampler, config.epochs)
        # Any: Lightning's type has that of a batch lost
        self._loader: Any = self.fabric.setup_dataloaders(
            build_loader(train, config, self._draws, self.fabric.world_size),
            use_distributed_sampler=False,
        )
        device = self.fabric.device
        self._label_loss = LabelLoss(config, train.images, device, self.batches, folder)
        self._clips = ClipBatches(lessons, config, self.batches, self.fabric)
        self._origin = origin(
            self._names,
            lessons.teacher and lessons.teacher.teacher.checksum,
            None if lessons.clips is None else lessons.clips.fingerprint,
            self._clips.motion,
        )
        objective = ConsistencyObjective(config.consistency, config.distillation, lessons.teacher)
        self._objective = objective.to(self.fabric.device)
        self._set_up(network)
        make_folder(folder)
        if checkpoint is not None:
            self._restore(checkpoint)
        steps = sum_over_processes(torch.tensor(self.step, device=self.fabric.device))
        if steps != self.step * self.fabric.world_size:
            msg = f'{folder} is another folder on another host: --out must be one that all share'
            raise ParameterError(msg)
        self._log = RunLog(folder, self.step, writes=self._leads, tensorboard=config.tensorboard)

    def _set_up(self, network: nn.Module) -> None:
        """Bring network, optimizer and average to the device."""
        network = join_batch_norms(network, self.fabric.device)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch types only the 4-d tensor call
        parameters = [*network.parameters(), *self._objective.parameters()]
        optimizer = build_optimizer(parameters, self.config)
        self.network, self._optimizer = self.fabric.setup(network, optimizer)
        self._average = None
        if self.config.ema_decay is not None:
            average = get_ema_multi_avg_fn(self.config.ema_decay)  # type: ignore[no-untyped-call]  # torch left it untyped
            self._average = AveragedModel(network, multi_avg_fn=average, use_buffers=True)

    @property
    def step(self) -> int:
        """Steps behind the run."""
        return self.epoch * self.batches + self.batch

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.batches

    @property
    def _leads(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.fabric.is_global_zero

    def _epoch_sampler(self, images: LabelledImages) -> EpochSampler:
        config, fabric = self.config, self.fabric
        if config.batch_size % fabric.world_size:
            msg = (
                f'batch_size {config.batch_size} is the joint one: it must be a multiple of the '
                f'{fabric.world_size} processes'
            )
            raise ParameterError(msg)
        centroids = None
        if config.class_uniform:
            boosted = class_ids('boost_classes', config.boost_classes, self._label_set.names)
            tile = config.class_uniform_tile
            centroids = crop_centroids(images, tile, boosted, self._folder)
        part = (fabric.global_rank, fabric.world_size)
        return EpochSampler(trained_images(images), config, centroids, part, self._real)

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        path = self._folder / CHECKPOINT
        check_classes(path, checkpoint.get('classes', ()), self._label_set.names)
        check_origin(path, checkpoint, self._origin)
        load_weights(self.network.module, checkpoint['network'], path)
        self._optimizer.load_state_dict(checkpoint['optimizer'])
        self._objective.load_state_dict(checkpoint.get('objective', {}))
        if self._average is not None:
            self._average.load_state_dict(checkpoint['average'])
        self.fabric.strategy.precision.load_state_dict(checkpoint.get('precision', {}))
        self.epoch, self.batch = checkpoint['epoch'], checkpoint['batch']
        # Runs from before these two were counted go on as well.
        self.skipped = checkpoint.get('skipped', 0)
        self._best = checkpoint.get('best', -inf)

    def save(self) -> None:
        """Write the checkpoint; between any two steps, the run goes on from there exactly."""
        if not self._leads:
            return
        state = {
            'network': self.network.module.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'objective': self._objective.state_dict(),
            'precision': self.fabric.strategy.precision.state_dict(),
            SETTINGS: settings_text(self.config),
            'classes': list(self._label_set.names),
            **self._origin,
            'class_weights': self._label_loss.class_weights,
            'epoch': self.epoch,
            'batch': self.batch,
            'skipped': self.skipped,
            'best': self._best,
        }
        if self._average is not None:
            state['average'] = self._average.state_dict()
        write_atomically(self._folder / CHECKPOINT, lambda partial: torch.save(state, partial))

    def _terms(self, batch: list[Tensor], clips: Triplets | None) -> dict[str, Tensor]:
        """Return the terms of the loss, weighted, by name."""
        step = self._objective.arrange(batch, clips)
        outputs = self.network(normalise(step.images))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        terms = {'labels': self._label_loss(outputs, step.labels, self.epoch, self.step)}
        if self.config.teacher is not None:
            loss = distillation_loss(outputs[0][: len(step.soft)], step.soft)
            terms['teacher'] = self.config.distillation_weight * loss
        progress = self.step / self.total_steps
        return terms | self._objective.weighted_terms(step, outputs[0], progress)

    def _learn(self, batch: list[Tensor], clips: Triplets | None) -> dict[str, float]:
        """Do one step; return the terms of its loss over the joint batch.

        Weights, their average and the statistics of batch norms stay as they are if loss or
        gradient are not finite.
        """
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        self._optimizer.zero_grad()
        terms = self._terms(batch, clips)
        parts = torch.stack(list(terms.values()))
        joint = (sum_over_processes(parts) / self.fabric.world_size).tolist()
        values = dict(zip(terms, joint, strict=True))
        finite = all(map(isfinite, joint))
        if finite:
            self.fabric.backward(parts.sum())
            average_gradients(self._objective)
            norm = self.fabric.clip_gradients(
                self.network,
                self._optimizer,
                max_norm=self.config.clip_norm or inf,
                error_if_nonfinite=False,
            )
            assert norm is not None
            finite = isfinite(norm.item())
            if finite or self.config.precision == '16-mixed':  # whose scaler skips by itself
                self._optimizer.step()
        if finite:
            self._skipped_in_a_row = 0
            if self._average is not None:
                self._average.update_parameters(self.network.module)
        else:
            for buffer, kept in zip(buffers, before, strict=True):
                buffer.copy_(kept)
            self._count_skipped([name for name in values if not isfinite(values[name])])
        return values

    def _count_skipped(self, terms: list[str]) -> None:
        """Count a step without a finite gradient or with terms that are not; name what it saw."""
        self.skipped += 1
        self._skipped_in_a_row += 1
        draws = self._sampler.joint_batch(self.epoch, self.batch)
        images = [self._names[image_of(draw, self.config, self._real)] for draw in draws]
        what = f'loss ({", ".join(terms)})' if terms else 'gradient'
        seen = self._clips.seen(terms, self.epoch, self.batch, images)
        words = '; '.join(f'{kind}: {", ".join(names)}' for kind, names in seen.items())
        if self._leads:
            self._log.write(self.step, skipped=what, **seen)
        _logger.warning(
            'step %d: %s not finite, skipped (%d so far); %s', self.step, what, self.skipped, words
        )
        if self._skipped_in_a_row == MOST_SKIPPED:
            msg = (
                f'{MOST_SKIPPED} steps in a row without a finite {what}, the last of them at '
                f'{words}: lower learning_rate or set clip_norm, in another --out'
            )
            raise ParameterError(msg)

    def _validate(self) -> None:
        """Score, draw samples and write the weights."""
        images, config = self._validation, self.config
        if images is None:
            return
        weights = self._label_loss.class_weights
        network = without_class_weights(self._averaged(), config, weights)
        confusion = score(network, images, config.input_size)
        miou, absent = confusion.miou(), absence(confusion, self._label_set.names)
        if self._leads and absent and not self.score:
            _logger.warning('validation: %s', absent)
        self.score = f'validation mIoU {100 * miou:.1f}'
        if self._leads:
            self._log.write(self.step, epoch=self.epoch, validation_miou=miou)
            self._write_weights(WEIGHTS)
            if miou > self._best:
                self._write_weights(BEST)
            if config.sample_pictures:
                picture = draw_samples(network, images, config.input_size, config.sample_pictures)
                self._log.picture(self.step, f'epoch_{self.epoch:04}', picture)
        self._best = max(self._best, miou)
        self.network.train()

    def steps(self) -> Iterator[float]:
        """Train from the current position to the end; yield the loss of each step."""
        config = self.config
        self.network.train()
        self._draws.epoch, self._draws.first_batch = self.epoch, self.batch
        clips_of = self._clips.rest(self.epoch, self.batch)
        for batch, clips in zip(self._loader, clips_of, strict=True):
            rate = poly_learning_rate(self.step, self.total_steps, config)
            for group in self._optimizer.param_groups:
                group['lr'] = rate
            # What dropout draws; a CPU takes the low 32 bits, in which seeds must differ as well.
            torch.manual_seed(config.seed * 0x9E3779B1 + self.step)
            terms = self._learn(batch, clips)
            loss = sum(terms.values())
            parts: dict[str, float] = terms if len(terms) > 1 else {}
            if clips is not None:
                hidden = torch.tensor(clips.hidden_pairs(), device=self.fabric.device)
                parts['hidden_pairs'] = int(sum_over_processes(hidden))
            if self._leads and isfinite(loss):
                self._log.write(self.step, loss=loss, learning_rate=rate, **parts)
            self.batch += 1
            if self.batch == self.batches:
                self.epoch, self.batch = self.epoch + 1, 0
            last = self.epoch == config.epochs
            rests = self.batch == 0 and (last or self.epoch % config.validate_epochs == 0)
            if rests:
                self._validate()
            if rests or self.step % config.checkpoint_steps == 0:
                self.save()
            yield loss

    def _averaged(self) -> nn.Module:
        """Return the network with the weights that ship: their average, or the last ones."""
        return self.network.module if self._average is None else self._average.module

    def finish(self) -> Path:
        """Write the weights that ship and return their path."""
        if self._leads:
            self._write_weights(WEIGHTS)
        self._log.close()
        return self._folder / WEIGHTS

    def _write_weights(self, name: str) -> None:
        path, classes = self._folder / name, self._label_set.names
        network, weights = self._averaged(), self._label_loss.class_weights
        write_weights(
            path, network, self.config, self.epoch, classes=classes, class_weights=weights
        )


def fit(  # noqa: PLR0913  # the last by name
    config: TrainConfig,
    network: nn.Module,
    train: TrainingSet,
    validation: LabelledImages | None,
    folder: Path,
    *,
    lessons: Lessons = NO_LESSONS,
) -> Path:
    """Train to the end with a progress bar; scores on ``validation`` go into the log.

    Args:
        config: The settings.
        network: Freshly initialised network.
        train: Training set.
        validation: Set that is only scored, or None.
        folder: Receives checkpoints, weights, pictures and the log; created if needed.
        lessons: What is learned from beside the labels.

    Returns:
        Path of the weights that ship, after the last epoch (safetensors).

    Raises:
        ParameterError: If the settings do not fit data or folder, or nothing finite comes out.
        SourceError: If data or the folder's checkpoint cannot be read.
        OutputError: If a file cannot be written; the one before it stays.
        KeyboardInterrupt: After Ctrl-C; it says what is kept.
    """
    run = Run(config, network, train, folder, validation, lessons=lessons)
    train_to_end(run, config.name, folder)
    return run.finish()
