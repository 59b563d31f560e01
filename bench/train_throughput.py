# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does the training loop cost beside a bare PyTorch loop, and does loading hold it up?

Usage::

    python bench/train_throughput.py DATA/camvid

Both train the same network on the same augmented batches, a step of the one after a step of the
other; ours also writes its log, a checkpoint every fifty steps, and looks for steps that are not
finite. First the losses of both must be the same. How long the bare loop waits for its batches is
part of the result: without workers that is all of the loading, which makes both loops more alike.
The loader is then timed by itself, in the same process: training cannot wait for it where it
delivers more images than the training takes.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
import time
from typing import Any, Final

from report import finish, surroundings, Target
import torch
from torch import nn, Tensor
import torch.nn.functional as F

from vidseg_ros.core.errors import VidsegError
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.label_statistics import class_weights
from vidseg_training.data.sampling import build_loader, EpochSampler, RestOfRun, TrainingSet
from vidseg_training.loop import Run
from vidseg_training.networks import normalise
from vidseg_training.recipe_list import find_recipe
from vidseg_training.schedule import poly_learning_rate
from vidseg_training.starting_weights import initial_network

LEAST_OF_BARE: Final = 0.95
LEAST_LOADING: Final = 2.0
"""Images that the loader must deliver for each one that is trained on."""

EQUAL: Final = 1e-3
"""Largest relative difference between the losses of the first steps."""


def batches(
    config: TrainConfig, train: TrainingSet, epochs: int, waits: list[float]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Load the augmented batches of epochs.

    Args:
        config: Gives batch size, augmentation and workers.
        train: Training set.
        epochs: How many.
        waits: Gets the seconds that were waited for each batch.
    """
    draws = RestOfRun(EpochSampler(len(train.images), config), epochs)
    start = time.perf_counter()
    for batch in build_loader(train, config, draws):
        waits.append(time.perf_counter() - start)
        yield batch
        start = time.perf_counter()


def bare_steps(
    config: TrainConfig,
    network: nn.Module,
    train: TrainingSet,
    device: torch.device,
    waits: list[float],
) -> Iterator[float]:
    """Train with nothing but PyTorch; yield the loss of each step; ``waits`` as in `batches`."""
    weights = None
    if config.class_weight_offset is not None:
        counted = class_weights(train.images, config.class_weight_offset)
        weights = torch.from_numpy(counted).to(device)
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    network.train()
    total = config.epochs * (len(train.images) // config.batch_size)
    loaded = batches(config, train, config.epochs, waits)
    for step, (on_host, labels_on_host, _) in enumerate(loaded):
        images = on_host.to(device, non_blocking=True)
        labels = labels_on_host.to(device, non_blocking=True).long()
        optimizer.param_groups[0]['lr'] = poly_learning_rate(step, total, config)
        outputs = network(normalise(images))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        losses = [
            F.cross_entropy(
                F.interpolate(logits, labels.shape[-2:], mode='bilinear', align_corners=False),
                labels,
                weights,
                ignore_index=255,
            )
            for logits in outputs
        ]
        loss = losses[0] + config.auxiliary_weight * sum(losses[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def loading_rate(config: TrainConfig, train: TrainingSet, number: int) -> float:
    """Return how many images a second the loader delivers while nobody trains."""
    loaded = batches(config, train, sys.maxsize, [])
    next(loaded)  # starts workers
    start = time.perf_counter()
    for _ in islice(loaded, number):
        pass
    return number * config.batch_size / (time.perf_counter() - start)


def timed_steps(
    loops: Sequence[Iterator[float]], steps: int, warm_up: int
) -> tuple[list[float], float]:
    """Let loops do steps in turn.

    Returns:
        Seconds of each loop in its ``steps`` steps, and the largest relative difference between
        their losses in the ``warm_up`` steps before.
    """
    seconds, difference = [0.0] * len(loops), 0.0
    for step in range(warm_up + steps):
        losses = []
        order = range(len(loops)) if step % 2 else reversed(range(len(loops)))
        for index in order:
            start = time.perf_counter()
            losses.append(next(loops[index]))
            if step >= warm_up:
                seconds[index] += time.perf_counter() - start
        if step < warm_up:
            difference = max(difference, abs(losses[0] - losses[1]) / max(losses))
    return seconds, difference


def measure(
    config: TrainConfig, steps: int, warm_up: int
) -> tuple[float, float, dict[str, float]]:
    """Time both loops and the loader.

    Returns:
        The largest relative difference between the losses of both loops, the share of the bare
        loop's time in which it waits for batches, and images a second.
    """
    train = TrainingSet(open_dataset(config, 'train'))
    labels = train.images.label_set
    waits: list[float] = []
    with TemporaryDirectory() as folder:
        ours = Run(config, initial_network(config, labels), train, Path(folder))
        network = initial_network(config, labels)
        bare = bare_steps(config, network, train, ours.fabric.device, waits)
        loops = [ours.steps(), bare]
        seconds, difference = timed_steps(loops, steps, warm_up)
    rates = [steps * config.batch_size / value for value in seconds]
    loading = loading_rate(config, train, max(4, steps // 2))
    waiting = sum(waits[warm_up:]) / seconds[1]
    return difference, waiting, {'ours': rates[0], 'bare': rates[1], 'loader_alone': loading}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the result; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('data', type=Path, help='folder of CamVid (SegNet split)')
    parser.add_argument('--recipe', default='camvid_dual_resolution_small')
    parser.add_argument('--steps', type=int, default=50)
    parser.add_argument('--warm-up', type=int, default=3)
    parser.add_argument('--workers', type=int, default=0)
    parser.add_argument('--crop-size', type=int, nargs=2, help='height and width, px')
    parser.add_argument('--scale-range', type=float, nargs=2)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args(argv)
    config = replace(find_recipe(args.recipe), data=args.data, workers=args.workers)
    given = {'crop_size': args.crop_size, 'scale_range': args.scale_range}
    changed: dict[str, Any] = {name: tuple(value) for name, value in given.items() if value}
    config = replace(config, **changed)
    result = surroundings('torch', 'lightning')
    difference, waiting, rates = measure(config, args.steps, args.warm_up)
    if difference > EQUAL:
        msg = f'the losses of both loops differ by {difference:.1e}: they do not train the same'
        raise VidsegError(msg)
    result |= {
        'recipe': config.name,
        'batch_size': config.batch_size,
        'crop_size': config.crop_size,
        'scale_range': config.scale_range,
        'workers': config.workers,
        'steps': args.steps,
        'loss_difference': difference,
        'waiting_share': waiting,
        'images_per_s': rates,
    }
    print(f'the bare loop waits for its batches in {100 * waiting:.1f} % of its time')
    targets = [
        Target(
            what='images/s of our loop, as a share of the bare one',
            value=rates['ours'] / rates['bare'],
            limit=LEAST_OF_BARE,
            higher_is_better=True,
        ),
        Target(
            what='images/s of the loader alone, as a multiple of the training',
            value=rates['loader_alone'] / rates['ours'],
            limit=LEAST_LOADING,
            higher_is_better=True,
        ),
    ]
    return finish(result, targets, name='train_throughput_camvid', out=args.out)


if __name__ == '__main__':
    raise SystemExit(main())
