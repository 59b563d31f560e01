# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

from configparser import ConfigParser
from importlib import metadata
import os
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

import vidseg_ros

ROOT = Path(__file__).resolve().parents[1]
SHARED = ('config', 'launch', 'models')
EXECUTABLES = {'vidseg', 'segmentation_node', 'bag_player', 'mask_recorder'}


def sizes(folder: Path) -> dict[str, int]:
    """Return name and size (bytes) of each file in a folder."""
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}


def test_version_is_the_same_everywhere() -> None:
    manifest = ET.parse(ROOT / 'package.xml').getroot()  # noqa: S314 - our own file
    setup = re.search(r"^    version='(.+)',$", (ROOT / 'setup.py').read_text(), re.MULTILINE)
    changelog = re.search(
        r'^(\d+\.\d+\.\d+) \(', (ROOT / 'CHANGELOG.rst').read_text(), re.MULTILINE
    )

    assert setup is not None
    assert changelog is not None
    assert manifest.findtext('version') == vidseg_ros.__version__
    assert setup.group(1) == vidseg_ros.__version__
    assert changelog.group(1) == vidseg_ros.__version__


def test_every_console_script_can_be_loaded() -> None:
    scripts = metadata.distribution('vidseg_ros').entry_points.select(group='console_scripts')

    assert {script.name for script in scripts} == EXECUTABLES
    assert all(callable(script.load()) for script in scripts)


def test_ros2_run_finds_the_scripts() -> None:
    parser = ConfigParser()
    parser.read(ROOT / 'setup.cfg')

    assert parser['install']['install_scripts'] == '$base/lib/vidseg_ros'


def test_every_shipped_configuration_is_valid() -> None:
    yaml = YAML(typ='safe').load((ROOT / 'config' / 'segmentation.yaml').read_text())

    assert sorted(path.name for path in (ROOT / 'config').iterdir()) == [
        'evaluation.rviz',
        'fastdds_local.xml',
        'fastdds_shared_memory.xml',
        'foxglove_evaluation.json',
        'segmentation.yaml',
    ]
    assert list(next(iter(yaml.values()))) == ['ros__parameters']


def test_the_two_dds_profiles_differ_in_who_can_be_reached_and_in_nothing_else() -> None:
    def transports(name: str) -> list[dict[str, str]]:
        root = ET.parse(ROOT / 'config' / name).getroot()  # noqa: S314 - our own file
        assert root.tag.endswith('}dds')
        assert root.findtext('.//{*}useBuiltinTransports') == 'false'
        used = [item.text for item in root.iterfind('.//{*}userTransports/{*}transport_id')]
        described = root.findall('.//{*}transport_descriptor')
        assert used == [item.findtext('{*}transport_id') for item in described]
        return [
            {
                child.tag.rpartition('}')[2]: ''.join(child.itertext()).strip()
                for child in item
                if not child.tag.endswith('transport_id')
            }
            for item in described
        ]

    memory = {'type': 'SHM', 'segment_size': '67108864', 'maxMessageSize': '67108864'}
    loopback = {'type': 'UDPv4', 'interfaceWhiteList': '127.0.0.1'}
    assert transports('fastdds_local.xml') == [memory, loopback]
    assert transports('fastdds_shared_memory.xml') == [memory, {'type': 'UDPv4'}]


@pytest.mark.slow
def test_colcon_installs_what_runs_and_what_ships(tmp_path: Path) -> None:
    colcon = Path(sys.executable).with_name('colcon')
    command = [colcon, f'--log-base={tmp_path}/log', 'build', f'--base-paths={ROOT}']
    command += [f'--build-base={tmp_path}/build', f'--install-base={tmp_path}/install']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    prefix = tmp_path / 'install' / 'vidseg_ros'
    share = prefix / 'share' / 'vidseg_ros'
    vidseg = prefix / 'lib' / 'vidseg_ros' / 'vidseg'
    (library,) = prefix.glob('lib/python*/site-packages')
    version = subprocess.run(
        [vidseg, '--version'],
        env=os.environ | {'PYTHONPATH': str(library)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert {path.name for path in vidseg.parent.iterdir()} == EXECUTABLES
    assert (library / 'vidseg_ros' / 'py.typed').is_file()
    page = Path('vidseg_ros') / 'evaluation' / 'report_page'
    assert sizes(library / page) == sizes(ROOT / page) != {}
    assert (share / 'package.xml').read_bytes() == (ROOT / 'package.xml').read_bytes()
    assert (prefix / 'share/ament_index/resource_index/packages/vidseg_ros').is_file()
    assert version.stdout.strip() == f'vidseg {vidseg_ros.__version__}'
    for folder in SHARED:
        assert sizes(share / folder) == sizes(ROOT / folder) != {}


@pytest.mark.ros
def test_every_launch_file_loads_and_describes_its_arguments() -> None:
    sources = pytest.importorskip(
        'launch.launch_description_sources', reason='launch is not installed: source a ROS 2'
    )
    files = sorted((ROOT / 'launch').glob('*.launch.py'))
    segmentation = {
        'params_file',
        'model',
        'engine',
        'namespace',
        'cameras',
        'image',
        'use_sim_time',
        'autostart',
        'respawn',
        'respawn_delay',
        'overlay',
        'shared_memory',
        'log_level',
    }
    replay = segmentation | {'source', 'topic', 'rate', 'loop', 'masks', 'record', 'drain'}
    expected = {'replay.launch.py': replay, 'segmentation.launch.py': segmentation}

    assert [file.name for file in files] == sorted(expected)
    for file in files:
        description = sources.get_launch_description_from_python_launch_file(str(file))
        arguments = {item.name: item.description for item in description.get_launch_arguments()}
        assert arguments.keys() == expected[file.name]
        assert all(arguments.values())
