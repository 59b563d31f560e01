# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which topics the node reads and writes for a camera, and how."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

MASKS = '/segmentation/label_map'


@pytest.fixture
def driver() -> Iterator[Any]:
    """Publish a topic from another context: one context knows one type of a topic."""
    context = Context()
    context.init(['--ros-args', '--disable-external-lib-logs'])
    node = Node('driver', context=context, start_parameter_services=False)
    yield lambda topic, message_type: node.create_publisher(message_type, topic, 1)
    node.destroy_node()
    context.shutdown()


def test_quality_of_service(peer: Any, tiny_model: Path) -> None:
    node = peer.start_active(model=str(tiny_model))
    for name in ('label_map', 'confidence', 'overlay'):
        (info,) = node.get_publishers_info_by_topic(f'/segmentation/{name}')
        assert info.topic_type == 'sensor_msgs/msg/Image'
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert info.qos_profile.durability == DurabilityPolicy.VOLATILE
    (info,) = node.get_subscriptions_info_by_topic('/image')
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    # Discovery does not tell the depth; what the endpoints were created with does.
    depths = {
        endpoint.topic_name: endpoint.qos_profile.depth
        for endpoint in (*node.publishers, *node.subscriptions)
    }
    names = ('label_map', 'confidence', 'overlay')
    assert depths['/image'] == 1
    assert [depths[f'/segmentation/{name}'] for name in names] == [1, 1, 1]


def test_quality_of_service_overrides(peer: Any, tiny_model: Path) -> None:
    override = f'qos_overrides.{MASKS}.publisher.reliability'
    node = peer.start_active(model=str(tiny_model), **{override: 'best_effort'})
    (info,) = node.get_publishers_info_by_topic(MASKS)
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize('camera', ['', 'rear/left'])
def test_masks_at_network_size_come_with_their_camera_info(
    peer: Any, tiny_model: Path, scene: Any, camera: str
) -> None:
    cameras = {'cameras': [camera]} if camera else {}
    node = peer.start_active(model=str(tiny_model), mask_size='network', **cameras)
    prefix = f'{camera}/' if camera else ''
    masks = peer.listen(f'/segmentation/{prefix}label_map')
    infos = peer.listen(f'/segmentation/{prefix}camera_info', CameraInfo)
    image, info = f'/{prefix}image', f'/{prefix}camera_info'
    (endpoint,) = node.get_subscriptions_info_by_topic(info)
    assert endpoint.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    peer.segment(scene().message(peer.header()), masks, image)

    inputs = node._cameras[camera].inputs
    inputs._receive_info(CameraInfo(header=peer.header('of a camera that does not know its size')))
    assert inputs.info is None
    original = CameraInfo(
        header=peer.header(),
        height=48,
        width=64,
        k=[8.0, 0.0, 31.5, 0.0, 8.0, 23.5, 0.0, 0.0, 1.0],
    )

    def arrived() -> bool:
        peer.send(original, info)  # again: best effort, as in `Peer.segment`
        return bool(inputs.info == original)

    peer.wait_for(arrived, 'camera info')
    message = scene().message(peer.header())
    mask = peer.segment(message, masks, image)
    scaled = peer.wait_for(lambda: infos, 'scaled camera info')[0]
    assert scaled.header == message.header == mask.header
    assert (scaled.height, scaled.width) == (mask.height, mask.width) == (12, 16)
    np.testing.assert_allclose(scaled.k, [2, 0, 7.5, 0, 2, 5.5, 0, 0, 1])


@pytest.mark.parametrize(
    ('context', 'topic'),
    [((), '/camera_info'), (('camera_info:=/front/camera_info',), '/front/camera_info')],
    indirect=['context'],
)
def test_a_camera_info_that_never_comes_is_a_warning(
    peer: Any, tiny_model: Path, scene: Any, topic: str
) -> None:
    node = peer.start_active(model=str(tiny_model), mask_size='network', camera_timeout=0.1)
    masks = peer.listen(MASKS)

    def warned() -> bool:
        peer.segment(scene().message(peer.header()), masks)
        return 'no_camera_info' in peer.values().get('rules', '')

    peer.wait_for(warned, 'warning')
    status = peer.statuses['segmentation: image']
    assert f'no CameraInfo that has a size came on {topic}; ' in status.message
    assert 'remap camera_info (--ros-args -r camera_info:=' in status.message
    node._cameras[''].inputs._receive_info(CameraInfo(height=48, width=64))
    peer.wait_for(lambda: 'no_camera_info' not in peer.values()['rules'], 'end of the warning')


