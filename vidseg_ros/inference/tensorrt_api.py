# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The thin seam to TensorRT: the only module that calls its Python bindings.

8.5, 10.x and 11.x differ in flags (`tensorrt_options`) and in what the builder tells of its
progress; the calls that run a plan are the same in all.
"""

from collections import deque
from importlib import import_module
import logging
import threading
import time
from typing import Any, Final

from vidseg_ros.core.errors import EngineError
from vidseg_ros.inference.cuda_runtime import GpuError, OUT_OF_MEMORY
from vidseg_ros.inference.tensorrt_options import (
    BuildCancelled,
    BuildFlags,
    BuildOptions,
    OnProgress,
    profile_shapes,
    Progress,
)

_logger = logging.getLogger(__name__)

_TICK_S: Final = 0.5

_MOST_ERRORS: Final = 8
"""Latest lines of TensorRT's log that an error repeats: the last one alone tells little."""

_NO_MEMORY: Final = ('out of memory', 'outofmemory')
"""What TensorRT's log says where the memory of the GPU does not suffice, in small letters."""

_LESS_MEMORY: Final = 'fewer cameras in one batch, a smaller model, or end what else uses the GPU'


class PlanRefused(EngineError):  # noqa: N818  # what happened, as in TensorRT's own words
    """TensorRT does not load a plan, such as one of another version or GPU."""


class TensorRtMissing(EngineError):  # noqa: N818  # as above
    """TensorRT is not installed, as on every machine without an NVIDIA GPU."""


def load_tensorrt() -> Any:  # noqa: ANN401  # a foreign module without types
    """Return the module ``tensorrt``.

    Raises:
        TensorRtMissing: If it is not installed.
        EngineError: If its libraries cannot be loaded.
    """
    try:
        return import_module('tensorrt')
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == 'tensorrt'
        why = 'is not installed' if missing else f'cannot be loaded ({error})'
        msg = f'TensorRT {why}; JetPack and DRIVE bring it, elsewhere: pip install tensorrt'
        raise (TensorRtMissing if missing else EngineError)(msg) from error


def _make_log(trt: Any) -> Any:  # noqa: ANN401
    """Return a logger for TensorRT that keeps its errors until somebody asks ``why``."""

    class Log(trt.ILogger):  # type: ignore[misc]  # a class of a module loaded at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=_MOST_ERRORS)

        def log(self, severity: Any, text: str) -> None:  # noqa: ANN401
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(' '.join(text.split()))
            level = logging.WARNING if severity == trt.ILogger.WARNING else logging.DEBUG
            _logger.log(level, 'TensorRT: %s', text)

        def why(self) -> str:
            errors = dict.fromkeys(self.errors)  # each line once
            self.errors.clear()
            return '; '.join(errors) or 'it does not say why'

    return Log()


def _failure(what: str, log: Any, kind: type[EngineError] = EngineError) -> EngineError:  # noqa: ANN401
    """Return the error with all that TensorRT logged; of too little memory, a `GpuError`."""
    why = log.why()
    if any(words in why.lower() for words in _NO_MEMORY):
        return GpuError(OUT_OF_MEMORY, f'{what}: the GPU is out of memory ({why}); {_LESS_MEMORY}')
    return kind(f'{what}: {why}')


class _Reporter:
    """Tells of a build: what TensorRT says (10 and later), and that time goes by."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress, self._started_s = on_progress, time.monotonic()
        self._phase = 'building the TensorRT engine'
        self._share: float | None = None
        self._lock, self._end = threading.Lock(), threading.Event()
        self._goes_on = True
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> '_Reporter':  # noqa: PYI034  # Self is of Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def cancelled(self) -> bool:
        return not self._goes_on

    def say(self, phase: str, share: float | None) -> bool:
        with self._lock:
            self._phase, self._share = phase, share
        return self._report()

    def _report(self) -> bool:
        with self._lock:
            progress = Progress(
                phase=self._phase,
                share=self._share,
                elapsed_s=time.monotonic() - self._started_s,
            )
            self._goes_on = self._on_progress(progress) and self._goes_on
            return self._goes_on

    def _tick(self) -> None:
        while not self._end.wait(_TICK_S):
            self._report()


def _make_monitor(trt: Any, reporter: _Reporter) -> Any:  # noqa: ANN401
    """Return a progress monitor that follows the outermost phases."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # as for the logger
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if not parent:
                self._steps[phase] = steps
                reporter.say(phase, 0.0)

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self._steps:
                return reporter.say(phase, min(1.0, (step + 1) / max(1, self._steps[phase])))
            return not reporter.cancelled

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()


def build_plan(
    model: bytes,
    options: BuildOptions,
    flags: BuildFlags,
    timing_cache: bytes,
    on_progress: OnProgress,
) -> tuple[bytes, bytes]:
    """Build a plan; takes minutes, with the interpreter free for other threads.

    Args:
        model: The model file.
        options: What to build.
        flags: How this version builds that.
        timing_cache: What an earlier build measured; empty if there was none.
        on_progress: Hears of progress and may cancel.

    Returns:
        The plan, and the timing cache for the next build.

    Raises:
        BuildCancelled: If ``on_progress`` said so.
        GpuError: If the memory of the GPU does not suffice.
        EngineError: If TensorRT cannot read the model or build it.
    """
    trt = load_tensorrt()
    log = _make_log(trt)
    builder = _create(trt.Builder, log)
    bits = sum(1 << int(getattr(trt.NetworkDefinitionCreationFlag, f)) for f in flags.network)
    network = builder.create_network(bits)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        why = '; '.join(str(parser.get_error(index)) for index in range(parser.num_errors))
        msg = f'TensorRT {trt.__version__} cannot read the model: {why}'
        raise EngineError(msg)
    config = _configure(trt, builder, network, options, flags)
    cache = _set_timing(config, timing_cache) or _set_timing(config, b'')
    with _Reporter(on_progress) as reporter:
        if hasattr(trt, 'IProgressMonitor'):
            config.progress_monitor = _make_monitor(trt, reporter)
        plan = builder.build_serialized_network(network, config)
        cancelled = reporter.cancelled
    failed = f'TensorRT {trt.__version__} built no {options.precision} engine'
    if cancelled:
        msg = f'{failed}: the build was cancelled'
        raise BuildCancelled(msg)
    if plan is None:
        raise _failure(failed, log)
    return bytes(plan), b'' if cache is None else bytes(cache.serialize())


