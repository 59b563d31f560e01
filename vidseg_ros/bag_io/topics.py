# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The topics of a bag: which are cameras, and which hold depth or what was made of images."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vidseg_ros.bag_io.messages import COMPRESSED_TYPE, IMAGE_TYPE, LABEL_INFO_TYPE

COMPRESSED: Final = '/compressed'
"""End of the name of a compressed topic, as image_transport has it."""

LABEL_MAP: Final = 'label_map'
MADE_OF_IMAGES: Final = (LABEL_MAP, 'confidence', 'overlay')
"""Last part of the names of what a segmentation publishes; the node's, and those of exports."""

COMPRESSED_DEPTH: Final = 'compressedDepth'
"""Last part of the names of depth images that compressed_depth_image_transport made."""


@dataclass(frozen=True)
class TopicInfo:
    """A recorded topic: its name, its message type and how many messages it has."""

    name: str
    type: str
    count: int


@dataclass(frozen=True, kw_only=True)
class ImageTopics:
    """The image topics of a bag that have messages."""

    cameras: tuple[TopicInfo, ...]
    """A compressed one only where there is no raw one beside it."""
    label_maps: tuple[TopicInfo, ...]
    """Class ids: ``*/label_map``, or without one what a vision_msgs/LabelInfo beside it names."""
    others: tuple[TopicInfo, ...]
    """``*/confidence`` and ``*/overlay``, compressed or not, and depth: ``*/compressedDepth``, and
    what would be a camera but for a first image of 16UC1 or 32FC1."""


def sort_image_topics(
    topics: Sequence[TopicInfo],
    has_ids: Callable[[str, str], bool],
    is_depth: Callable[[str], bool],
) -> ImageTopics:
    """Tell cameras from depth and from what was made of their images.

    Args:
        topics: All topics of a bag.
        has_ids: Says whether a raw image topic holds the ids of the classes on a LabelInfo topic.
            Asked for those in one namespace, unless a ``label_map`` is there for the LabelInfo.
        is_depth: Says whether an image topic holds distances. Asked for would-be cameras only.
    """
    images = [topic for topic in topics if is_image(topic)]
    names = {topic.name for topic in images}
    taken = {_parent(name) for name in map(_plain, names) if _last(name) == LABEL_MAP}
    infos = [topic.name for topic in topics if topic.type == LABEL_INFO_TYPE]
    infos = [name for name in infos if _parent(name) not in taken]
    cameras: list[TopicInfo] = []
    label_maps: list[TopicInfo] = []
    others: list[TopicInfo] = []
    for topic in images:
        plain = _plain(topic.name)
        beside = [name for name in infos if _parent(name) in {plain, _parent(plain)}]
        if _last(plain) == LABEL_MAP:
            label_maps.append(topic)
        elif _last(plain) in {*MADE_OF_IMAGES, COMPRESSED_DEPTH}:
            others.append(topic)
        elif topic.type == IMAGE_TYPE and any(has_ids(topic.name, name) for name in beside):
            label_maps.append(topic)
        elif plain == topic.name or plain not in names:
            (others if is_depth(topic.name) else cameras).append(topic)
    return ImageTopics(cameras=tuple(cameras), label_maps=tuple(label_maps), others=tuple(others))


def is_image(topic: TopicInfo) -> bool:
    """Whether a topic has images, raw or compressed."""
    return topic.type in {IMAGE_TYPE, COMPRESSED_TYPE} and topic.count > 0


def topic_listing(topics: Iterable[TopicInfo]) -> str:
    """Return the topics as text for people."""
    lines = [f'{topic.name} ({topic.type}, {topic.count} messages)' for topic in topics]
    return ', '.join(lines) or 'nothing'


def _plain(name: str) -> str:
    return name.removesuffix(COMPRESSED)


def _parent(name: str) -> str:
    return name.rpartition('/')[0]


def _last(name: str) -> str:
    return name.rpartition('/')[2]
