# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Replay of bags, videos and folders: masks, pictures, scores."""
