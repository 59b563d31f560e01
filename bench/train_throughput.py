# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does the training loop cost beside a bare PyTorch loop, and does loading hold it up?

Usage::

    python bench/train_throughput.py DATA/camvid

Both train the same network on the same augmented batches, a step of the one after a step of the
other; ours also writes its log, a checkpoint every fifty steps, and looks for steps that are not
finite. First the losses of both must be the same. The loader is then timed by itself, in the
same process: training cannot wait for it where it delivers more images than the training takes.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
import time
from typing import Final

from report import finish, surroundings, Target
import torch
from torch import nn
import torch.nn.functional as F

from vidseg_ros.core.errors import VidsegError
from vidseg_training.config import TrainConfig
from vidseg_training.data import open_dataset
from vidseg_training.data.sampling import build_loader, class_weights, EpochSampler, TrainingSet
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


def bare_steps(config: TrainConfig, network: nn.Module, train: TrainingSet) -> Iterator[float]:
    """Train with nothing but PyTorch; yield the loss of each step."""
    sampler = EpochSampler(len(train.images), config)
    loader = build_loader(train, config, sampler)
    weights = None
    if config.class_weight_offset is not None:
        weights = torch.from_numpy(class_weights(train.images, config.class_weight_offset))
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    network.train()
    total = config.epochs * (len(sampler) // config.batch_size)
    step = 0
    for epoch in range(config.epochs):
        sampler.epoch = epoch
        for images, labels, _ in loader:
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
            step += 1
            yield loss.item()


def loading_rate(config: TrainConfig, train: TrainingSet, batches: int) -> float:
    """Return how many images a second the loader delivers while nobody trains."""
    loader = build_loader(train, config, EpochSampler(len(train.images), config))
    iterator = cycle(loader)
    next(iterator)  # starts workers
    start = time.perf_counter()
    for _ in islice(iterator, batches):
        pass
    return batches * config.batch_size / (time.perf_counter() - start)


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


def measure(config: TrainConfig, steps: int, warm_up: int) -> tuple[float, dict[str, float]]:
    """Time both loops and the loader.

    Returns:
        The largest relative difference between the losses of both loops, and images a second.
    """
    train = TrainingSet(open_dataset(config, 'train'))
    labels = train.images.label_set
    with TemporaryDirectory() as folder:
        ours = Run(config, initial_network(config, labels), train, Path(folder))
        loops = [ours.steps(), bare_steps(config, initial_network(config, labels), train)]
        seconds, difference = timed_steps(loops, steps, warm_up)
    rates = [steps * config.batch_size / value for value in seconds]
    loading = loading_rate(config, train, max(4, steps // 2))
    return difference, {'ours': rates[0], 'bare': rates[1], 'loader_alone': loading}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the result; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('data', type=Path, help='folder of CamVid (SegNet split)')
    parser.add_argument('--recipe', default='camvid_dual_resolution_small')
    parser.add_argument('--steps', type=int, default=50)
    parser.add_argument('--warm-up', type=int, default=3)
    parser.add_argument('--workers', type=int, default=0)
    parser.add_argument('--out', type=Path)
    args = parser.parse_args(argv)
    config = replace(find_recipe(args.recipe), data=args.data, workers=args.workers)
    result = surroundings('torch', 'lightning')
    difference, rates = measure(config, args.steps, args.warm_up)
    if difference > EQUAL:
        msg = f'the losses of both loops differ by {difference:.1e}: they do not train the same'
        raise VidsegError(msg)
    result |= {
        'recipe': config.name,
        'batch_size': config.batch_size,
        'crop_size': config.crop_size,
        'workers': config.workers,
        'steps': args.steps,
        'loss_difference': difference,
        'images_per_s': rates,
    }
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
