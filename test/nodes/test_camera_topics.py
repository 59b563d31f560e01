# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Which topics the node reads and writes for a camera, and how."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage

MASKS = '/segmentation/label_map'


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
