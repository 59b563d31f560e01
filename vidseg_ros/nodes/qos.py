# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: publishers and their overrides, and who does not connect because of it.

DDS connects a publisher and a subscription only if the publisher offers at least what the
subscription requests. Where it does not, both sides stay silent, which looks like a dead camera.
The middleware's event says that it happened; the ROS graph, asked then, says who the other is.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, ExitStack
from typing import Any, Final, Literal, NamedTuple

from rcl_interfaces.msg import SetParametersResult
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

from vidseg_ros.core.errors import ParameterError

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble's name of the same module
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

_OVERRIDABLE: Final = 'reliability'
"""The one policy that can keep endpoints apart and that `overriding_options` lets change."""

_NO_SETTING: Final = 'Unexpected QoS override'
"""How the RuntimeError begins by which rclpy refuses the value of an override."""

_MAX_DEPTH: Final = 2**31 - 1
_INFINITE_NS: Final = 2**63 - 1


class _Policy(NamedTuple):
    name: str
    """Attribute of `QoSProfile`."""
    clash: Callable[[QoSProfile, QoSProfile], bool]
    """Whether what a publisher offers is less than what a subscription requests."""


_POLICIES: Final = {
    QoSPolicyKind.RELIABILITY: _Policy(
        'reliability',
        lambda offered, requested: (
            offered.reliability == ReliabilityPolicy.BEST_EFFORT
            and requested.reliability == ReliabilityPolicy.RELIABLE
        ),
    ),
    QoSPolicyKind.DURABILITY: _Policy(
        'durability',
        lambda offered, requested: (
            offered.durability == DurabilityPolicy.VOLATILE
            and requested.durability == DurabilityPolicy.TRANSIENT_LOCAL
        ),
    ),
    QoSPolicyKind.DEADLINE: _Policy(
        'deadline',
        lambda offered, requested: _ns(offered.deadline) > _ns(requested.deadline),
    ),
    QoSPolicyKind.LIVELINESS: _Policy(
        'liveliness',
        lambda offered, requested: (
            offered.liveliness != LivelinessPolicy.MANUAL_BY_TOPIC
            and requested.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC
        ),
    ),
    QoSPolicyKind.LIVELINESS_LEASE_DURATION: _Policy(
        'liveliness_lease_duration',
        lambda offered, requested: (
            _ns(offered.liveliness_lease_duration) > _ns(requested.liveliness_lease_duration)
        ),
    ),
}
"""Every policy that can keep a publisher and a subscription apart."""


class Endpoint(NamedTuple):
    """A publisher or subscription of this node."""

    kind: Literal['publisher', 'subscription']
    """Which of the two."""
    topic: str
    """Its topic, resolved."""


class QosClashes:
    """Warns when an endpoint appears that cannot connect, and lists those that are there.

    Belongs to the node's executor.
    """

    def __init__(self, node: Node) -> None:
        """Know of no clash.

        Args:
            node: Owner of the endpoints; warnings go to its log.
        """
        self._node = node
        # Only these are looked up in the graph at every report: it takes 0.1 ms each. By the
        # name that was asked for: rclpy would remap a topic a second time.
        self._suspects: dict[Endpoint, str] = {}

    def of_publisher(self, name: str) -> PublisherEventCallbacks:
        """Return what `Node.create_publisher` wants as event callbacks for the same name."""
        return PublisherEventCallbacks(incompatible_qos=self._warn('publisher', name))

    def of_subscription(self, name: str) -> SubscriptionEventCallbacks:
        """Return what `Node.create_subscription` wants as event callbacks for the same name."""
        return SubscriptionEventCallbacks(incompatible_qos=self._warn('subscription', name))

    def messages(self) -> list[str]:
        """Say for each endpoint that cannot connect now what to change; empty: all is well."""
        return [text for endpoint in sorted(self._suspects) for text in self._find(endpoint)]

    def _warn(
        self, kind: Literal['publisher', 'subscription'], name: str
    ) -> Callable[[Any], None]:
        endpoint = Endpoint(kind, self._node.resolve_topic_name(name))

        def warn(event: Any) -> None:  # noqa: ANN401  # untyped in rclpy
            self._suspects[endpoint] = name
            # The graph may learn of the other endpoint after the event.
            for text in self._find(endpoint) or [_guess(endpoint, event.last_policy_kind)]:
                self._node.get_logger().warning(text)

        return warn

    def _find(self, endpoint: Endpoint) -> list[str]:
        node, publishes = self._node, endpoint.kind == 'publisher'
        name = self._suspects[endpoint]
        ours: Iterable[Any] = node.publishers if publishes else node.subscriptions
        others = (
            node.get_subscriptions_info_by_topic(name)
            if publishes
            else node.get_publishers_info_by_topic(name)
        )
        return [
            text
            for item in ours  # none: it is closed
            for other in others
            if item.topic_name == endpoint.topic
            and (text := explain(endpoint, item.qos_profile, other))
        ]


