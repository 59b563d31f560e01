# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What keeps publishers and subscriptions apart, in theory and over DDS."""

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')

from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    LivelinessPolicy,
    qos_check_compatible,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from sensor_msgs.msg import Image

from vidseg_ros.core.errors import ParameterError
from vidseg_ros.nodes.qos import advertise, Endpoint, explain, QosClashes, refuse_overrides

MASKS = '/segmentation/label_map'
WARN, OK = b'\x01', b'\x00'
GRAPH = 'segmentation: graph'

DEFAULT: dict[str, Any] = {'depth': 1}
STRICT: dict[str, dict[str, Any]] = {
    'reliability': {'reliability': ReliabilityPolicy.RELIABLE},
    'durability': {'durability': DurabilityPolicy.TRANSIENT_LOCAL},
    'deadline': {'deadline': Duration(seconds=1)},
    'liveliness': {'liveliness': LivelinessPolicy.MANUAL_BY_TOPIC},
    'liveliness_lease_duration': {'liveliness_lease_duration': Duration(seconds=2)},
}
"""What a subscription may request that the lax publisher does not offer."""

LAX: dict[str, Any] = {
    'depth': 1,
    'reliability': ReliabilityPolicy.BEST_EFFORT,
    'durability': DurabilityPolicy.VOLATILE,
    'liveliness': LivelinessPolicy.AUTOMATIC,
}


def other(profile: QoSProfile) -> Any:
    return SimpleNamespace(node_name='driver', node_namespace='/front', qos_profile=profile)


@pytest.mark.parametrize('policy', STRICT)
def test_each_policy_that_keeps_apart_is_named_with_both_values(policy: str) -> None:
    offered, requested = QoSProfile(**LAX), QoSProfile(**LAX | STRICT[policy])
    assert qos_check_compatible(offered, requested)[0] == QoSCompatibility.ERROR
    publishes = explain(Endpoint('publisher', '/a'), offered, other(requested))
    subscribes = explain(Endpoint('subscription', '/a'), requested, other(offered))
    values = {
        'reliability': ('best_effort', 'reliable'),
        'durability': ('volatile', 'transient_local'),
        'deadline': ('infinite', '1 s'),
        'liveliness': ('automatic', 'manual_by_topic'),
        'liveliness_lease_duration': ('infinite', '2 s'),
    }[policy]
    assert publishes.startswith(
        f'/a: this publisher offers {policy} {values[0]}, the subscription in /front/driver '
        f'requests {values[1]}, so they do not connect; '
    )
    assert f'give the subscription in /front/driver {policy} {values[0]}' in publishes
    assert subscribes.startswith(
        f'/a: this subscription requests {policy} {values[1]}, the publisher in /front/driver '
        f'offers {values[0]}, so they do not connect; '
    )
    assert f'give the publisher in /front/driver {policy} {values[1]}' in subscribes


@pytest.mark.parametrize('policy', STRICT)
def test_a_publisher_may_offer_more_than_is_requested(policy: str) -> None:
    offered, requested = QoSProfile(**LAX | STRICT[policy]), QoSProfile(**LAX)
    assert qos_check_compatible(offered, requested)[0] != QoSCompatibility.ERROR
    assert explain(Endpoint('publisher', '/a'), offered, other(requested)) == ''
    assert explain(Endpoint('subscription', '/a'), requested, other(offered)) == ''


@pytest.mark.parametrize(
    ('kind', 'policy', 'text'),
    [
        (
            'subscription',
            QoSPolicyKind.RELIABILITY,
            'set qos_overrides./a.subscription.reliability: best_effort for this node',
        ),
        (
            'publisher',
            QoSPolicyKind.RELIABILITY,
            'set qos_overrides./a.publisher.reliability: reliable for this node',
        ),
        ('publisher', QoSPolicyKind.DURABILITY, 'make the durability of both sides fit'),
        ('publisher', QoSPolicyKind.INVALID, 'make the quality of service of both sides fit'),
    ],
)
def test_an_event_before_the_graph_knows_the_other_side(
    kind: Any, policy: QoSPolicyKind, text: str
) -> None:
    warnings: list[str] = []
    node: Any = SimpleNamespace(
        publishers=[],
        subscriptions=[],
        resolve_topic_name=lambda name: name,
        get_publishers_info_by_topic=lambda _: [],
        get_subscriptions_info_by_topic=lambda _: [],
        get_logger=lambda: SimpleNamespace(warning=warnings.append),
    )
    clashes = QosClashes(node)
    callbacks = (
        clashes.of_publisher('/a') if kind == 'publisher' else clashes.of_subscription('/a')
    )
    callbacks.incompatible_qos(SimpleNamespace(last_policy_kind=policy))
    (warning,) = warnings
    assert text in warning
    assert 'ros2 topic info -v /a' in warning
    assert clashes.messages() == []


