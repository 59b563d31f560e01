# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The topics of one camera: its images and CameraInfo in, its masks out."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.model_card import ModelCard
from vidseg_ros.core.overlay import blend
from vidseg_ros.core.serialized_image import LabelMapWriter, SerializedHeader
from vidseg_ros.nodes.diagnostics import InputFacts
from vidseg_ros.nodes.messages import (
    CameraMessage,
    image_message,
    read_message,
    result_message,
    ros_header,
    scaled_camera_info,
)
from vidseg_ros.nodes.parameters import NodeParameters
from vidseg_ros.nodes.qos import advertise, overriding_options, QosClashes, refuse_overrides
from vidseg_ros.pipeline import Place, Segmentation

_IMAGE: Final = 'sensor_msgs/msg/Image'
_COMPRESSED: Final = 'sensor_msgs/msg/CompressedImage'
_SUFFIX: Final = '/compressed'
"""Of the topic with compressed images beside that with raw ones, as in image_transport."""

SELECT_PERIOD_S: Final = 0.5
"""How often `CameraInputs` looks which of its topics is published, seconds."""

Receive = Callable[[str, str, Callable[[], CameraMessage]], None]
"""Called with camera, topic, and what reads the message (see `read_message`)."""


class CameraInputs:
    """Subscribes to the images of one camera, and to its CameraInfo if masks need one.

    Raw images come on ``image``, compressed ones on ``image/compressed``, the convention of
    image_transport. With ``auto`` the compressed topic is only subscribed to while nobody
    publishes raw images: a driver that offers both then does not compress for nothing.
    """

    def __init__(  # noqa: PLR0913  # the last two by name
        self,
        node: Node,
        stack: ExitStack,
        camera: str,
        settings: NodeParameters,
        receive: Receive,
        *,
        clashes: QosClashes,
        serialized: bool = True,
    ) -> None:
        """Subscribe.

        Args:
            node: Owner.
            stack: Unsubscribes when it closes.
            camera: Name of the camera; '' for the single topic ``image``.
            settings: Which topics.
            receive: Called with every message, in the node's executor.
            clashes: Hears of publishers that cannot connect.
            serialized: Whether images are wanted as the middleware delivers them.

        Raises:
            ParameterError: If a QoS override is not a QoS setting.
        """
        self._node, self._camera, self._receive = node, camera, receive
        self._clashes = clashes
        self._serialized = serialized
        raw = f'{camera}/image' if camera else 'image'
        self._raw_topic = node.resolve_topic_name(raw)
        # As in image_transport: it follows a remapped image topic, and may itself be remapped.
        self._compressed_name = f'{self._raw_topic}{_SUFFIX}'
        self._compressed_topic = node.resolve_topic_name(self._compressed_name)
        self._compressed: Subscription | None = None
        stack.callback(self._leave_compressed)
        types = {self._raw_topic: _IMAGE, self._compressed_topic: _COMPRESSED}
        names = {self._raw_topic: raw, self._compressed_topic: self._compressed_name}
        self.topics: tuple[str, ...] = {
            'image': (self._raw_topic,),
            'compressed': (self._compressed_topic,),
            'auto': (self._raw_topic, self._compressed_topic),
        }[settings.input_type]
        """Topics that images may come on, resolved."""
        self._types = {topic: types[topic] for topic in self.topics}
        self._names = {topic: names[topic] for topic in self.topics}
        self._info_name = ''
        self.info: CameraInfo | None = None
        """The latest CameraInfo that has a size; None before the first, and if not wanted."""
        if settings.wants_info:
            self._info_name = f'{camera}/camera_info' if camera else 'camera_info'
            subscription = self._subscribe(CameraInfo, self._info_name, self._receive_info)
            stack.callback(node.destroy_subscription, subscription)
        if settings.input_type != 'image':
            # With auto just to check its overrides: later, nobody would hear of a wrong one.
            self._join_compressed()
        if settings.input_type != 'compressed':
            subscription = self._subscribe_images(Image, raw, self._raw_topic)
            stack.callback(node.destroy_subscription, subscription)
        if settings.input_type == 'auto':
            self._leave_compressed()
            clock = Clock(clock_type=ClockType.STEADY_TIME)
            timer = node.create_timer(SELECT_PERIOD_S, self._select, clock=clock)
            stack.callback(node.destroy_timer, timer)
            self._select()

    def look(self) -> InputFacts:
        """Look who publishes on the topics now, and whether the CameraInfo came."""
        offers = [(topic, offer) for topic in self.topics for offer in self._offers(topic)]
        misfits = [
            _explain(topic, self._types[topic], offer)
            for topic, offer in offers
            if offer.topic_type != self._types[topic]
        ]
        return InputFacts(
            publishers=len(offers) - len(misfits),
            misfit='; '.join(misfits),
            info_problem=self._find_info_problem(),
        )

    def _offers(self, topic: str) -> list[TopicEndpointInfo]:
        """Return all endpoints that publish on a topic, whatever they publish."""
        # By name: rclpy remaps what it is asked for, and would remap a topic a second time.
        return list(self._node.get_publishers_info_by_topic(self._names[topic]))

    def _find_info_problem(self) -> str:
        if not self._info_name or self.info is not None:
            return ''
        topic = self._node.resolve_topic_name(self._info_name)
        return (
            f'no CameraInfo that has a size came on {topic}; check what publishes it, or remap '
            f'{self._info_name} (--ros-args -r {self._info_name}:=/camera/camera_info)'
        )

    def _receive_info(self, message: CameraInfo) -> None:
        if message.height and message.width:
            self.info = message

    def _subscribe_images(
        self, message_type: type[Image | CompressedImage], name: str, topic: str
    ) -> Subscription:
        def received(message: Image | CompressedImage | bytes) -> None:
            self._receive(self._camera, topic, partial(read_message, message, message_type))

        return self._subscribe(message_type, name, received, raw=self._serialized)

    def _subscribe(
        self,
        message_type: Any,  # noqa: ANN401  # message classes have no common base
        name: str,
        received: Callable[[Any], None],
        *,
        raw: bool = False,
    ) -> Subscription:
        """Subscribe by name; a resolved topic would be remapped a second time."""
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        resolved = self._node.resolve_topic_name(name)
        with refuse_overrides(f'{resolved}.subscription'):
            return self._node.create_subscription(
                message_type,
                name,
                received,
                qos,
                event_callbacks=self._clashes.of_subscription(name),
                qos_overriding_options=overriding_options(),
                raw=raw,
            )

    def _join_compressed(self) -> None:
        self._compressed = self._subscribe_images(
            CompressedImage, self._compressed_name, self._compressed_topic
        )

    def _leave_compressed(self) -> None:
        if self._compressed is not None:
            self._node.destroy_subscription(self._compressed)
            self._compressed = None

    def _select(self) -> None:
        if self._is_published(self._raw_topic):
            self._leave_compressed()
        elif self._compressed is None and self._is_published(self._compressed_topic):
            self._join_compressed()

    def _is_published(self, topic: str) -> bool:
        return any(offer.topic_type == self._types[topic] for offer in self._offers(topic))


