# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Labels carried to the unlabelled neighbours of labelled frames (Zhu et al., CVPR 2019)."""
