# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Read the names of TensorRT's bindings, for `inference/tensorrt_names.json`.

A wheel of the bindings has no libraries; `--stubs` compiles empty ones (with ``cc``), so that it
can be imported all the same::

    pip download --no-deps tensorrt-cu13-bindings==11.4.0.106
    unzip -d wheel tensorrt_cu13_bindings-*.whl
    python test/read_tensorrt_names.py wheel/tensorrt_bindings --stubs

A whole TensorRT needs no stubs: give the folder ``tensorrt`` of its wheel.
"""

import argparse
import ctypes
from importlib import import_module
import json
from pathlib import Path
import re
import subprocess
import sys
import tempfile

CLASSES = [
    'Builder',
    'IBuilderConfig',
    'INetworkDefinition',
    'ITensor',
    'OnnxParser',
    'ParserError',
    'Runtime',
    'ICudaEngine',
    'IExecutionContext',
    'EngineInspector',
    'ITimingCache',
    'BuilderFlag',
    'NetworkDefinitionCreationFlag',
    'TacticSource',
    'ExecutionContextAllocationStrategy',
    'IProgressMonitor',
    'MemoryPoolType',
    'ProfilingVerbosity',
    'LayerInformationFormat',
    'ILogger',
    'IHostMemory',
    'TensorIOMode',
    'IOptimizationProfile',
]
FUNCTIONS = [
    'createInferBuilder_INTERNAL',
    'createInferRefitter_INTERNAL',
    'createInferRuntime_INTERNAL',
    'createNvOnnxParserRefitter_INTERNAL',
    'createNvOnnxParser_INTERNAL',
    'getBuilderPluginRegistry',
    'getNvOnnxParserVersion',
    'getPluginRegistry',
    'initLibNvInferPlugins',
]


def load_stubs(folder: Path) -> None:
    """Compile and load what the bindings link: functions that return nothing."""
    needed = re.findall(rb'libnv[a-z_]+\.so\.\d+', (folder / 'tensorrt.so').read_bytes())
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / 'stubs.c'
        source.write_text(''.join(f'void *{name}(void) {{ return 0; }}\n' for name in FUNCTIONS))
        for name in sorted({text.decode() for text in needed}):
            library = Path(scratch) / name
            command = ['cc', '-shared', '-fPIC', f'-Wl,-soname,{name}', '-o', library, source]
            subprocess.run(command, check=True)
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def main() -> None:
    """Print one entry of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else '')
    parser.add_argument('folder', type=Path, help='tensorrt_bindings or tensorrt, unpacked')
    parser.add_argument('--stubs', action='store_true', help='where there are no libraries')
    args = parser.parse_args()
    if args.stubs:
        load_stubs(args.folder)
    sys.path.insert(0, str(args.folder.parent))
    trt = import_module(args.folder.name)
    names = {}
    for kind in (getattr(trt, name) for name in CLASSES if hasattr(trt, name)):
        members = [name for name in dir(kind) if not name.startswith('_')]
        if hasattr(kind, '__members__'):  # of an enumeration only its values
            members = [name for name in members if name not in {'name', 'value'}]
        names[kind.__name__] = members
    json.dump({trt.__version__: names}, sys.stdout)


if __name__ == '__main__':
    main()
