# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What docs/ros.md names exists: topics, parameters, launch arguments, options."""

from importlib.util import find_spec
from pathlib import Path
import re
import shlex
from typing import Any

import pytest

pytest.importorskip('rclpy')

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CompressedImage

from vidseg_ros.nodes import bag_player, mask_recorder
from vidseg_ros.nodes.parameters import _DECLARATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'ros.md').read_text()
NODE = '/segmentation'
OF_EVERY_NODE = {'/parameter_events', '/rosout', '/clock', f'{NODE}/transition_event'}


def commands(*start: str) -> list[list[str]]:
    """Return the words of every shell command that starts so."""
    blocks = re.findall(r'^```bash\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
    inline = [part for part in re.findall(r'`([^`\n]+)`', PAGE) if part.startswith('ros2 ')]
    lines = [*''.join(blocks).replace('\\\n', ' ').splitlines(), *inline]
    found = [shlex.split(line) for line in lines if '$(' not in line]
    return [words for words in found if tuple(words[: len(start)]) == start]


def section(title: str) -> str:
    """Return the text under a heading."""
    return PAGE.split(f'\n## {title}\n')[1].split('\n## ')[0]


def described_topics() -> dict[tuple[str, str], tuple[str, str]]:
    """Return type and QoS of each topic by direction and full name."""
    rows = re.findall(r'^\| (in|out) \| `(.+?)` \| (\S+) \| (.+) \|$', PAGE, re.MULTILINE)
    topics = {}
    for direction, name, kind, qos in rows:
        full = name.replace('~', NODE) if name.startswith('~') else '/' + name.lstrip('/')
        if not kind.startswith('vision_msgs') or find_spec('vision_msgs'):
            topics[direction, full] = (kind, qos)
    return topics


def test_the_node_has_exactly_the_topics_of_the_page(peer: Any, tiny_model: Path) -> None:
    described = described_topics()
    assert len(described) >= 8
    peer.publisher('/image/compressed', CompressedImage)  # subscribed to only while it is there
    peer.start_active(model=str(tiny_model), mask_size='network')

    def found() -> dict[tuple[str, str], str]:
        ask = {
            'in': peer.node.get_subscriber_names_and_types_by_node,
            'out': peer.node.get_publisher_names_and_types_by_node,
        }
        return {
            (direction, name): kind
            for direction, names in ask.items()
            for name, (kind, *_) in names(NODE[1:], '/')
            if name not in OF_EVERY_NODE
        }

    peer.wait_for(lambda: len(found()) == len(described), f'{len(described)} topics: {found()}')
    assert found() == {topic: kind for topic, (kind, _) in described.items()}
    for (direction, name), (_, qos) in described.items():
        infos = (
            peer.node.get_subscriptions_info_by_topic(name)
            if direction == 'in'
            else peer.node.get_publishers_info_by_topic(name)
        )
        (profile,) = (info.qos_profile for info in infos if info.node_name == NODE[1:])
        reliable = profile.reliability == ReliabilityPolicy.RELIABLE
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert reliable == qos.startswith('reliable'), name
        assert reliable != qos.startswith('best effort'), name
        assert latched == ('transient local' in qos), name


def test_topics_in_commands_are_the_nodes() -> None:
    topics = {name for _, name in described_topics()} | {'/camera/image_raw'}
    asked = commands('ros2', 'topic')
    assert len(asked) >= 4
    assert {words[-1] for words in asked if words[-1].startswith('/')} <= topics


def test_parameters_exist() -> None:
    named = {words[4] for verb in ('set', 'describe') for words in commands('ros2', 'param', verb)}
    named |= set(re.findall(r'`([a-z_]+): [^`]+`', PAGE))
    assert {'mask_size', 'overlay_opacity', 'cameras'} <= named
    assert named <= _DECLARATIONS.keys()


def launch_arguments(file: str) -> set[str]:
    """Return the arguments that a launch file declares, those of what it includes as well."""
    text = (ROOT / 'launch' / file).read_text()
    included = set(re.findall(r'[a-z]+\.launch\.py', text)) - {file}
    declared = set(re.findall(r"DeclareLaunchArgument\(\s*'([a-z_]+)'", text))
    return declared.union(
        *(launch_arguments(other) for other in included if file == 'replay.launch.py')
    )


def test_launch_arguments_exist() -> None:
    of_segmentation = launch_arguments('segmentation.launch.py')
    of_replay = launch_arguments('replay.launch.py')
    assert of_segmentation < of_replay
    launched = commands('ros2', 'launch', 'vidseg_ros')
    assert len(launched) >= 7
    for words in launched:
        given = {word.split(':=')[0] for word in words[4:] if ':=' in word}
        assert given <= launch_arguments(words[3])
    table = re.findall(r'^\| (`.+?`) \|', section('Start'), re.MULTILINE)
    assert {name for cell in table for name in re.findall(r'[a-z_]+', cell)} == of_segmentation
    inline = {name for name, _ in re.findall(r'[` ]([a-z_]+):=([^/`])', PAGE)}
    assert inline - {'front', 'image', 'rear'} <= of_replay


@pytest.mark.parametrize(
    ('program', 'parser'),
    [('bag_player', bag_player._parser()), ('mask_recorder', mask_recorder._parser())],
)
def test_options_exist(program: str, parser: Any) -> None:
    started = commands('ros2', 'run', 'vidseg_ros', program)
    assert started
    for words in started:
        parser.parse_args(remove_ros_args(words[4:]))


def test_diagnostic_values_exist(peer: Any, tiny_model: Path, scene: Any) -> None:
    values = {'received', 'dropped.replaced', 'infer.p50_ms', 'newest_age_ms'}
    assert all(f'`{value}`' in PAGE for value in values)
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(f'{NODE}/label_map')
    peer.segment(scene().message(peer.header()), masks)
    peer.wait_for(lambda: values <= peer.values().keys(), f'{values} in {peer.values()}')
