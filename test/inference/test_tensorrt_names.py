# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""What the seam to TensorRT and its fake call exists in the real bindings of each version."""

import ast
from importlib import util
import json
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from vidseg_ros.inference import tensorrt_api
from vidseg_ros.inference.tensorrt_options import flags_for

NAMES = json.loads((Path(__file__).parent / 'tensorrt_names.json').read_text())
VERSIONS = list(NAMES)

INTERFACES = {
    'builder': 'Builder',
    'network': 'INetworkDefinition',
    'parser': 'OnnxParser',
    'config': 'IBuilderConfig',
    'profile': 'IOptimizationProfile',
    'cache': 'ITimingCache',
    '_runtime': 'Runtime',
    'engine': 'ICudaEngine',
    'context': 'IExecutionContext',
    '_context': 'IExecutionContext',
    'inspector': 'EngineInspector',
    'strategies': 'ExecutionContextAllocationStrategy',
}
"""What the seam calls its objects, and which interface of TensorRT each is."""


def used_names() -> dict[str, set[str]]:
    """Return the attributes of TensorRT's objects in the source of the seam, by interface.

    Enumerations and classes are reached as ``trt.X.Y``, objects by the names of `INTERFACES`.
    """
    tree = ast.parse(Path(tensorrt_api.__file__).read_text())
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr.startswith('__'):
            continue
        owner = node.value
        if isinstance(owner, ast.Name | ast.Attribute):
            name = owner.id if isinstance(owner, ast.Name) else owner.attr
            kind = INTERFACES.get(name, name if name in NAMES['11.4.0.106'] else '')
            if kind:
                found.setdefault(kind, set()).add(node.attr)
    return found


ONLY_NEW = {
    ('IBuilderConfig', 'progress_monitor'),  # asked for IProgressMonitor first
    ('ExecutionContextAllocationStrategy', 'ON_PROFILE_CHANGE'),  # asked for first as well
}


@pytest.mark.parametrize('version', VERSIONS)
def test_every_name_exists_in_the_real_bindings(version: str) -> None:
    """`tensorrt_names.json` was read off the bindings of each version."""
    used = used_names()
    assert sum(map(len, used.values())) > 30
    assert used['ICudaEngine'] >= {'get_tensor_name', 'create_execution_context'}
    assert used['MemoryPoolType'] == {'WORKSPACE'}
    assert 'execution_context' in used['EngineInspector']
    assert used['ExecutionContextAllocationStrategy'] == {'ON_PROFILE_CHANGE'}
    major_minor = tuple(map(int, version.split('.')[:2]))
    for precision in ('fp32', 'fp16', 'int8'):
        flags = flags_for((major_minor[0], major_minor[1]), precision)  # type: ignore[arg-type]
        used.setdefault('BuilderFlag', set()).update(flags.on, flags.off)
        used.setdefault('NetworkDefinitionCreationFlag', set()).update(flags.network)
        used.setdefault('TacticSource', set()).update(flags.tactics)
    missing = {
        (kind, name)
        for kind, names in used.items()
        for name in names
        if name not in NAMES[version].get(kind, [])
    }
    assert missing <= (ONLY_NEW if version.startswith('8.') else set())


@pytest.mark.parametrize('version', VERSIONS)
def test_the_fake_has_no_method_that_the_real_bindings_lack(version: str) -> None:
    source = (Path(__file__).parents[1] / 'fake_tensorrt.py').read_text()
    real = {
        'Network': 'INetworkDefinition',
        'OnnxParser': 'OnnxParser',
        'Profile': 'IOptimizationProfile',
        'TimingCache': 'ITimingCache',
        'BuilderConfig': 'IBuilderConfig',
        'Builder': 'Builder',
        'Runtime': 'Runtime',
        'Engine': 'ICudaEngine',
        'Inspector': 'EngineInspector',
        'Context': 'IExecutionContext',
    }
    classes = {n.name: n for n in ast.parse(source).body if isinstance(n, ast.ClassDef)}
    assert real.keys() <= classes.keys()
    for fake, kind in real.items():
        methods = {n.name for n in classes[fake].body if isinstance(n, ast.FunctionDef)}
        public = {name for name in methods if not name.startswith('_')}
        assert public <= set(NAMES[version][kind]), fake


def test_the_installed_bindings_are_those_of_the_newest_list() -> None:
    """The wheel of the bindings comes without libraries: it is read, not imported."""
    spec = util.find_spec('tensorrt_bindings')
    assert spec is not None, 'pip install -r requirements/test.txt'
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    binary = (folder / 'tensorrt.so').read_bytes()
    version = VERSIONS[-1]
    assert f'__version__ = "{version}"' in (folder / '__init__.py').read_text()
    absent = [
        (kind, name)
        for kind, names in used_names().items()
        for name in names
        if f'{name}\0'.encode() not in binary  # linkers keep the end of a longer text only once
    ]
    assert absent == []


@pytest.mark.skipif(shutil.which('cc') is None, reason='no C compiler for the empty libraries')
def test_the_newest_list_is_what_the_installed_bindings_say() -> None:
    spec = util.find_spec('tensorrt_bindings')
    assert spec is not None, 'pip install -r requirements/test.txt'
    assert spec.origin is not None
    script = Path(__file__).parents[1] / 'read_tensorrt_names.py'
    command = [sys.executable, str(script), str(Path(spec.origin).parent), '--stubs']
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    ((version, names),) = json.loads(done.stdout).items()
    assert version == VERSIONS[-1]
    assert names == NAMES[version]