def _set_timing(config: Any, content: bytes) -> Any:  # noqa: ANN401
    """Return the timing cache of a build; None if TensorRT does not take this content."""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):  # noqa: FBT003  # ignore_mismatch
        return None
    return cache


def _configure(
    trt: Any,  # noqa: ANN401
    builder: Any,  # noqa: ANN401
    network: Any,  # noqa: ANN401
    options: BuildOptions,
    flags: BuildFlags,
) -> Any:  # noqa: ANN401
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for name in flags.on:
        config.set_flag(getattr(trt.BuilderFlag, name))
    for name in flags.off:
        config.clear_flag(getattr(trt.BuilderFlag, name))
    bits = sum(1 << int(getattr(trt.TacticSource, name)) for name in flags.tactics)
    if bits and not config.set_tactic_sources(bits):
        msg = f'TensorRT {trt.__version__} refuses the tactic sources {", ".join(flags.tactics)}'
        raise EngineError(msg)
    frames = network.get_input(0).name
    for shape in profile_shapes(options.shapes, options.slots):
        profile = builder.create_optimization_profile()
        exact = (*shape, 3)
        profile.set_shape(frames, exact, exact, exact)
        config.add_optimization_profile(profile)
    return config


def _create(kind: Any, log: Any) -> Any:  # noqa: ANN401
    """Create a Builder or Runtime; the bindings raise TypeError where CUDA does not work."""
    try:
        return kind(log)
    except TypeError as error:
        msg = f'TensorRT cannot use the GPU ({log.why()}); check nvidia-smi'
        raise EngineError(msg) from error


class LoadedPlan:
    """A plan that TensorRT has accepted."""

    def __init__(self, plan: bytes) -> None:
        """Load a plan on the GPU of the calling thread. Only plans from a trusted place.

        Raises:
            PlanRefused: If TensorRT does not load it.
            GpuError: If the memory of the GPU does not suffice.
            EngineError: If TensorRT cannot use the GPU.
        """
        self._trt = load_tensorrt()
        self._log = _make_log(self._trt)
        self._runtime = _create(self._trt.Runtime, self._log)
        self.engine = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            what = f'TensorRT {self._trt.__version__} refuses the plan'
            raise _failure(what, self._log, PlanRefused)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        mode = self._trt.TensorIOMode.OUTPUT
        return [name for name in names if self.engine.get_tensor_mode(name) == mode]

    def create_context(
        self, profile: int, stream: int, inputs: dict[str, tuple[int, ...]]
    ) -> 'PlanContext':
        """Return what runs the plan with one of its profiles; work of its own may be under way.

        Args:
            profile: Number of the optimisation profile.
            stream: Handle of the CUDA stream.
            inputs: Shape of each input.

        Raises:
            GpuError: If the context cannot be had: TensorRT found no memory for it.
            EngineError: If the plan has no such profile, or it is not for these shapes.
        """
        # Since 10: else each context takes the memory of the largest profile, as before.
        strategies = getattr(self._trt, 'ExecutionContextAllocationStrategy', None)
        chosen = () if strategies is None else (strategies.ON_PROFILE_CHANGE,)
        context = self.engine.create_execution_context(*chosen)
        if context is None:
            msg = f'TensorRT has no memory to run the plan ({self._log.why()}): {_LESS_MEMORY}'
            raise GpuError(OUT_OF_MEMORY, msg)
        done = context.set_optimization_profile_async(profile, stream)
        done = done and all(context.set_input_shape(name, s) for name, s in inputs.items())
        if not done:
            what = f'TensorRT cannot set up profile {profile}'
            raise _failure(what, self._log)
        return PlanContext(self._trt, context, stream, self._log)


class PlanContext:
    """Runs a plan with fixed shapes on one stream."""

    def __init__(self, trt: Any, context: Any, stream: int, log: Any) -> None:  # noqa: ANN401
        """Wrap TensorRT's execution context."""
        self._trt, self._context, self._stream, self._log = trt, context, stream, log

    def bind(self, name: str, address: int) -> None:
        """Set where a tensor lies on the GPU.

        Raises:
            EngineError: If TensorRT refuses.
        """
        if not self._context.set_tensor_address(name, address):
            what = f'TensorRT refuses the memory of {name!r}'
            raise _failure(what, self._log)

    def output_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an output for the shapes of the inputs."""
        return tuple(self._context.get_tensor_shape(name))

    def describe_layers(self) -> str:
        """Return what the engine inspector says of all layers, as JSON text.

        Shapes are dynamic, and only a context that has them tells formats and precisions.
        """
        inspector = self._context.engine.create_engine_inspector()
        inspector.execution_context = self._context
        form = self._trt.LayerInformationFormat.JSON
        return str(inspector.get_engine_information(form))

    def enqueue(self) -> None:
        """Put one inference on the stream.

        Raises:
            EngineError: If TensorRT refuses.
        """
        if not self._context.execute_async_v3(self._stream):
            what = 'TensorRT cannot run the network'
            raise _failure(what, self._log)
