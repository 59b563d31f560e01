# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Training of a motion network from unlabelled clips, with exact resume after a kill."""

from collections.abc import Iterator, Sequence
import json
import logging
from math import cos, isfinite, pi
from pathlib import Path
from typing import Any, Final, NoReturn

from lightning.fabric import Fabric
import torch
from torch.utils.data import DataLoader

from vidseg_ros.core.atomic_file import make_folder
from vidseg_ros.core.errors import ParameterError
from vidseg_ros.core.malloc import keep_freed_memory
from vidseg_ros.core.motion import FlowMethod
from vidseg_training.checkpoints import CHECKPOINT, load_checkpoint, load_weights, write_atomically
from vidseg_training.data.clips import describe_faults, read_scenes, Scene, Window
from vidseg_training.data.motion_windows import MotionSample, MotionWindows
from vidseg_training.interruption import leave_to_parent
from vidseg_training.motion_config import MotionConfig
from vidseg_training.motion_loss import motion_loss
from vidseg_training.motion_pictures import draw_motion
from vidseg_training.motion_scores import score_motion
from vidseg_training.motion_weights import settings_text, WEIGHTS, write_motion
from vidseg_training.networks.motion import MotionNet
from vidseg_training.progress import train_to_end
from vidseg_training.propagation.motion import FLOW_METHODS
from vidseg_training.run_lock import alone_in
from vidseg_training.run_log import RunLog
from vidseg_training.warping import backward_warp

_logger = logging.getLogger(__name__)

_FREE: Final = ('workers', 'checkpoint_steps', 'tensorboard')
"""Settings that may change between two calls of one run: they do not touch its outcome."""

_MOST_VALIDATED: Final = 16
_SHORTEST_SPLIT: Final = 30
"""Scenes of fewer frames are not split: all of their frames are learned from and scored."""


def split_scenes(scenes: Sequence[Scene]) -> tuple[list[Scene], list[Scene]]:
    """Keep the last tenth of each scene for validation; short ones are in both parts.

    Returns:
        Scenes to learn from, and scenes to score; of those every one is there only once.
    """
    train, validation = [], {}
    for name, frames in scenes:
        kept = len(frames) // 10 if len(frames) >= _SHORTEST_SPLIT else 0
        train.append(Scene(name, frames[: len(frames) - kept]))
        validation[id(frames)] = Scene(name, frames[-kept:])
    return train, list(validation.values())


