# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The rules by which the segmentation node judges itself on ``/diagnostics``.

It sends three kinds of status: ``<node>: engine`` (state, model, engine, device, real precision),
``<node>: graph`` (how it gets on with other nodes), and while active ``<node>: <camera>`` (rates,
ages, latencies of every stage, drops by reason; ``image`` without ``cameras``). The tables
`ENGINE_RULES`, `GRAPH_RULES` and `CAMERA_RULES` give the level of each: that of the worst rule
that holds. The message is what all rules of WARN and ERROR that hold have to say, and the value
``rules`` their names, for machines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from vidseg_ros.pipeline import REPLACED

WINDOW_S: Final = 10.0
"""Rates, latencies and warnings look this far back, seconds."""

BAD_SHARE: Final = 0.01
"""A larger share of frames that cannot be decoded is a warning; one damaged frame is not."""

STAMP_BACKWARDS: Final = 'stamp_backwards'
"""Key under which frames are counted whose stamp is older than the one before; not a drop."""

EXTRAS_FAILED: Final = 'extras_failed'
"""Key under which frames are counted whose confidence or overlay failed; not a drop."""

OK: Final = DiagnosticStatus.OK
WARN: Final = DiagnosticStatus.WARN
ERROR: Final = DiagnosticStatus.ERROR


class Limits(NamedTuple):
    """What an integrator may set, see `vidseg_ros.nodes.parameters`."""

    camera_timeout_s: float
    """Longest time without an image, or from an image to a mask, seconds."""
    max_age_s: float
    """Largest age of a mask when it is published, seconds."""


class InputFacts(NamedTuple):
    """How the topics of a camera look, see `vidseg_ros.nodes.camera_topics`."""

    publishers: int
    """How many publish images there, connected or not."""
    misfit: str
    """Who publishes something else there, and what to change; '' if nobody does."""
    info_problem: str
    """Which CameraInfo is missing, and what to change; '' if none is."""


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What `ENGINE_RULES` look at."""

    state: str
    """State of the lifecycle."""
    failure: str
    """Why the last transition or the engine failed; '' if neither did."""
    building: str
    """How far the build of an engine is; '' if none is built."""
    fallback: str
    """Why the engine is not the one that is installed for this machine; '' if it is."""
    mute: str
    """Name of the model, if it lacks the confidence that somebody listens to; else ''."""


@dataclass(frozen=True, kw_only=True)
class GraphFacts:
    """What `GRAPH_RULES` look at."""

    name: str
    """Full name of the node."""
    namesakes: int
    """How many other nodes have it too."""
    clashes: str
    """Endpoints that cannot connect, and what to change; '' if all can."""
    misfits: str
    """Publishers of another type than the node expects, and what to change; '' if none."""


@dataclass(frozen=True, kw_only=True)
class CameraFacts:
    """What `CAMERA_RULES` look at; counts and shares are of the last `WINDOW_S`."""

    topic: str
    """Topic of the camera, for people."""
    inputs: InputFacts
    """Who publishes."""
    limits: Limits
    """The integrator's limits."""
    silent_s: float
    """Time since the last image (s)."""
    blind_s: float
    """Time since the last image that could be decoded (s)."""
    waiting_s: float
    """How long the oldest image has waited that no mask came after (s)."""
    bad_share: float
    """Share of the images that could not be decoded, 0 to 1."""
    bad: str
    """Their numbers by reason, for people; ``none`` if there are none."""
    backwards: int
    """Stamps older than the one before."""
    clock_problem: str
    """What is wrong with stamps or clock; '' if nothing is."""
    age_s: float
    """95th percentile of the masks' age (s); 0 without masks."""
    replaced_share: float
    """Share of all images since activation that a newer one replaced, 0 to 1."""
    serving_s: float
    """Time since the first mask (s); 0 before it."""
    extras_failed: int
    """Frames whose confidence or overlay failed."""


_Facts = TypeVar('_Facts')


@dataclass(frozen=True)
class Rule(Generic[_Facts]):
    """One line of a table of rules."""

    name: str
    """For machines, in the value ``rules``."""
    level: bytes
    """Level of the status if it holds."""
    holds: Callable[[_Facts], bool]
    """Whether it does."""
    text: str
    """For people: what is wrong and how to fix it; fields of the facts in braces."""
    logged: bool = False
    """Whether the node's log says it too when it begins; others are logged where they happen."""


ENGINE_RULES: Final[tuple[Rule[EngineFacts], ...]] = (
    Rule('failed', ERROR, lambda facts: bool(facts.failure), '{failure}'),
    Rule(
        'fallback',
        WARN,
        lambda facts: bool(facts.fallback),
        'the CPU does the work: {fallback}; where that is meant, set engine: onnxruntime',
    ),
    Rule(
        'no_confidence',
        WARN,
        lambda facts: bool(facts.mute),
        'somebody listens to ~/confidence, but the model {mute} has no such output and nothing '
        'comes there; export or wrap it again with the confidence, or do not listen',
        logged=True,
    ),
    Rule('building', OK, lambda facts: bool(facts.building), 'configuring: {building}'),
    Rule('state', OK, lambda _: True, '{state}'),
)

