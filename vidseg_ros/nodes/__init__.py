# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes: the only package that imports rclpy."""