def explain(endpoint: Endpoint, ours: QoSProfile, other: TopicEndpointInfo) -> str:
    """Say why two endpoints do not connect, and what to change.

    Args:
        endpoint: Which of ours.
        ours: Its profile.
        other: The endpoint on the other side.

    Returns:
        Both nodes' values of the first policy that does not fit, and both remedies; '' if they
        do connect.
    """
    theirs = other.qos_profile
    publishes = endpoint.kind == 'publisher'
    for policy in _POLICIES.values():
        if policy.clash(*((ours, theirs) if publishes else (theirs, ours))):
            break
    else:
        return ''
    node = f'{other.node_namespace.rstrip("/")}/{other.node_name}'
    wanted, found = (_text(getattr(profile, policy.name)) for profile in (ours, theirs))
    verbs = ('offers', 'requests') if publishes else ('requests', 'offers')
    their_kind = 'subscription' if publishes else 'publisher'
    remedy = f'give the {their_kind} in {node} {policy.name} {wanted}'
    if policy.name == _OVERRIDABLE:
        remedy = f'set {_override(endpoint)}: {found} for this node, or {remedy}'
    return (
        f'{endpoint.topic}: this {endpoint.kind} {verbs[0]} {policy.name} {wanted}, the '
        f'{their_kind} in {node} {verbs[1]} {found}, so they do not connect; {remedy}'
    )


def _guess(endpoint: Endpoint, kind: QoSPolicyKind) -> str:
    """Say what is known without the other endpoint."""
    policy = _POLICIES.get(kind)
    name = 'quality of service' if policy is None else policy.name
    remedy = f'make the {name} of both sides fit'
    if name == _OVERRIDABLE:
        value = 'reliable' if endpoint.kind == 'publisher' else 'best_effort'
        remedy = f'set {_override(endpoint)}: {value} for this node, or {remedy}'
    return (
        f'{endpoint.topic}: an endpoint appeared whose {name} does not fit this '
        f'{endpoint.kind}, so they do not connect; {remedy} (ros2 topic info -v {endpoint.topic})'
    )


def _override(endpoint: Endpoint) -> str:
    return f'qos_overrides.{endpoint.topic}.{endpoint.kind}.{_OVERRIDABLE}'


def _ns(limit: Duration) -> int:
    """Return a duration in ns; zero means unspecified, which is for ever."""
    return int(limit.nanoseconds) or _INFINITE_NS


def _text(value: Any) -> str:  # noqa: ANN401  # a policy or a Duration
    if isinstance(value, Duration):
        return 'infinite' if _ns(value) == _INFINITE_NS else f'{_ns(value) / 1e9:g} s'
    return str(value.name).lower()


def advertise(  # noqa: PLR0913  # the last two by name
    node: Node,
    stack: ExitStack | None,
    message_type: Any,  # noqa: ANN401  # message classes have no common base
    topic: str,
    *,
    clashes: QosClashes,
    latched: bool = False,
) -> Publisher:
    """Create a reliable publisher of depth 1 whose QoS parameters ``qos_overrides`` can change.

    Args:
        node: Owner.
        stack: Destroys the publisher when it closes; None: it stays as long as the node.
        message_type: Message class.
        topic: Topic.
        clashes: Hears of subscribers that cannot connect.
        latched: Whether late subscribers get the last message (transient local).

    Raises:
        ParameterError: If an override is not a QoS setting, or is not allowed.
    """
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    # A profile of its own for every endpoint: the overrides are written into it.
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
    resolved = node.resolve_topic_name(topic)
    with refuse_overrides(f'{resolved}.publisher'):
        publisher = node.create_publisher(
            message_type,
            topic,
            qos,
            event_callbacks=clashes.of_publisher(topic),
            qos_overriding_options=overriding_options(),
        )
    if stack is not None:
        stack.callback(node.destroy_publisher, publisher)
    return publisher


@contextmanager
def refuse_overrides(endpoint: str) -> Iterator[None]:
    """Translate what rclpy says to an override that cannot be used; nothing else.

    Args:
        endpoint: Resolved topic and kind of the endpoint that is created, such as
            ``/image.subscription``.

    Raises:
        ParameterError: If an override is not a QoS setting, or is not allowed.
    """
    try:
        yield
    except (InvalidQosOverridesError, ParameterException, RuntimeError) as error:
        # A RuntimeError may have any reason, such as a shutdown meanwhile: by rclpy's words.
        if isinstance(error, RuntimeError) and _NO_SETTING not in str(error):
            raise
        msg = f'parameter qos_overrides.{endpoint} cannot be used: {error}'
        raise ParameterError(msg) from None


def overriding_options() -> QoSOverridingOptions:
    """Return which QoS policies ``qos_overrides`` may change: history, depth and reliability.

    ``history: keep_all`` is refused. With it, a subscriber that stalls makes a reliable
    publisher keep every mask in memory; and a camera's queue would grow instead of its newest
    frame winning.
    """
    return QoSOverridingOptions.with_default_policies(callback=_check_profile)


def _check_profile(profile: QoSProfile) -> SetParametersResult:
    reason = ''
    if profile.history == HistoryPolicy.KEEP_ALL:
        reason = 'history keep_all has no bound; use keep_last and a depth'
    elif not 0 <= profile.depth <= _MAX_DEPTH:
        reason = (
            f'depth is {profile.depth}, it must be from 0 (middleware decides) to {_MAX_DEPTH}'
        )
    return SetParametersResult(successful=not reason, reason=reason)