GRAPH_RULES: Final[tuple[Rule[GraphFacts], ...]] = (
    Rule(
        'namesake',
        WARN,
        lambda facts: facts.namesakes > 0,
        'another node is called {name} (one that was killed counts for some 20 s more), requests '
        'and masks of the two get mixed up; give one of them another name (--ros-args -r '
        '__node:=other) or namespace (-r __ns:=/other)',
        logged=True,
    ),
    Rule('incompatible_qos', WARN, lambda facts: bool(facts.clashes), '{clashes}'),
    Rule('wrong_type', WARN, lambda facts: bool(facts.misfits), '{misfits}'),
    Rule('fine', OK, lambda _: True, 'every endpoint can connect'),
)


def _silent(facts: CameraFacts) -> bool:
    return facts.silent_s > facts.limits.camera_timeout_s


def _all_bad(facts: CameraFacts) -> bool:
    timeout_s = facts.limits.camera_timeout_s
    return facts.blind_s > timeout_s >= facts.silent_s


CAMERA_RULES: Final[tuple[Rule[CameraFacts], ...]] = (
    Rule(
        'no_masks',
        ERROR,
        lambda facts: facts.waiting_s > facts.limits.camera_timeout_s,
        'frames arrive, but no mask for {waiting_s:.0f} s: the engine is slow or hangs',
        logged=True,
    ),
    Rule(
        'wrong_type',
        ERROR,
        lambda facts: _silent(facts) and bool(facts.inputs.misfit),
        'no frame on {topic} for {silent_s:.0f} s: {inputs.misfit}',
        logged=True,
    ),
    Rule(
        'no_publisher',
        ERROR,
        lambda facts: _silent(facts) and not facts.inputs.publishers and not facts.inputs.misfit,
        'no frame on {topic} for {silent_s:.0f} s, and nobody publishes there; check the camera '
        "driver and the topic's name",
        logged=True,
    ),
    Rule(
        'no_images',
        ERROR,
        lambda facts: _silent(facts) and facts.inputs.publishers > 0,
        'no frame on {topic} for {silent_s:.0f} s, although somebody publishes there; check the '
        'camera, the QoS of both sides and the room in /dev/shm',
        logged=True,
    ),
    Rule(
        'no_good_frames',
        ERROR,
        _all_bad,
        'frames arrive on {topic}, but none for {blind_s:.0f} s could be decoded; bad frames in '
        f'the last {WINDOW_S:.0f} s: {{bad}}; check the encoding and the camera driver',
    ),
    Rule(
        'bad_frames',
        WARN,
        lambda facts: facts.bad_share > BAD_SHARE and not _all_bad(facts),
        f'bad frames in the last {WINDOW_S:.0f} s: {{bad}}',
    ),
    Rule(
        STAMP_BACKWARDS,
        WARN,
        lambda facts: facts.backwards > 0,
        f'stamps jumped back in the last {WINDOW_S:.0f} s: {STAMP_BACKWARDS} {{backwards}}; a '
        'bag that loops does that, a camera must not',
    ),
    Rule('clock', WARN, lambda facts: bool(facts.clock_problem), '{clock_problem}', logged=True),
    Rule(
        'age',
        WARN,
        # Against another clock an age says nothing.
        lambda facts: facts.age_s > facts.limits.max_age_s and not facts.clock_problem,
        'masks are {age_s:.2f} s old when they are published, the limit is {limits.max_age_s:g} s '
        '(parameter max_age); use a smaller model or mask_size: network',
        logged=True,
    ),
    Rule(
        'no_camera_info',
        WARN,
        # The first one may come later than the first image.
        lambda facts: (
            bool(facts.inputs.info_problem) and facts.serving_s > facts.limits.camera_timeout_s
        ),
        'masks of mask_size: network go out without ~/camera_info: {inputs.info_problem}',
        logged=True,
    ),
    Rule(
        EXTRAS_FAILED,
        WARN,
        lambda facts: facts.extras_failed > 0,
        'masks go out, but ~/confidence or ~/overlay failed for {extras_failed} frames in the '
        f"last {WINDOW_S:.0f} s; the node's log says why, please report it",
    ),
    Rule(
        REPLACED,
        OK,
        lambda facts: facts.replaced_share > 0,
        'frames are segmented; {replaced_share:.0%} were replaced by newer ones before their turn',
    ),
    Rule('fine', OK, lambda _: True, 'frames are segmented'),
)


class Verdict(NamedTuple):
    """What a table of rules makes of the facts."""

    level: bytes
    """A level of DiagnosticStatus."""
    texts: dict[str, str]
    """What each rule of WARN and ERROR that holds says, by name; of the first one if none does."""
    logged: tuple[str, ...]
    """Names of those that the log shall have too."""


def judge(rules: Sequence[Rule[_Facts]], facts: _Facts) -> Verdict:
    """Look which rules hold.

    Args:
        rules: A table; its last rule always holds.
        facts: What the rules look at.
    """
    holding = [rule for rule in rules if rule.holds(facts)]
    bad = [rule for rule in holding if rule.level > OK]
    return Verdict(
        level=max(rule.level for rule in holding),
        texts={rule.name: rule.text.format(**vars(facts)) for rule in bad or holding[:1]},
        logged=tuple(rule.name for rule in bad if rule.logged),
    )


def make_status(
    name: str, hardware_id: str, verdict: Verdict, values: Mapping[str, str]
) -> DiagnosticStatus:
    """Make a status of a verdict.

    Args:
        name: Its name.
        hardware_id: Device or topic, for people.
        verdict: Its level and message.
        values: Its values, after the names of the rules.
    """
    named = {'rules': ', '.join(verdict.texts), **values}
    return DiagnosticStatus(
        level=verdict.level,
        name=name,
        message='; '.join(verdict.texts.values()),
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in named.items()],
    )
