# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What does the node do when cameras send far more than the model manages?

Usage::

    python bench/overload.py

Cameras, node and receiver are three processes, with the shared memory profile. The model is slow
on purpose: its engine sleeps after each inference until that has taken 1/8 s per frame, so the
result does not depend on the machine.

* ``one camera``: 1280x720 at 60 Hz. No mask may be older than two inferences when it arrives.
* ``six cameras``: 10 Hz each, three of 1280x720 and three of 640x360, so that the node works in
  batches. No camera may get less than 0.8 of its share.

In both the node's own memory must stay flat, and every frame that it received must be accounted
for on ``/diagnostics``, exactly. Every mask must be the one made offline, pixel for pixel. Frames
that the middleware lost on the way to the node are told, too: the node cannot know of them.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
import statistics
from tempfile import TemporaryDirectory
import time
from typing import Any, Final, NamedTuple
import zlib

from nodes import NAME, slow_vidseg_node
from peers import camera, Masks, receiver, Sent
from pictures import make_pictures, offline_masks
from processes import Child, Group
import rclpy
from report import finish, surroundings, Target

from vidseg_ros.core.resources import find_model
from vidseg_ros.core.timing import summarize

MODEL_HZ: Final = 8.0
SIZES: Final = {'720p': (720, 1280), '360p': (360, 640)}
PICTURES: Final = 8
MOST_INFERENCES: Final = 2.0
MOST_GROWTH_MB: Final = 5.0
LEAST_SHARE: Final = 0.8
LEAST_S: Final = 5.0

_SAMPLE_S: Final = 0.5
_SETTLE_S: Final = 15.0
_WARM_UP: Final = 0.25
"""Share of the time after which memory is watched."""

_MEMORY: Final = {'VmRSS': 'all', 'RssAnon': 'own', 'RssShmem': 'shared'}
"""Own memory is what the target is for. Shared memory is the segments of the transport, as far as
the node has touched them: it grows when a late frame is put elsewhere, up to their fixed size."""


class Scenario(NamedTuple):
    """Cameras and how fast they are."""

    cameras: tuple[str, ...]
    """None: the single topic ``image``."""
    sizes: tuple[str, ...]
    """Keys of `SIZES`, which the cameras take in turn."""
    rate_hz: float

    def topics(self, pattern: str) -> list[str]:
        """Return a topic for each camera."""
        return [pattern.format(f'{name}/') for name in self.cameras] or [pattern.format('')]


SCENARIOS: Final = {
    'one camera': Scenario((), ('720p',), 60.0),
    'six cameras': Scenario(tuple(f'camera_{n}' for n in range(6)), ('720p', '360p'), 10.0),
}


class Run(NamedTuple):
    """What a scenario left behind."""

    sent: list[Sent]
    masks: Masks
    memory_mb: list[dict[str, float]]
    """Of the node, at equal distances in time."""


def main() -> int:
    """Overload the node; return 1 if a mask is wrong or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--model', default='street', help='default: %(default)s')
    parser.add_argument(
        '--seconds', type=float, default=60.0, help='of each scenario, default: %(default)s'
    )
    parser.add_argument('--out', type=Path, help='JSON file for the result')
    arguments = parser.parse_args()
    if not arguments.seconds >= LEAST_S:
        parser.error(f'--seconds must be at least {LEAST_S:g}, so that memory can be watched')
    result = surroundings('numpy', 'onnxruntime', 'ros-rclpy', 'ros-rmw-fastrtps-cpp')
    model = find_model(arguments.model)
    rows, targets = {}, []
    with TemporaryDirectory(prefix='vidseg_bench_') as folder:
        pictures = {name: Path(folder, f'{name}.npy') for name in SIZES}
        for name, size in SIZES.items():
            make_pictures(pictures[name], size, PICTURES)
        checksums = {
            name: [zlib.crc32(mask.data) for mask in offline_masks(model, path)]
            for name, path in pictures.items()
        }
        for name, scenario in SCENARIOS.items():
            print(f'{name}: {arguments.seconds:g} s', flush=True)
            run = _run(scenario, pictures, arguments.model, arguments.seconds)
            if not _right(scenario, run, checksums):
                print('a mask differs from the one made offline, or there is none')
                return 1
            rows[name] = _row(scenario, run)
            targets += _targets(name, rows[name])
    result |= {
        'question': 'age, memory, account and fairness when cameras outrun the model',
        'transport': f'{rclpy.get_rmw_implementation_identifier()}, shared memory profile in all '
        'three processes',
        'encoding': 'bgr8',
        'model': arguments.model,
        'slowed_down': f'the engine sleeps after each inference until 1/{MODEL_HZ:g} s a frame',
        'seconds': arguments.seconds,
        'masks_as_offline': True,
        'scenarios': rows,
    }
    return finish(result, targets, name=f'overload_{arguments.model}', out=arguments.out)


def _run(scenario: Scenario, pictures: Mapping[str, Path], model: str, seconds: float) -> Run:
    """Let the cameras play; watch the node's memory meanwhile."""
    group = Group()
    environment, arguments = group.environment('profile'), group.arguments()
    memory_mb = []
    with (
        Child(
            *('cameras', environment, camera, arguments),
            *(scenario.topics('{}image'), scenario.rate_hz),
        ) as sender,
        Child(
            *('receiver', environment, receiver, arguments),
            *(scenario.topics(f'{NAME}/{{}}label_map'), NAME),
        ) as listener,
        Child(
            *('node', environment, slow_vidseg_node, arguments),
            *(model, MODEL_HZ, scenario.cameras),
        ) as node,
    ):
        listener.ask('connect', timeout_s=120, needs=[node])
        sender.send([pictures[size] for size in scenario.sizes], round(seconds * scenario.rate_hz))
        while not sender.has_answered(_SAMPLE_S):
            memory_mb.append(_memory_mb(node.pid))
        sent = sender.receive()
        _wait_until_all_is_accounted_for(listener)
        masks = listener.finish()
        node.finish()
    return Run(sent, masks, memory_mb)


