# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT over a fake GPU: the bindings of one version as far as our seam calls them.

Enumerations have exactly the members that the real bindings of that version have.
"""

import base64
from collections.abc import Callable
from enum import IntEnum
import json
from types import SimpleNamespace
from typing import Any
from weakref import WeakMethod

import numpy as np
import onnx
import onnxruntime


class HostMemory:
    """IHostMemory."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.nbytes = len(content)

    def __bytes__(self) -> bytes:
        return self._content


class FakeTensorRt:
    """Module ``tensorrt``."""

    def __init__(self, gpu: Any, version: str, names: dict[str, list[str]]) -> None:
        self.gpu, self.__version__ = gpu, version
        for kind in (
            'BuilderFlag',
            'NetworkDefinitionCreationFlag',
            'MemoryPoolType',
            'ProfilingVerbosity',
            'LayerInformationFormat',
            'TensorIOMode',
            'TacticSource',
            'ExecutionContextAllocationStrategy',
        ):
            if kind not in names:
                continue
            setattr(self, kind, IntEnum(kind, names[kind], start=0))
        self.ILogger = type('ILogger', (), {'INTERNAL_ERROR': 0, 'ERROR': 1, 'WARNING': 2})
        if 'IProgressMonitor' in names:
            self.IProgressMonitor = type('IProgressMonitor', (), {})

    def Builder(self, logger: Any) -> 'Builder':  # noqa: N802
        return Builder(self, logger)

    def OnnxParser(self, network: Any, _logger: Any) -> 'OnnxParser':  # noqa: N802
        return OnnxParser(network)

    def Runtime(self, logger: Any) -> 'Runtime':  # noqa: N802
        return Runtime(self, logger)


class Network:
    """INetworkDefinition."""

    def __init__(self, flags: int) -> None:
        self.flags, self.onnx = flags, b''

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(name=onnx.load_from_string(self.onnx).graph.input[index].name)


class OnnxParser:
    def __init__(self, network: Network) -> None:
        self._network, self._errors = network, list[str]()

    def parse(self, model: bytes) -> bool:
        if b'unreadable' in model:
            self._errors.append('In node 3: unsupported operator')
            return False
        self._network.onnx = model
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]


class Profile:
    """IOptimizationProfile."""

    def __init__(self) -> None:
        self.shapes: dict[str, list[int]] = {}

    def set_shape(self, name: str, least: Any, best: Any, most: Any) -> None:
        assert tuple(least) == tuple(best) == tuple(most)
        self.shapes[name] = list(best)


class TimingCache:
    """ITimingCache."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> HostMemory:
        return HostMemory(self.content + b'+')


class BuilderConfig:
    """IBuilderConfig."""

    def __init__(self, trt: FakeTensorRt) -> None:
        self.trt = trt
        self.flags = {'TF32'}
        self.profiles: list[Profile] = []
        self.tactic_sources = (1 << len(trt.TacticSource)) - 1  # type: ignore[attr-defined]
        self.progress_monitor: Any = None
        self.profiling_verbosity: Any = None

    def set_memory_pool_limit(self, _pool: Any, size: int) -> None:
        assert size > 0

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag.name)

    def set_tactic_sources(self, sources: int) -> bool:
        if 'tactics' in self.trt.gpu.failures or sources >> len(self.trt.TacticSource):  # type: ignore[attr-defined]
            return False
        self.tactic_sources = sources
        return True

    def create_timing_cache(self, content: bytes) -> TimingCache | None:
        return None if b'damaged' in content else TimingCache(content)

    def set_timing_cache(self, cache: TimingCache, _ignore_mismatch: bool) -> bool:  # noqa: FBT001
        if not isinstance(cache, TimingCache):
            msg = 'set_timing_cache(): incompatible function arguments'
            raise TypeError(msg)
        return b'foreign' not in cache.content

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Builder:
    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int) -> Network:
        return Network(flags)

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig(self._trt)

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Any) -> HostMemory | None:
        gpu = self._trt.gpu
        gpu.builds += 1
        gpu.on_build()
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start('Building engine', None, 2)
            monitor.phase_start('Tactics', 'Building engine', 1)
            goes_on = monitor.step_complete('Tactics', 0)
            monitor.phase_finish('Tactics')
            goes_on = goes_on and monitor.step_complete('Building engine', 0)
            monitor.phase_finish('Building engine')
            if not goes_on:
                return None
        if 'build' in gpu.failures:
            for line in gpu.failures['build'].split('|'):
                self._logger.log(1, line)
            return None
        plan = {
            'version': self._trt.__version__,
            'gpu': gpu.names[0],
            'profiles': [profile.shapes for profile in config.profiles],
            'precision': gpu.real_precision or _precision(self._trt, network, config),
            'tactics': [
                tactic.name
                for tactic in self._trt.TacticSource  # type: ignore[attr-defined]
                if config.tactic_sources >> tactic & 1
            ],
            'onnx': base64.b64encode(network.onnx).decode(),
        }
        return HostMemory(json.dumps(plan).encode())


def _precision(trt: FakeTensorRt, network: Network, config: BuilderConfig) -> str:
    """As the real one: by the flags where it is weakly typed, else by the ONNX."""
    typed = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    if typed is not None and network.flags >> int(typed) & 1:
        return json.loads(_card(network.onnx))['precision'].upper()  # type: ignore[no-any-return]
    return next((name for name in ('INT8', 'FP16') if name in config.flags), 'FP32')


def _card(model: bytes) -> str:
    return str(onnx.load_from_string(model).metadata_props[0].value)


class Runtime:
    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, content: bytes) -> 'Engine | None':
        trouble = self._trt.gpu.failures.get('load')
        try:
            plan = json.loads(content)
        except ValueError:
            trouble = 'Serialization assertion failed: magic tag does not match'
        else:
            for what, own in (('version', self._trt.__version__), ('gpu', self._trt.gpu.names[0])):
                if plan[what] != own:
                    trouble = f'the plan has another {what}'
        if trouble is None:
            return Engine(self._trt, plan, lambda text: self._logger.log(1, text))
        # The last line is always the same, and says nothing of the cause.
        last = 'Error Code 4: Internal Error (Engine deserialization failed.)'
        for line in (f'Error Code 1: {trouble}', last):
            self._logger.log(1, line)
        return None


class Engine:
    """ICudaEngine."""

    def __init__(
        self, trt: FakeTensorRt, plan: dict[str, Any], log: Callable[[str], None]
    ) -> None:
        self.trt, self.plan, self.log = trt, plan, log
        model = base64.b64decode(plan['onnx'])
        graph = onnx.load_from_string(model).graph
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options)
        self._names = [value.name for value in (*graph.input, *graph.output)]
        self.sizes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
            for value in graph.output
        }
        self.busy: set[int] = set()

    @property
    def num_io_tensors(self) -> int:
        return len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> Any:
        mode = self.trt.TensorIOMode
        return mode.OUTPUT if name in self.sizes else mode.INPUT

    def create_engine_inspector(self) -> 'Inspector':
        return Inspector(self)

    def create_execution_context(self, *strategy: Any) -> 'Context | None':
        if strategy and not hasattr(self.trt, 'ExecutionContextAllocationStrategy'):
            msg = 'create_execution_context(): incompatible function arguments'
            raise TypeError(msg)
        context = Context(self, strategy[0].name if strategy else 'STATIC')
        return None if 'context' in self.trt.gpu.failures else context


def _pixels(profile: dict[str, list[int]]) -> int:
    """Return the pixels of a profile: what a context needs in memory goes with them."""
    (shape,) = profile.values()
    return int(np.prod(shape[:3]))


class Inspector:
    """EngineInspector."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.execution_context: Context | None = None

    def get_engine_information(self, _form: Any) -> str:
        context = self.execution_context
        hidden = self._engine.trt.gpu.hides_types
        known = context is not None and context._has_shapes and not hidden
        precision = self._engine.plan['precision']
        form = f'Row major linear {precision}' if known else 'N/A due to dynamic shapes'
        inputs = [{'Name': 'x', 'Format/Datatype': form}]
        layers = [
            {'Name': 'cast', 'LayerType': 'Cast', 'Inputs': inputs},
            {'Name': 'conv', 'LayerType': 'CaskConvolution', 'Inputs': inputs},
        ]
        return json.dumps({'Layers': layers})


