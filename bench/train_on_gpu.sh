#!/usr/bin/env bash
# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
#
# Train a recipe in slices of a few minutes, where no single command may run for long: call it
# again and again until it says that the run is finished.
#
#   bench/train_on_gpu.sh MINUTES RECIPE OUT [--field value ...]
#   bench/train_on_gpu.sh 9 camvid_fddwnet runs/camvid --data DATA/camvid --init DATA/weights/fddwnet_cityscapes.pth
set -euo pipefail

minutes=$1 recipe=$2 out=$3
shift 3
status=0
timeout --signal=INT --kill-after=30 "$((minutes * 60))" \
  vidseg-train fit "$recipe" --out "$out" "$@" || status=$?
case $status in
  0) echo "finished: $out/last.safetensors" ;;
  124 | 137) echo "stopped after $minutes min: call again to go on" ;;
  *) exit "$status" ;;
esac
