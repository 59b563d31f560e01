# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does a frame cost on its way through the node, besides the engine?

Usage::

    python bench/node_latency.py

Camera, node and receiver are three processes. A frame's cost is the time from right before the
camera publishes it to when the receiver has its mask, minus the time in which the engine worked
on it. Side by side, round by round in turn, so that a moody machine treats all alike:

* ``ours``: our node; shared memory profile in all three processes.
* ``echo``: a node without inference that answers with an empty mask; profile in all three. This
  is the limit that the transport sets.
* ``usual``: what most packages have, see `nodes.UsualNode`; the default transport everywhere.
* ``ours_node_side``: our node with the profile, camera and receiver without.

The engine's time is taken in the node's process, per frame, in two ways: ``session`` is ONNX
Runtime alone (so the shrinking of the frame counts as the node's cost), ``engine`` is all of
`SegmentationEngine.infer`. The usual node has no such engine: it is compared by ``session``. The
echo does not shrink: it is compared by ``engine``.

First the masks are compared: ours with those made offline, pixel for pixel, and those of the
usual node, whose arithmetic differs.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
import time
from typing import Any, Final, NamedTuple

from nodes import echo_node, EngineTimes, NAME, Span, usual_node, vidseg_node, write_float_model
import numpy as np
from numpy.typing import NDArray
from peers import camera, Mask, Masks, receiver, Sent
from pictures import make_pictures, offline_masks
from processes import Child, Group, Transport, Work
import rclpy
from report import finish, surroundings, Target

from vidseg_ros.core.resources import find_model
from vidseg_ros.core.timing import summarize

SIZES: Final = {'720p': (720, 1280), '1080p': (1080, 1920)}
RATE_HZ: Final = 10.0
PICTURES: Final = 8
LEAST_AGREEMENT: Final = {'ours': 1.0, 'usual': 0.99, 'ours_node_side': 1.0}
"""Share of a mask's pixels that must be as in the mask made offline."""
MOST_OVER_ECHO: Final = 1.3
LEAST_UNDER_USUAL: Final = 3.0

_SETTLE_S: Final = 1.0
"""Silence after a turn, for what is still on its way, s."""

_WARM_UP: Final = 5
"""First frames of each turn, which meet cold caches and are not counted."""


class Variant(NamedTuple):
    """A node under test and its surroundings."""

    work: Work
    arguments: tuple[Any, ...]
    node: Transport
    peers: Transport
    lifecycle: str | None


class Turn(NamedTuple):
    """One size, once, through one variant."""

    variant: str
    size: str
    sent: Sequence[Sent]


class Journey(NamedTuple):
    """A frame that came back (ns)."""

    all_ns: int
    session_ns: int
    engine_ns: int


def main() -> int:
    """Measure; return 1 if masks differ or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--model', default='street', help='default: %(default)s')
    parser.add_argument('--frames', type=int, default=50, help='of a turn, default: %(default)s')
    parser.add_argument('--rounds', type=int, default=6, help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    result = surroundings('numpy', 'onnxruntime', 'ros-rclpy', 'ros-rmw-fastrtps-cpp')
    model = find_model(arguments.model)
    with TemporaryDirectory(prefix='vidseg_bench_') as folder:
        pictures = {name: Path(folder, f'{name}.npy') for name in SIZES}
        for name, size in SIZES.items():
            make_pictures(pictures[name], size, PICTURES)
        float_model = write_float_model(model, Path(folder, 'float.onnx'))
        ours = (vidseg_node, (arguments.model,))
        variants = {
            'ours': Variant(*ours, 'profile', 'profile', NAME),
            'echo': Variant(echo_node, (), 'profile', 'profile', None),
            'usual': Variant(usual_node, (float_model,), 'default', 'default', None),
            'ours_node_side': Variant(*ours, 'profile', 'default', NAME),
        }
        turns, masks, engines = _play(variants, pictures, arguments.rounds, arguments.frames)
        expected = {name: offline_masks(model, path) for name, path in pictures.items()}
    agreement = {name: _agreement(turns, name, masks[name], expected) for name in LEAST_AGREEMENT}
    for name, value in agreement.items():
        print(f'{name}: {100 * value:.3f} % of the pixels as offline, at least')
    if not all(agreement[name] >= least for name, least in LEAST_AGREEMENT.items()):
        print(f'wanted {LEAST_AGREEMENT}: the times mean nothing')
        return 1
    rows = {name: _row(turns, name, masks[name].received, engines[name]) for name in variants}
    result |= {
        'question': 'cost of a frame besides the engine: publish call -> mask received, minus '
        'the engine',
        'rmw': rclpy.get_rmw_implementation_identifier(),
        'transport': {
            name: {'node': variant.node, 'camera_and_receiver': variant.peers}
            for name, variant in variants.items()
        },
        'encoding': 'bgr8',
        'rate_hz': RATE_HZ,
        'rounds': arguments.rounds,
        'frames_of_a_turn': arguments.frames,
        'uncounted_first_frames_of_a_turn': _WARM_UP,
        'model': arguments.model,
        'least_agreement_with_offline': agreement,
        'variants': rows,
    }
    targets = _targets(rows)
    return finish(result, targets, name=f'node_latency_{arguments.model}', out=arguments.out)


def _play(
    variants: Mapping[str, Variant], pictures: Mapping[str, Path], rounds: int, frames: int
) -> tuple[list[Turn], dict[str, Masks], dict[str, EngineTimes]]:
    """Start everything, let all variants have their turns, and collect what they noted."""
    turns = []
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(_started(variant, number))
            for number, (name, variant) in enumerate(variants.items())
        }
        for number in range(rounds):
            names = list(variants)
            names = names[number % len(names) :] + names[: number % len(names)]
            for size, path in pictures.items():
                for name in names:
                    sender = started[name][0]
                    sent = sender.ask([path], frames, timeout_s=60 + 2 * frames / RATE_HZ)
                    turns.append(Turn(name, size, sent))
                    time.sleep(_SETTLE_S)
            print(f'round {number + 1} of {rounds}', flush=True)
        masks = {name: children[1].finish() for name, children in started.items()}
        engines = {name: children[2].finish() for name, children in started.items()}
    return turns, masks, engines


@contextmanager
def _started(variant: Variant, number: int) -> Iterator[tuple[Child, Child, Child]]:
    """Start camera, receiver and node, connected."""
    group = Group(number)
    peers, arguments = group.environment(variant.peers), group.arguments()
    with (
        Child('camera', peers, camera, arguments, ['image'], RATE_HZ) as sender,
        Child(
            *('receiver', peers, receiver, arguments),
            *([f'{NAME}/label_map'], variant.lifecycle),
        ) as listener,
        Child(
            *('node', group.environment(variant.node), variant.work, arguments),
            *variant.arguments,
        ) as node,
    ):
        listener.ask('connect', timeout_s=120, needs=[node])
        yield sender, listener, node


def _agreement(
    turns: Sequence[Turn],
    variant: str,
    masks: Masks,
    expected: Mapping[str, Sequence[NDArray[np.uint8]]],
) -> float:
    """Return the least share of equal pixels over all masks; 0 if there was none."""
    sent = {
        frame.stamp_ns: expected[turn.size][frame.picture]
        for turn in turns
        if turn.variant == variant
        for frame in turn.sent
    }
    shares: dict[tuple[int, int], float] = {}
    for mask in masks.received:
        wanted = sent[mask.stamp_ns]
        key = (mask.checksum, id(wanted))
        if key not in shares:
            picture = masks.pictures.get(mask.checksum)
            if picture is None or picture.shape != wanted.shape:
                return 0.0
            shares[key] = float(np.mean(picture == wanted))
    return min(shares.values(), default=0.0)


def _row(
    turns: Sequence[Turn], variant: str, masks: Sequence[Mask], engine: EngineTimes
) -> dict[str, Any]:
    """Return the numbers of one variant by size."""
    received = {mask.stamp_ns: mask for mask in masks}
    session, infer = iter(engine.session), iter(engine.infer)
    journeys: dict[str, list[Journey]] = {size: [] for size in SIZES}
    counts = {size: Counter({'sent': 0, 'without_mask': 0, 'unclear': 0}) for size in SIZES}
    for turn in turns:
        if turn.variant != variant:
            continue
        counts[turn.size]['sent'] += len(turn.sent)
        for number, frame in enumerate(turn.sent):
            mask = received.get(frame.stamp_ns)
            if mask is None:
                counts[turn.size]['without_mask'] += 1
                continue
            spans = [_within(spans, frame, mask) for spans in (session, infer)]
            if spans[0] is None and engine.session:
                counts[turn.size]['unclear'] += 1
            elif number >= _WARM_UP:
                times = [0 if span is None else span[1] - span[0] for span in spans]
                journeys[turn.size].append(Journey(mask.at_ns - frame.at_ns, *times))
    return {
        size: {
            **counts[size],
            'minus_session': summarize([j.all_ns - j.session_ns for j in found]).to_dict(),
            'minus_engine': summarize(
                [j.all_ns - (j.engine_ns or j.session_ns) for j in found]
            ).to_dict(),
            'all': summarize([j.all_ns for j in found]).to_dict(),
            'session': summarize([j.session_ns for j in found]).to_dict(),
        }
        for size, found in journeys.items()
    }


def _within(spans: Iterator[Span], frame: Sent, mask: Mask) -> Span | None:
    """Return when the engine worked on a frame: the next time after it was sent.

    Frames are asked for in the order in which the engine worked. What it did before this frame
    was sent is left out: that mask was lost.
    """
    span = next((span for span in spans if span[0] >= frame.at_ns), None)
    return span if span is not None and span[1] <= mask.at_ns else None


def _targets(rows: Mapping[str, Any]) -> list[Target]:
    targets = []
    for size in SIZES:
        ours, echo, usual = (rows[name][size] for name in ('ours', 'echo', 'usual'))
        over = _ratio(ours['minus_engine'], echo['all'])
        under = _ratio(usual['minus_session'], ours['minus_session'])
        targets += [
            Target(
                what=f'{size}: p50 of ours / of the echo',
                value=over,
                limit=MOST_OVER_ECHO,
                higher_is_better=False,
            ),
            Target(
                what=f'{size}: p50 of the usual node / of ours',
                value=under,
                limit=LEAST_UNDER_USUAL,
                higher_is_better=True,
            ),
        ]
    return targets


def _ratio(above: Mapping[str, float | None], below: Mapping[str, float | None]) -> float:
    """Return the ratio of two medians; not a number if there is nothing to compare."""
    if not (above['p50_ms'] and below['p50_ms']):
        return float('nan')
    return above['p50_ms'] / below['p50_ms']


if __name__ == '__main__':
    raise SystemExit(main())