@pytest.mark.parametrize(
    ('context', 'remedy'),
    [
        ((), 'set input_type: compressed and remap /image/compressed to /image'),
        (('image:=/cam/compressed',), 'remap the image topic to /cam and set input_type: auto'),
    ],
    indirect=['context'],
)
def test_compressed_images_on_the_topic_of_raw_ones_are_an_error(
    peer: Any, driver: Any, tiny_model: Path, remedy: str
) -> None:
    driver(peer.node.resolve_topic_name('image'), CompressedImage)
    peer.start_active(model=str(tiny_model), camera_timeout=0.1)
    peer.wait_for(lambda: peer.values().get('rules') == 'wrong_type', 'error')
    status = peer.statuses['segmentation: image']
    assert status.level == b'\x02'
    for text in (
        '/driver publishes sensor_msgs/msg/CompressedImage',
        'expects sensor_msgs/msg/Image',
    ):
        assert text in status.message
    assert remedy in status.message
    graph = peer.statuses['segmentation: graph']
    assert (graph.level, graph.message) == (b'\x01', status.message.split(' s: ', 1)[1])


def test_only_raw_images_keep_auto_from_compressed_ones(
    peer: Any, driver: Any, tiny_model: Path
) -> None:
    driver('/image', CompressedImage)
    driver('/image/compressed', CompressedImage)
    node = peer.start_active(model=str(tiny_model))
    peer.wait_for(lambda: node.count_subscribers('/image/compressed'), 'compressed subscription')


def test_raw_images_on_a_topic_of_compressed_ones(
    peer: Any, driver: Any, tiny_model: Path
) -> None:
    driver('/image/compressed', Image)
    peer.start_active(model=str(tiny_model), camera_timeout=0.1, input_type='compressed')
    peer.wait_for(lambda: peer.values().get('rules') == 'wrong_type', 'error')
    remedy = 'set input_type: image and remap the image topic to /image/compressed'
    assert remedy in peer.statuses['segmentation: image'].message


def test_a_start_up_value_without_effect_is_logged(peer: Any, tiny_model: Path) -> None:
    name = 'qos_overrides./segmentation/labelmap.publisher.depth'
    peer.start_active(model=str(tiny_model), robot_name='hal', **{name: 5})
    text = f'parameter {name} has no effect: no endpoint has it; those of the nearest name are '
    log = peer.wait_for(lambda: next((x for x in peer.logs if x.startswith(text)), ''), 'log')
    assert 'qos_overrides./segmentation/label_map.publisher.depth' in log
    text = 'parameter robot_name has no effect: the node has none of this name'
    peer.wait_for(lambda: text in peer.logs, 'log')
    assert peer.change('DEACTIVATE')
    assert peer.change('ACTIVATE')
    assert not peer.change('ACTIVATE')
    refused = 'transition 3 is refused: the node is active'
    peer.wait_for(lambda: refused in peer.logs, 'what is logged after that')
    assert peer.logs.count(text) == peer.logs.count(log) == 1, 'once, not at every pause'


def test_masks_at_camera_size_need_no_camera_info(peer: Any, tiny_model: Path) -> None:
    node = peer.start_active(model=str(tiny_model))
    assert not node.count_subscribers('/camera_info')
    assert not node.count_publishers('/segmentation/camera_info')


@pytest.mark.parametrize(('input_type', 'extension'), [('auto', '.png'), ('compressed', '.jpg')])
def test_compressed_images(
    peer: Any, tiny_model: Path, scene: Any, input_type: str, extension: str
) -> None:
    topic = '/image/compressed'
    peer.publisher(topic, CompressedImage)
    peer.start_active(model=str(tiny_model), input_type=input_type)
    masks = peer.listen(MASKS)
    picture = scene(192, 256)  # blocks as large as JPEG's, so that labels stay exact
    bgr = np.ascontiguousarray(picture.rgb[..., ::-1])
    data = cv2.imencode(extension, bgr)[1].tobytes()
    message = CompressedImage(header=peer.header(), format=extension[1:], data=data)
    np.testing.assert_array_equal(peer.pixels(peer.segment(message, masks, topic)), picture.labels)

    peer.send(CompressedImage(header=peer.header(), format='jpeg', data=b'garbage'), topic)
    peer.wait_for(lambda: peer.values().get('dropped.corrupt') == '1', 'count of the bad frame')
    message.header = peer.header()
    np.testing.assert_array_equal(peer.pixels(peer.segment(message, masks, topic)), picture.labels)