def validation_windows(scenes: Sequence[Scene]) -> list[Window]:
    """Take up to 16 windows of consecutive frames, at equal distances from all of the scenes."""
    windows = [
        Window(*frames[start : start + 3])
        for _, frames in scenes
        for start in range(len(frames) - 2)
    ]
    count = min(len(windows), _MOST_VALIDATED)
    return [windows[number * len(windows) // count] for number in range(count)]


class MotionRun:
    """One training run in one folder; a second call continues where the first one stopped.

    Attributes:
        config: The settings.
        network: The network in training, as Fabric wraps it.
        step: Steps behind it.
        batches: Steps of an epoch.
        total_steps: Steps of the whole run.
        score: The last score in words; empty before the first one.
    """

    def __init__(
        self,
        config: MotionConfig,
        train: Sequence[Scene],
        validation: Sequence[Scene],
        folder: Path,
        flow: 'FlowMethod | None',
    ) -> None:
        """Prepare the run, from its checkpoint if the folder holds one.

        Args:
            config: The settings; a checkpoint of other settings is refused.
            train: Scenes to learn from.
            validation: Scenes that are scored after every epoch.
            folder: Receives checkpoints, weights, pictures and the log; created if needed.
            flow: First guess of the motion, or None.

        Raises:
            ParameterError: If the folder holds a run with other settings, or a frame is smaller
                than the crop.
            SourceError: If the checkpoint is damaged.
        """
        self.config, self._folder, self._flow = config, folder, flow
        self._windows = MotionWindows(train, config, flow)
        self._validation = validation_windows(validation)
        self.batches = config.windows // config.batch_size
        self.step, self.total_steps = 0, config.epochs * self.batches
        self.score = ''
        keep_freed_memory(of_any_size=True)  # every step takes the same blocks
        self._fabric = Fabric(accelerator='auto', devices=1)
        torch.manual_seed(config.seed)
        network = MotionNet(config.mode, config.width)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.network, self._optimizer = self._fabric.setup(network, optimizer)
        make_folder(folder)
        self._restore()
        self._log = RunLog(folder, self.step, tensorboard=config.tensorboard)

    def _restore(self) -> None:
        path = self._folder / CHECKPOINT
        if not path.is_file():
            return
        checkpoint = load_checkpoint(path)
        before, now = json.loads(checkpoint['settings']), json.loads(settings_text(self.config))
        if changed := [name for name in now if _outcome(name, now) != _outcome(name, before)]:
            msg = (
                f'{path} belongs to a run with other settings ({", ".join(changed)}); '
                'choose another --out'
            )
            raise ParameterError(msg)
        load_weights(self.network.module, checkpoint['network'], path)
        self._optimizer.load_state_dict(checkpoint['optimizer'])
        self.step = checkpoint['step']

    def save(self) -> None:
        """Write the checkpoint; between any two steps, the run goes on from there exactly."""
        state = {
            'network': self.network.module.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'settings': settings_text(self.config),
            'epoch': self.step // self.batches,
            'step': self.step,
        }
        write_atomically(self._folder / CHECKPOINT, lambda partial: torch.save(state, partial))

    def _learn(self, batch: MotionSample) -> float:
        """Do one step; return its loss."""
        rate = self.config.learning_rate * (1 + cos(pi * self.step / self.total_steps)) / 2
        for group in self._optimizer.param_groups:
            group['lr'] = rate
        vectors = self.network(*batch)
        if not vectors.isfinite().all():  # which may crash the sampling
            self._give_up('vectors')
        warped = backward_warp(batch.source, vectors)
        loss = motion_loss(warped, batch.target, vectors, self.config.loss)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        norm = self._fabric.clip_gradients(
            self.network,
            self._optimizer,
            max_norm=self.config.clip_norm,
            error_if_nonfinite=False,
        )
        assert norm is not None
        if not isfinite(norm.item()):
            self._give_up('gradient')
        self._optimizer.step()
        self._log.write(self.step, loss=loss.item(), learning_rate=rate)
        return loss.item()

    def _give_up(self, what: str) -> NoReturn:
        msg = f'step {self.step}: {what} not finite; lower learning_rate, in another --out'
        raise ParameterError(msg)

    def steps(self) -> Iterator[float]:
        """Train from the current position to the end; yield the loss of each step."""
        config = self.config
        first, last = (step * config.batch_size for step in (self.step, self.total_steps))
        loader = self._fabric.setup_dataloaders(
            DataLoader(
                self._windows,
                batch_size=config.batch_size,
                sampler=range(first, last),
                num_workers=config.workers,
                worker_init_fn=leave_to_parent if config.workers else None,
            ),
            use_distributed_sampler=False,
        )
        self.network.train()
        for batch in loader:
            loss = self._learn(MotionSample(*batch))
            self.step += 1
            epoch_is_over = self.step % self.batches == 0
            if epoch_is_over:
                self._validate()
            if epoch_is_over or self.step % config.checkpoint_steps == 0:
                self.save()
            yield loss

    def _validate(self) -> None:
        """Score the network and its first guess, draw samples and write the weights."""
        epoch = self.step // self.batches
        self.network.eval()
        scores, views = score_motion(self.network.module, self._flow, self._validation)
        self.network.train()
        self._log.write(self.step, epoch=epoch, **scores)
        self.score = f'PSNR {scores["psnr"]:.2f} dB'
        self._log.picture(self.step, f'epoch_{epoch:04}', draw_motion(views))
        write_motion(self._folder / WEIGHTS, self.network.module, self.config, self.step)

    def finish(self) -> Path:
        """Close the log and return the path of the weights."""
        self._log.close()
        return self._folder / WEIGHTS


def _outcome(name: str, settings: dict[str, Any]) -> object:
    """Return what of a setting decides the outcome of a run."""
    value = settings.get(name)
    if name in ('clips', 'validation'):
        return [Path(path).name for path in value or ()]
    return None if name in _FREE else value


def train_motion(config: MotionConfig, folder: Path, flow: 'FlowMethod | None' = None) -> Path:
    """Train a motion network to the end, or continue there, with a progress bar.

    Args:
        config: The settings.
        folder: Receives checkpoints, weights, pictures and the log; created if needed.
        flow: A flow method of one's own, if ``config.flow`` is 'own'.

    Returns:
        Path of the weights (safetensors).

    Raises:
        ParameterError: If the settings do not fit the clips or the folder, or another process
            trains there.
        SourceError: If a clip or the folder's checkpoint cannot be read.
        OutputError: If a file cannot be written; the one before it stays.
        KeyboardInterrupt: After Ctrl-C; it says what is kept.
    """
    if (flow is None) == (config.flow == 'own'):
        msg = "flow is 'own' if, and only if, a function is given: train_motion(..., flow=...)"
        raise ParameterError(msg)
    train, faults = read_scenes(config.clips, config.height)
    for path, counts in faults.items():
        _logger.info('%s: %s', path, describe_faults(counts))
    if config.validation:
        validation, _ = read_scenes(config.validation, config.height)
    else:
        train, validation = split_scenes(train)
    with alone_in(folder):
        run = MotionRun(config, train, validation, folder, flow or FLOW_METHODS.get(config.flow))
        train_to_end(run, config.mode, folder)
        return run.finish()
