# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Build of the ament_python package vidseg_ros, with colcon or pip."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'vidseg_ros'
SHARE = f'share/{NAME}'

setup(
    name=NAME,
    version='0.1.0',
    description='Semantic segmentation of driving video: per-frame inference for ROS 2 and bags',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed', 'evaluation/report_page/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (SHARE, ['package.xml']),
        *(
            (
                f'{SHARE}/{folder}',
                sorted(path for path in glob(f'{folder}/*') if Path(path).is_file()),
            )
            for folder in ('config', 'launch', 'models')
        ),
    ],
    install_requires=[
        'av>=14',
        'mcap>=1.2',
        'numpy>=1.26',
        'onnx>=1.16',
        'onnxruntime>=1.20',
        'rich>=13',
        'rosbags>=0.11',
        'ruamel.yaml>=0.17',
        'setuptools',
        'zstandard>=0.17',
    ],
    # A ROS 2 installation brings its own OpenCV, which a wheel must not hide.
    extras_require={
        'opencv': ['opencv-python-headless>=4.9'],
        'ray': ['ray>=2.44'],
        'report': ['plotly>=6'],
        # TensorRT itself comes with JetPack, DRIVE or NVIDIA's packages. With a driver of CUDA 12
        # (JetPack 6) cuda-python 13 does not work: add "cuda-python<13" (docs/tensorrt.md).
        'tensorrt': ['cuda-python>=12.6', 'nvidia-ml-py>=12'],
    },
    entry_points={
        'console_scripts': [
            'vidseg = vidseg_ros.cli.main:main',
            'segmentation_node = vidseg_ros.nodes.segmentation_node:main',
            'bag_player = vidseg_ros.nodes.bag_player:main',
            'mask_recorder = vidseg_ros.nodes.mask_recorder:main',
        ],
    },
    zip_safe=True,
)
