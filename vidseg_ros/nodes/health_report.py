# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Sends what the node finds about itself to ``/diagnostics``, and the worst of it to the log."""

from collections.abc import Iterable, Mapping
import time
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import Header

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.inference.prediction import SegmentationEngine
from vidseg_ros.nodes.clock_check import ClockReading
from vidseg_ros.nodes.diagnostics import (
    ENGINE_RULES,
    EngineFacts,
    GRAPH_RULES,
    GraphFacts,
    judge,
    make_status,
    Verdict,
)
from vidseg_ros.nodes.qos import advertise, QosClashes

_TOPIC: Final = '/diagnostics'

_FAREWELL_S: Final = 1
"""Longest wait for subscribers that are slow or gone, seconds."""

LOG_AGAIN_S: Final = 60.0
"""A trouble that comes back is logged again only if it was away for so long, seconds."""


class HealthReport:
    """Collects statuses and sends them together. Belongs to the node's executor."""

    def __init__(self, node: Node, clashes: QosClashes) -> None:
        """Offer ``/diagnostics``.

        Args:
            node: Owner; gives names, clock and log.
            clashes: Hears of subscribers that cannot connect.
        """
        self._node = node
        self.problems: dict[str, str] = {}
        """Why QoS overrides of the topic cannot be used: then it has its own QoS all the same."""
        try:
            self._publisher = advertise(node, None, DiagnosticArray, _TOPIC, clashes=clashes)
        except ParameterError as error:
            self.problems[_TOPIC] = str(error)
            self._publisher = node.create_publisher(DiagnosticArray, _TOPIC, 1)
        self._statuses: list[DiagnosticStatus] = []
        self._last_seen: dict[tuple[str, str], float] = {}

    def add(
        self, name: str, hardware_id: str, verdict: Verdict, values: Mapping[str, str]
    ) -> None:
        """Add a status to what is sent next, and log what it has begun to complain about.

        Args:
            name: What it is about; the node's name goes in front.
            hardware_id: Device or topic, for people.
            verdict: Level, message and what to log.
            values: Its values.
        """
        for rule in verdict.logged:
            now_s = time.monotonic()
            if now_s - self._last_seen.get((name, rule), -LOG_AGAIN_S) >= LOG_AGAIN_S:
                self._node.get_logger().warning(f'{name}: {verdict.texts[rule]}')
            self._last_seen[name, rule] = now_s
        # With the namespace: an aggregator knows a status by its name alone.
        node = self._node.get_fully_qualified_name().removeprefix('/')
        self._statuses.append(make_status(f'{node}: {name}', hardware_id, verdict, values))

    def add_engine(  # noqa: PLR0913  # all but one by name
        self,
        engine: SegmentationEngine | None,
        *,
        state: str,
        failure: str,
        building: str,
        fallback: str,
        wants_confidence: bool,
    ) -> None:
        """Add the state of the node and what the engine really runs on.

        Args:
            engine: The engine, if it is open.
            state: State of the lifecycle.
            failure: Why the last transition or the engine failed; '' if neither did.
            building: How far the build of one is; '' if none is built.
            fallback: Why it is not the one that is installed for this machine; '' if it is.
            wants_confidence: Whether anybody listens to a confidence.
        """
        mute = ''
        values = {'state': state, 'building': building}
        if engine is not None:
            info = engine.info
            values |= {
                'model': engine.card.name,
                'engine': info.name,
                'engine_version': info.version,
                'device': info.device,
                'precision': info.precision,
                'note': info.note,
            }
            mute = engine.card.name if wants_confidence and not engine.has_confidence else ''
        facts = EngineFacts(
            state=state, failure=failure, building=building, fallback=fallback, mute=mute
        )
        verdict = judge(ENGINE_RULES, facts)
        self.add('engine', values.get('device', ''), verdict, values)

    def add_graph(self, clashes: QosClashes, misfits: Iterable[str]) -> None:
        """Add how the node gets on with others: namesakes, endpoints that cannot connect.

        Args:
            clashes: Knows whom quality of service keeps apart.
            misfits: Who publishes another type than is expected; '' says nothing.
        """
        name = self._node.get_fully_qualified_name()
        facts = GraphFacts(
            name=name,
            namesakes=self._node.get_fully_qualified_node_names().count(name) - 1,
            clashes='; '.join(clashes.messages()),
            misfits='; '.join(filter(None, misfits)),
        )
        values = {'namesakes': str(max(facts.namesakes, 0))}
        self.add('graph', name, judge(GRAPH_RULES, facts), values)

    def send(self) -> None:
        """Publish what was added since the last time."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._publisher.publish(DiagnosticArray(header=header, status=self._statuses))
        self._statuses = []

    def flush(self) -> None:
        """Wait until reliable subscribers have what was sent, for the last words of a process."""
        self._publisher.wait_for_all_acked(Duration(seconds=_FAREWELL_S))


def read_clock(node: Node) -> ClockReading:
    """Read the node's ROS clock."""
    simulated = bool(node.get_parameter('use_sim_time').value)
    return ClockReading(node.get_clock().now().nanoseconds, simulated)
