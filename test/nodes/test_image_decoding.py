# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Every encoding in the node. cv_bridge is not on PyPI: a stand-in takes its place here."""

from array import array
from pathlib import Path
import sys
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from vidseg_ros.core.errors import ImageError
from vidseg_ros.core.image_codec import BytesLike, decode_image
from vidseg_ros.nodes.image_decoding import decode_any_image
from vidseg_ros.nodes.messages import decode_message

MASKS = '/segmentation/label_map'
FLAT = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)


def message(header: Any, rows: NDArray[np.uint8], encoding: str, size: tuple[int, int]) -> Image:
    """Make an image message of (rows, step) bytes."""
    data = array('B', rows.tobytes())
    height, width = size
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        step=rows.shape[1],
        data=data,
    )


class Bridge:
    """What the node uses of cv_bridge's CvBridge; the answer is the test's."""

    answer: Any = FLAT
    asked: tuple[Any, ...] = ()

    def imgmsg_to_cv2(self, image: Any, desired_encoding: str) -> Any:
        Bridge.asked = (
            image.height,
            image.width,
            image.encoding,
            image.is_bigendian,
            image.step,
            bytes(image.data),
            desired_encoding,
        )
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> type[Bridge]:
    module = ModuleType('cv_bridge')
    module.CvBridge = Bridge  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    monkeypatch.setattr(Bridge, 'answer', FLAT)
    monkeypatch.setattr(Bridge, 'asked', ())
    return Bridge


def decode(encoding: str, data: BytesLike = b'abcdefghijkl') -> NDArray[np.uint8]:
    return decode_any_image(
        height=1, width=2, encoding=encoding, is_bigendian=1, step=12, data=data, order='bgr8'
    )


def test_what_is_in_the_fast_table_never_meets_cv_bridge(bridge: type[Bridge]) -> None:
    data = bytes(range(12))
    expected = decode_image(
        height=1, width=2, encoding='rgb8', is_bigendian=0, step=12, data=data, order='bgr8'
    )
    np.testing.assert_array_equal(decode('rgb8', data), expected)
    assert bridge.asked == ()


def test_another_encoding_goes_through_cv_bridge_with_all_its_fields(bridge: type[Bridge]) -> None:
    np.testing.assert_array_equal(decode('rgb16'), FLAT)
    assert bridge.asked == (1, 2, 'rgb16', 1, 12, b'abcdefghijkl', 'bgr8')


def test_a_message_takes_the_same_way(bridge: type[Bridge]) -> None:
    image = message(Header(), np.frombuffer(b'abcdefghijkl', np.uint8)[None], 'rgb16', (1, 2))
    np.testing.assert_array_equal(decode_message(image, 'rgb8'), FLAT)
    assert bridge.asked == (1, 2, 'rgb16', 0, 12, b'abcdefghijkl', 'rgb8')


@pytest.mark.parametrize(
    'error', [TypeError('[32FC1] is not a color format'), KeyError('x'), RuntimeError('step')]
)
def test_what_cv_bridge_refuses_is_an_image_error(bridge: type[Bridge], error: Exception) -> None:
    bridge.answer = error
    with pytest.raises(ImageError, match="cannot convert 2x1 '32FC1' with step 12") as caught:
        decode('32FC1')
    assert str(error) in str(caught.value)
    assert 'publish one of rgb8, bgr8' in str(caught.value)
    assert caught.value.reason == 'encoding'


@pytest.mark.parametrize('answer', [FLAT[:, :1], FLAT[..., 0], FLAT.astype(np.float32), None])
def test_what_is_no_picture_of_the_message_is_an_image_error(
    bridge: type[Bridge], answer: object
) -> None:
    bridge.answer = answer
    with pytest.raises(ImageError, match="of 2x1 'rgb16'") as caught:
        decode('rgb16')
    assert caught.value.reason == 'encoding'


def test_without_cv_bridge_the_error_names_the_encoding_and_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(ImageError, match=r"'nv24' needs cv_bridge.*ros-.ROS_DISTRO-cv-bridge"):
        decode('nv24')


def test_the_real_cv_bridge() -> None:
    pytest.importorskip('cv_bridge', reason='cv_bridge is not on PyPI')
    rgb16 = (FLAT.astype(np.uint16) * 257).tobytes()
    decoded = decode_any_image(
        height=1, width=2, encoding='rgb16', is_bigendian=0, step=12, data=rgb16, order='bgr8'
    )
    np.testing.assert_array_equal(decoded, FLAT[..., ::-1])


def mosaic(rgb: NDArray[np.uint8], names: str) -> NDArray[np.uint8]:
    """Return (H, W): of every pixel the one channel that its filter lets through."""
    pattern = np.array(['rgb'.index(name) for name in names]).reshape(2, 2)
    channel = np.tile(pattern, (rgb.shape[0] // 2, rgb.shape[1] // 2))
    return np.asarray(np.take_along_axis(rgb, channel[..., None], -1)[..., 0], np.uint8)


def nv12(rgb: NDArray[np.uint8], *, swap: bool = False) -> NDArray[np.uint8]:
    """Return (H * 3 / 2, W): Y, then U and V (swapped: V and U) of every second pixel."""
    height, width = rgb.shape[:2]
    planar = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8).reshape(-1)
    luma = planar[: height * width].reshape(height, width)
    chroma = planar[height * width :].reshape(2, height // 2, width // 2)
    pairs = np.stack(tuple(chroma[::-1] if swap else chroma), axis=-1)
    return np.concatenate([luma, pairs.reshape(height // 2, width)])


def padded(rows: NDArray[np.uint8], padding: int) -> NDArray[np.uint8]:
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)


def test_masks_are_exact_for_mosaics_and_planes(peer: Any, tiny_model: Path, scene: Any) -> None:
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    for seed, encoding in enumerate(('bayer_rggb8', 'bayer_gbrg8', 'nv12', 'nv21')):
        picture = scene(seed=seed)
        if encoding.startswith('bayer'):
            rows = mosaic(picture.rgb, encoding[6:10])
        else:
            rows = nv12(picture.rgb, swap=encoding == 'nv21')
        image = message(peer.header(), padded(rows, 7 * seed), encoding, (48, 64))
        mask = peer.segment(image, masks)
        np.testing.assert_array_equal(peer.pixels(mask), picture.labels, encoding)


def test_frames_that_do_not_fit_their_encoding_are_counted_and_skipped(
    peer: Any, tiny_model: Path, scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    peer.start_active(model=str(tiny_model))
    masks = peer.listen(MASKS)
    picture = scene(seed=9)
    rows = nv12(picture.rgb)
    bad = {
        'truncated': message(peer.header(), rows[:-1], 'nv12', (48, 64)),
        'size': message(peer.header(), rows, 'nv12', (47, 64)),
        'step': message(peer.header(), rows, 'yuv422', (48, 64)),
        'encoding': message(peer.header(), rows, 'nv24', (48, 64)),
    }
    peer.segment(message(peer.header(), rows, 'nv12', (48, 64)), masks)
    for reason, image in bad.items():
        peer.send(image)
        key = f'dropped.{reason}'
        peer.wait_for(lambda key=key: peer.values().get(key) == '1', key)
    mask = peer.segment(message(peer.header(), rows, 'nv12', (48, 64)), masks)
    np.testing.assert_array_equal(peer.pixels(mask), picture.labels)
