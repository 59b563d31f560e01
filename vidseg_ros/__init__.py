# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation of driving video: per-frame inference for ROS 2, bags and notebooks."""

__version__ = '0.1.0'