@pytest.mark.parametrize('depth', [-1, 2**31, 2**40])
def test_a_depth_that_no_queue_has_is_refused(context: Context, depth: int) -> None:
    override = Parameter('qos_overrides./a.publisher.depth', value=depth)
    node = Node('node', context=context, parameter_overrides=[override])
    message = (
        rf'qos_overrides\./a\.publisher cannot be used: .*depth is {depth}, it must be from 0'
    )
    try:
        with ExitStack() as stack, pytest.raises(ParameterError, match=message):
            advertise(node, stack, Image, '/a', clashes=QosClashes(node))
    finally:
        node.destroy_node()


def test_only_what_is_said_of_overrides_is_put_down_to_them() -> None:
    error = RuntimeError('Unexpected QoS override for policy `reliability`: `hopeful`')
    message = r'^parameter qos_overrides\./a\.publisher cannot be used: .*`hopeful`'
    with pytest.raises(ParameterError, match=message), refuse_overrides('/a.publisher'):
        raise error
    error = RuntimeError("publisher's context is invalid")
    with pytest.raises(RuntimeError) as caught, refuse_overrides('/a.publisher'):
        raise error
    assert caught.value is error


def wait_for_graph(peer: Any, level: bytes, text: str) -> None:
    def said() -> bool:
        status = peer.statuses.get(GRAPH)
        return status is not None and status.level == level and text in status.message

    peer.wait_for(said, f'diagnostic with {text!r}')


def test_a_camera_that_offers_less_than_an_override_requests(peer: Any, tiny_model: Path) -> None:
    override = 'qos_overrides./image.subscription.reliability'
    peer.start_active(model=str(tiny_model), **{override: 'reliable'})
    wait_for_graph(peer, OK, 'every endpoint can connect')
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = peer.node.create_publisher(Image, '/image', qos)
    remedy = f'set {override}: best_effort for this node, or '
    peer.wait_for(lambda: any(remedy in log for log in peer.logs), 'log')
    assert not any('New publisher discovered' in log for log in peer.logs), (
        "rclpy's own warning too"
    )
    wait_for_graph(peer, WARN, remedy + 'give the publisher in /peer reliability reliable')
    assert peer.values(GRAPH)['rules'] == 'incompatible_qos'
    peer.node.destroy_publisher(publisher)
    wait_for_graph(peer, OK, 'every endpoint can connect')


@pytest.mark.parametrize(
    'context', [('front/image:=/rear/image', 'rear/image:=/front/image')], indirect=True
)
def test_a_swapped_camera_that_offers_less_is_named(peer: Any, tiny_model: Path) -> None:
    override = 'qos_overrides./rear/image.subscription.reliability'
    cameras = ['front', 'rear']
    peer.start_active(model=str(tiny_model), cameras=cameras, **{override: 'reliable'})
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    peer.node.create_publisher(Image, 'front/image', qos)  # swapped in the peer's context, too
    wait_for_graph(peer, WARN, '/rear/image: this subscription requests reliability reliable, the')


def test_a_subscriber_that_requests_more_than_masks_offer(peer: Any, tiny_model: Path) -> None:
    peer.start_active(model=str(tiny_model))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(Image, MASKS, print, latched)
    text = (
        f'{MASKS}: this publisher offers durability volatile, the subscription in /peer requests '
        'transient_local, so they do not connect; give the subscription in /peer durability '
        'volatile'
    )
    wait_for_graph(peer, WARN, text)
    peer.wait_for(lambda: any(log.startswith(f'{MASKS}: ') for log in peer.logs), 'log')
    assert peer.change('DEACTIVATE')
    assert peer.change('CLEANUP')
    wait_for_graph(peer, OK, 'every endpoint can connect')


@pytest.mark.parametrize(
    ('endpoint', 'transition'),
    [(f'{MASKS}.publisher', 'CONFIGURE'), ('/image.subscription', 'ACTIVATE')],
)
def test_a_queue_without_a_bound_is_refused(
    peer: Any, tiny_model: Path, endpoint: str, transition: str
) -> None:
    peer.start(model=str(tiny_model), **{f'qos_overrides.{endpoint}.history': 'keep_all'})
    if transition == 'ACTIVATE':
        assert peer.change('CONFIGURE')
    assert not peer.change(transition)
    text = f'parameter qos_overrides.{endpoint} cannot be used: '
    log = peer.wait_for(lambda: next((x for x in peer.logs if x.startswith(text)), None), 'log')
    assert 'history keep_all has no bound; use keep_last and a depth' in log
