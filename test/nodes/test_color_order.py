# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""No colour order of camera and model, and no size, makes the node see or show wrong colours."""

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
import onnx
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CompressedImage, Image

from vidseg_ros.core.color_image import resize_image
from vidseg_ros.core.model_card import METADATA_KEY
from vidseg_ros.core.overlay import blend
from vidseg_ros.inference.model_file import read_model
from vidseg_ros.nodes.messages import image_message

MASKS, OVERLAYS = '/segmentation/label_map', '/segmentation/overlay'
CHANNELS = {'rgb8': [0, 1, 2], 'bgr8': [2, 1, 0], 'rgba8': [0, 1, 2, 0], 'bgra8': [2, 1, 0, 1]}
NETWORK = (12, 16)


@pytest.fixture(params=['rgb8', 'bgr8'])
def model(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Path:
    """Return the tiny model for one colour order; its first class is the first channel."""
    card = replace(read_model(tiny_model).card, input_order=request.param)
    model = onnx.load(tiny_model)
    (entry,) = [item for item in model.metadata_props if item.key == METADATA_KEY]
    entry.value = card.to_json()
    onnx.save(model, tmp_path / 'model.onnx')
    return tmp_path / 'model.onnx'


def halves(height: int, width: int) -> NDArray[np.uint8]:
    """Return (H, W, 3) RGB: red on the left, blue on the right, a little green in both."""
    rgb = np.full((height, width, 3), (220, 30, 10), np.uint8)
    rgb[:, width // 2 :] = (20, 40, 200)
    return rgb


def camera_message(header: Any, rgb: NDArray[np.uint8], encoding: str) -> Image | CompressedImage:
    if encoding == 'png':
        data = array('B', cv2.imencode('.png', rgb[..., ::-1])[1].tobytes())
        return CompressedImage(header=header, format='png', data=data)
    pixels = rgb[..., CHANNELS[encoding]]
    message = image_message(header, pixels.reshape(len(rgb), -1))
    message.width, message.encoding = rgb.shape[1], encoding
    return message


@pytest.mark.parametrize('mask_size', ['camera', 'network'])
@pytest.mark.parametrize('encoding', [*CHANNELS, 'png'])
def test_masks_and_overlays_have_the_right_colours(
    peer: Any, model: Path, encoding: str, mask_size: Literal['camera', 'network']
) -> None:
    topic, kind = ('/image/compressed', 'compressed') if encoding == 'png' else ('/image', 'image')
    peer.start_active(model=str(model), mask_size=mask_size, input_type=kind)
    card = read_model(model).card
    masks, overlays = peer.listen(MASKS), peer.listen(OVERLAYS)
    red, blue = (0, 2) if card.input_order == 'rgb8' else (2, 0)
    for size in ((48, 64), NETWORK, (6, 8)):
        rgb = halves(*size)
        wanted = size if mask_size == 'camera' else NETWORK
        labels = np.full(wanted, red, np.uint8)
        labels[:, wanted[1] // 2 :] = blue
        message = camera_message(peer.header(), rgb, encoding)
        mask = peer.pixels(peer.segment(message, masks, topic))
        np.testing.assert_array_equal(mask, labels)
        message.header = peer.header()
        overlay = peer.pixels(peer.segment(message, overlays, topic))
        picture = resize_image(rgb, wanted)
        np.testing.assert_array_equal(overlay, blend(picture, labels, card.labels, 0.5))