class Context:
    """IExecutionContext."""

    def __init__(self, engine: Engine, strategy: str) -> None:
        self.engine, self._addresses = engine, dict[str, int]()
        self._shape: list[int] = []
        self._profile = -1
        self._strategy = strategy
        if strategy == 'STATIC':
            self._take(max(map(_pixels, engine.plan['profiles'])))

    def __del__(self) -> None:
        self.engine.trt.gpu.destroyed_contexts += 1

    def _take(self, pixels: int) -> None:
        self.engine.trt.gpu.context_pixels.append(pixels)

    @property
    def _has_shapes(self) -> bool:
        return bool(self._shape)

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        assert stream in self.engine.trt.gpu.streams
        assert profile not in self.engine.busy, 'one context for each profile'
        self.engine.busy.add(profile)
        self._profile = profile
        if profile >= len(self.engine.plan['profiles']):
            return False
        if 'profile' in self.engine.trt.gpu.failures:
            self.engine.log(self.engine.trt.gpu.failures['profile'])
            return False
        if self._strategy == 'ON_PROFILE_CHANGE':
            self._take(_pixels(self.engine.plan['profiles'][profile]))
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shape = list(shape)
        return self.engine.plan['profiles'][self._profile][name] == self._shape  # type: ignore[no-any-return]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return 'address' not in self.engine.trt.gpu.failures

    def get_tensor_shape(self, name: str) -> list[int]:
        return [self._shape[0], *self.engine.sizes[name]]

    def execute_async_v3(self, handle: int) -> bool:
        gpu = self.engine.trt.gpu
        stream = gpu.streams[handle]
        if gpu.last_error or len(self._addresses) < self.engine.num_io_tensors:
            return False
        if gpu.refuses_capture and stream.recording is not None:
            stream.invalid = True
            return False
        run = WeakMethod(self._run)  # the stream keeps no context alive, as on a GPU

        def work() -> None:
            method = run()
            if method is None:
                gpu.fail('cudaErrorIllegalAddress')
            method()

        stream.add(work)
        return True

    def _run(self) -> None:
        gpu = self.engine.trt.gpu
        (name,) = self.engine.plan['profiles'][self._profile]
        frames = gpu.read_device(self._addresses[name], self._shape)
        if gpu.broken:
            gpu.fail(gpu.broken)
        names = list(self.engine.sizes)
        for output, array in zip(
            names, self.engine.session.run(names, {name: frames}), strict=True
        ):
            noise = gpu.noise if len(array) == 1 else gpu.batch_noise
            noise = max(noise, gpu.profile_noise.get(self._profile, 0))
            noisy = gpu.noise_height in (None, self._shape[1])
            wrong = int(noise * array.size) if noisy else 0
            array.reshape(-1)[:wrong] = 0
            target = gpu.read_device(self._addresses[output], array.shape)
            np.copyto(target, array)