@pytest.mark.parametrize(
    ('context', 'topics'),
    [
        (('/image/compressed:=/packed',), ('/image', '/packed')),
        (('image:=/front/raw',), ('/front/raw', '/front/raw/compressed')),
    ],
    indirect=['context'],
)
@pytest.mark.parametrize('input_type', ['auto', 'compressed'])
def test_compressed_images_on_a_remapped_topic(
    peer: Any, tiny_model: Path, scene: Any, topics: tuple[str, str], input_type: str
) -> None:
    topic = topics[1]
    peer.publisher(topic, CompressedImage)
    peer.start_active(model=str(tiny_model), input_type=input_type)
    masks = peer.listen(MASKS)
    picture = scene()
    data = cv2.imencode('.png', picture.rgb[..., ::-1])[1].tobytes()
    message = CompressedImage(header=peer.header(), format='png', data=data)
    np.testing.assert_array_equal(peer.pixels(peer.segment(message, masks, topic)), picture.labels)
    peer.wait_for(lambda: f"{topic}: 64x48 'png'" in peer.logs, 'log')
    named = topic if input_type == 'compressed' else ' or '.join(topics)
    peer.wait_for(lambda: 'segmentation: image' in peer.statuses, 'diagnostic')
    assert peer.statuses['segmentation: image'].hardware_id == named


@pytest.mark.parametrize(
    'context', [('front/image:=/rear/image', 'rear/image:=/front/image')], indirect=True
)
def test_swapped_cameras(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model), cameras=['front', 'rear'], input_type='image')
    masks = peer.listen('/segmentation/front/label_map')
    picture = scene()
    # The peer lives in the same ROS context, where /front/image means /rear/image.
    mask = peer.segment(picture.message(peer.header()), masks, 'front/image')
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    peer.wait_for(lambda: 'segmentation: front' in peer.statuses, 'diagnostic')
    assert peer.statuses['segmentation: front'].hardware_id == '/rear/image'


@pytest.mark.parametrize(
    'context', [('front/image:=/rear/image', 'rear/image:=/front/image')], indirect=True
)
def test_swapped_cameras_are_looked_for_where_they_are(peer: Any, tiny_model: Path) -> None:
    # By the context of the peer, front/image is published on /rear/image.
    peer.publisher('front/image', Image)
    peer.publisher('/front/image/compressed', CompressedImage)
    node = peer.start_active(model=str(tiny_model), cameras=['front', 'rear'])
    inputs = {name: camera.inputs for name, camera in node._cameras.items()}
    assert inputs['front'].topics == ('/rear/image', '/rear/image/compressed')
    assert inputs['rear'].topics == ('/front/image', '/front/image/compressed')
    # `count_subscribers` takes a topic as it is.
    topic = '/front/image/compressed'
    peer.wait_for(lambda: node.count_subscribers(topic), 'compressed subscription')
    assert not node.count_subscribers('/rear/image/compressed')
    assert inputs['front'].look().publishers == inputs['rear'].look().publishers == 1


def test_raw_images_are_preferred_to_compressed_ones(
    peer: Any, tiny_model: Path, scene: Any
) -> None:
    peer.publisher('/image/compressed', CompressedImage)
    node = peer.start_active(model=str(tiny_model))
    peer.wait_for(lambda: node.count_subscribers('/image/compressed'), 'compressed subscription')
    masks = peer.listen(MASKS)
    picture = scene()
    mask = peer.segment(picture.message(peer.header()), masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
    peer.wait_for(lambda: not node.count_subscribers('/image/compressed'), 'unsubscription')
    peer.node.destroy_publisher(peer.publishers.pop('/image'))
    peer.wait_for(lambda: node.count_subscribers('/image/compressed'), 'compressed subscription')