def _explain(topic: str, expected: str, offer: TopicEndpointInfo) -> str:
    """Say what is published in the place of images, and what to change."""
    remedy = 'remap the image topic to one that carries images'
    if offer.topic_type == _COMPRESSED:
        remedy = (
            f'remap the image topic to {topic.removesuffix(_SUFFIX)} and set input_type: auto'
            if topic.endswith(_SUFFIX)
            else f'set input_type: compressed and remap {topic}{_SUFFIX} to {topic}'
        )
    elif offer.topic_type == _IMAGE:
        remedy = f'set input_type: image and remap the image topic to {topic}'
    node = f'{offer.node_namespace.rstrip("/")}/{offer.node_name}'
    return (
        f'{node} publishes {offer.topic_type} on {topic}, where this node expects {expected}; '
        f'{remedy}'
    )


class CameraOutputs:
    """Publishes the results of one camera."""

    def __init__(
        self,
        node: Node,
        stack: ExitStack,
        camera: str,
        *,
        clashes: QosClashes,
        with_info: bool,
    ) -> None:
        """Create the publishers.

        Args:
            node: Owner.
            stack: Destroys the publishers when it closes.
            camera: Name of the camera; '' for the single topic ``image``.
            clashes: Hears of subscribers that cannot connect.
            with_info: Whether a CameraInfo goes with each label map.

        Raises:
            ParameterError: If a QoS override is not a QoS setting.
        """
        prefix = f'~/{camera}/' if camera else '~/'
        self._label_map = advertise(node, stack, Image, f'{prefix}label_map', clashes=clashes)
        self._confidence = advertise(node, stack, Image, f'{prefix}confidence', clashes=clashes)
        self._overlay = advertise(node, stack, Image, f'{prefix}overlay', clashes=clashes)
        self._writer = LabelMapWriter()
        self._info: Publisher | None = None
        if with_info:
            self._info = advertise(
                node, stack, CameraInfo, f'{prefix}camera_info', clashes=clashes
            )

    @property
    def wants_confidence(self) -> bool:
        """Whether anybody listens to the confidence."""
        return bool(self._confidence.get_subscription_count())

    @property
    def wants_overlay(self) -> bool:
        """Whether anybody listens to the overlay."""
        return bool(self._overlay.get_subscription_count())

    def place_for(self, header: Header | SerializedHeader) -> Place | None:
        """Return where to write the labels of a camera message; None: anywhere.

        Those of a serialised message are written into the one that `publish_label_map` sends:
        valid until the next frame of this camera is segmented.

        Args:
            header: Of the camera message.
        """
        if isinstance(header, SerializedHeader):
            return partial(self._writer.place, header)
        return None

    def publish_label_map(self, result: Segmentation, info: CameraInfo | None) -> None:
        """Publish the label map, and a CameraInfo of its size.

        Args:
            result: The result; its frame's place is from `place_for`.
            info: Of the camera; None: not known.
        """
        header = result.frame.context
        if isinstance(header, SerializedHeader):
            self._label_map.publish(self._writer.message())
        else:
            self._label_map.publish(image_message(header, result.labels))
        if self._info is not None and info is not None:
            height, width = result.labels.shape
            scaled = scaled_camera_info(info, ros_header(header), height=height, width=width)
            self._info.publish(scaled)

    def publish_confidence(self, result: Segmentation) -> None:
        """Publish the confidence, if the result has one."""
        if result.confidence is not None:
            self._confidence.publish(result_message(result.frame.context, result.confidence))

    def publish_overlay(self, result: Segmentation, card: ModelCard, opacity: float) -> None:
        """Publish the picture, at the label map's size, with the classes painted over it.

        Args:
            result: The result.
            card: Gives colours and the colour order of the picture.
            opacity: Weight of the classes, 0 to 1.
        """
        image = result.frame.image
        rgb = image if card.input_order == 'rgb8' else image[..., ::-1]
        height, width = result.labels.shape
        rgb = resize_image(rgb, (height, width))
        painted = blend(rgb, result.labels, card.labels, opacity)
        self._overlay.publish(result_message(result.frame.context, painted))
