# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Steady masks at no cost: losses over neighbouring frames, and learning from a teacher."""
