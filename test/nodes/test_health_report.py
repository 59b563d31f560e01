# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile

from vidseg_ros.nodes import health_report
from vidseg_ros.nodes.diagnostics import OK, Verdict, WARN
from vidseg_ros.nodes.health_report import HealthReport, LOG_AGAIN_S
from vidseg_ros.nodes.qos import QosClashes

GRAPH = 'segmentation: graph'
BAD = Verdict(level=WARN, texts={'clock': 'odd stamps', 'age': 'old'}, logged=('clock',))
GOOD = Verdict(level=OK, texts={'fine': 'all is well'}, logged=())


class FakeNode:
    """Keeps what it is given to publish and to log."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.log: list[str] = []

    def resolve_topic_name(self, topic: str) -> str:
        return topic

    def create_publisher(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(publish=self.sent.append)

    def get_fully_qualified_name(self) -> str:
        return '/car/node'

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=self.log.append)

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: Time(sec=7)))


def test_statuses_are_sent_together_and_once() -> None:
    node: Any = FakeNode()
    report = HealthReport(node, QosClashes(node))
    report.add('front', '/front/image', BAD, {'rate_hz': '1.0'})
    report.add('rear', '/rear/image', GOOD, {})
    report.send()
    report.send()
    first, second = node.sent
    assert first.header.stamp == Time(sec=7)
    assert [(status.name, status.level) for status in first.status] == [
        ('car/node: front', WARN),
        ('car/node: rear', OK),
    ]
    assert first.status[0].message == 'odd stamps; old'
    assert not second.status


def test_what_begins_is_logged_once_for_each_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(s=5.0)
    monkeypatch.setattr(health_report, 'time', SimpleNamespace(monotonic=lambda: now.s))
    node: Any = FakeNode()
    report = HealthReport(node, QosClashes(node))
    for _ in range(200):  # longer than LOG_AGAIN_S, but it never went away
        now.s += 1
        report.add('front', '', BAD, {})
    report.add('rear', '', BAD, {})
    assert node.log == ['front: odd stamps', 'rear: odd stamps']
    report.add('front', '', GOOD, {})
    now.s += LOG_AGAIN_S / 2
    report.add('front', '', BAD, {})
    assert len(node.log) == 2, 'it comes and goes'
    now.s += LOG_AGAIN_S
    report.add('front', '', BAD, {})
    assert node.log[2:] == ['front: odd stamps']


OVERRIDE = 'qos_overrides./diagnostics.publisher.'


@pytest.mark.parametrize('context', [('__ns:=/left',)], indirect=True)
def test_nodes_of_different_namespaces_send_different_names(peer: Any) -> None:
    peer.start(diagnostics_period=0.1)
    peer.wait_for(lambda: 'left/segmentation: engine' in peer.statuses, 'diagnostic')
    assert 'segmentation: engine' not in peer.statuses


def test_the_qos_of_the_topic_can_be_overridden(peer: Any) -> None:
    node = peer.start(**{f'{OVERRIDE}depth': 7})
    (publisher,) = (p for p in node.publishers if p.topic_name == '/diagnostics')
    assert publisher.qos_profile.depth == 7


def test_a_subscriber_of_the_topic_that_cannot_connect_is_named(peer: Any) -> None:
    peer.start(diagnostics_period=0.1)
    peer.wait_for(lambda: peer.values(GRAPH).get('rules') == 'fine', 'diagnostic')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(DiagnosticArray, '/diagnostics', print, latched)
    peer.wait_for(lambda: peer.values(GRAPH).get('rules') == 'incompatible_qos', 'warning')
    assert '/diagnostics: this publisher offers' in peer.statuses[GRAPH].message


def test_an_override_that_cannot_be_used_is_for_configure_to_say(
    peer: Any, tiny_model: Path
) -> None:
    override = f'{OVERRIDE}reliability'
    peer.start(model=str(tiny_model), diagnostics_period=0.1, **{override: 'hopeful'})
    assert not peer.change('CONFIGURE')
    assert peer.state() == 'unconfigured'

    def message() -> str:
        status = peer.statuses.get('segmentation: engine')
        return '' if status is None else str(status.message)

    peer.wait_for(lambda: 'hopeful' in message(), 'diagnostic, all the same')
    assert message().startswith(f'parameter {override.rpartition(".")[0]} cannot be used: ')


def test_a_second_node_of_the_same_name_is_a_warning(peer: Any) -> None:
    peer.start(diagnostics_period=0.1)

    def rules() -> str | None:
        found: str | None = peer.values(GRAPH).get('rules')
        return found

    peer.wait_for(lambda: rules() == 'fine', 'diagnostic')
    command = [sys.executable, '-m', 'vidseg_ros.nodes.segmentation_node', '--ros-args']
    process = subprocess.Popen(
        [*command, '--disable-external-lib-logs', '-p', 'diagnostics_period:=60.0'],
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    try:
        peer.wait_for(lambda: rules() == 'namesake', 'warning')
        assert peer.values(GRAPH)['namesakes'] == '1'
        text = 'graph: another node is called /segmentation ('
        peer.wait_for(lambda: any(log.startswith(text) for log in peer.logs), 'log')
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
    peer.wait_for(lambda: rules() == 'fine', 'end of the warning')
