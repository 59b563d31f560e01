# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Read and write rosbag2 bags (MCAP and sqlite3) without a ROS installation."""

from vidseg_ros.bag_io.messages import BagImage, COMPRESSED_TYPE, IMAGE_TYPE, LABEL_INFO_TYPE
from vidseg_ros.bag_io.reader import BagReader
from vidseg_ros.bag_io.storage import is_bag_file
from vidseg_ros.bag_io.topics import ImageTopics, is_image, topic_listing, TopicInfo
from vidseg_ros.bag_io.writer import BagWriter

__all__ = [
    'COMPRESSED_TYPE',
    'IMAGE_TYPE',
    'LABEL_INFO_TYPE',
    'BagImage',
    'BagReader',
    'BagWriter',
    'ImageTopics',
    'TopicInfo',
    'is_bag_file',
    'is_image',
    'topic_listing',
]