def _wait_until_all_is_accounted_for(listener: Child) -> None:
    """Wait for what is still on its way through the node; no longer than `_SETTLE_S`."""
    deadline = time.monotonic() + _SETTLE_S
    time.sleep(3.0)  # for a status from after the last frame
    while time.monotonic() < deadline:
        accounts = _accounts(listener.ask('diagnostics')).values()
        if accounts and not any(account['missing'] for account in accounts):
            return
        time.sleep(_SAMPLE_S)


def _accounts(diagnostics: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """Return for each camera what became of the frames that the node received.

    Names are those of the statuses without the namespace, which is another one in every run.
    """
    accounts = {}
    for name, values in diagnostics.items():
        if 'received' not in values:
            continue  # the status of the engine
        drops = {key: int(text) for key, text in values.items() if key.startswith('dropped.')}
        received, published = int(values['received']), int(values['segmented'])
        node, _, of = name.partition(': ')
        accounts[f'{node.rpartition("/")[2]}: {of}'] = {
            'received': received,
            'published': published,
            **drops,
            'missing': received - published - sum(drops.values()),
        }
    return accounts


def _right(scenario: Scenario, run: Run, checksums: Mapping[str, Sequence[int]]) -> bool:
    """Whether every mask is the one made offline, of the frame with its stamp."""
    topics = scenario.topics('{}image')
    answers = dict(zip(scenario.topics(f'{NAME}/{{}}label_map'), topics, strict=True))
    wanted = {}
    for frame in run.sent:
        number = topics.index(frame.topic)
        size = scenario.sizes[number % len(scenario.sizes)]
        wanted[frame.topic, frame.stamp_ns] = checksums[size][frame.picture]
    received = run.masks.received
    return bool(received) and all(
        wanted.get((answers[mask.topic], mask.stamp_ns)) == mask.checksum for mask in received
    )


def _row(scenario: Scenario, run: Run) -> dict[str, Any]:
    """Return the numbers of one scenario."""
    published_ns = {frame.stamp_ns: frame.at_ns for frame in run.sent}
    ages_ns = [mask.at_ns - published_ns[mask.stamp_ns] for mask in run.masks.received]
    counts = Counter(mask.topic for mask in run.masks.received)
    masks = {topic: counts[topic] for topic in scenario.topics(f'{NAME}/{{}}label_map')}
    share = sum(masks.values()) / len(masks)
    accounts = _accounts(run.masks.diagnostics[-1] if run.masks.diagnostics else {})
    watched = run.memory_mb[round(_WARM_UP * len(run.memory_mb)) :]
    return {
        'cameras': len(masks),
        'rate_hz': scenario.rate_hz,
        'sizes': {size: SIZES[size] for size in scenario.sizes},
        'sent': len(run.sent),
        'lost_by_the_middleware': len(run.sent)
        - sum(account['received'] for account in accounts.values()),
        'accounts': accounts,
        'masks_lost': sum(account['published'] for account in accounts.values())
        - len(run.masks.received),
        'masks': masks,
        'least_share': min(masks.values()) / share,
        'age': summarize(ages_ns).to_dict(),
        'age_in_inferences': max(ages_ns) / 1e9 * MODEL_HZ,
        'memory_mb': {
            kind: {
                'growth': _growth([sample[kind] for sample in watched]),
                'samples': [round(sample[kind], 2) for sample in run.memory_mb],
            }
            for kind in _MEMORY.values()
        },
    }


def _growth(samples: Sequence[float]) -> float:
    """Return the median of the last third minus that of the first.

    Single samples differ by the frames that the node has in its hands at that moment.
    """
    third = max(1, len(samples) // 3)
    return statistics.median(samples[-third:]) - statistics.median(samples[:third])


def _memory_mb(pid: int) -> dict[str, float]:
    """Return the resident memory of a process, in MB (10^6 bytes)."""
    fields = dict(
        line.split(':', 1)
        for line in Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines()
    )
    return {name: int(fields[field].split()[0]) * 1024 / 1e6 for field, name in _MEMORY.items()}


def _targets(name: str, row: Mapping[str, Any]) -> list[Target]:
    """Return what a scenario has to reach."""

    def most(what: str, value: float, limit: float) -> Target:
        return Target(what=f'{name}: {what}', value=value, limit=limit, higher_is_better=False)

    missing = [abs(account['missing']) for account in row['accounts'].values()]
    targets = [
        most('frames received, but neither published nor dropped', max(missing, default=1), 0),
        most('masks published, but not received', abs(row['masks_lost']), 0),
        most('growth of own memory, MB', row['memory_mb']['own']['growth'], MOST_GROWTH_MB),
    ]
    if row['cameras'] == 1:
        targets.append(most('oldest mask, inferences', row['age_in_inferences'], MOST_INFERENCES))
    else:
        targets.append(
            Target(
                what=f'{name}: masks of the poorest camera / its share',
                value=row['least_share'],
                limit=LEAST_SHARE,
                higher_is_better=True,
            )
        )
    return targets


if __name__ == '__main__':
    raise SystemExit(main())
