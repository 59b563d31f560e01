# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""NumPy and OpenCV building blocks: labels, image decoding, model card, metrics, pictures."""
