# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Play recorded footage through the segmentation node in recorded time, and record its masks.

ros2 launch vidseg_ros replay.launch.py source:=drive.mp4
ros2 launch vidseg_ros replay.launch.py source:=my_bag topic:=/front/image masks:=front_masks

It ends by itself after the last frame, unless it loops; with an error if a part ends before.
Every argument of segmentation.launch.py that is not set here can be given as well. It serves one
camera: a params_file must not name several (``cameras``), or nobody would hear the player.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event import Event
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import StateTransition

from vidseg_ros.nodes.dds_profile import profile_variables

LABEL_MAP = 'segmentation/label_map'
WAIT_S = '60'

ARGUMENTS = (
    DeclareLaunchArgument('source', description='bag, video file or folder of images'),
    DeclareLaunchArgument(
        'topic', default_value='', description='image topic, where a bag has more than one'
    ),
    DeclareLaunchArgument('rate', default_value='1.0', description='speed, 1 = as recorded'),
    DeclareLaunchArgument(
        'loop',
        default_value='false',
        choices=['true', 'false'],
        description='start again after the last frame, until Ctrl-C; stamps go on to rise',
    ),
    DeclareLaunchArgument(
        'masks',
        default_value=datetime.now().astimezone().strftime('masks_%Y_%m_%d-%H_%M_%S'),
        description='folder of the new bag with the label maps',
    ),
    DeclareLaunchArgument(
        'record',
        default_value='true',
        choices=['true', 'false'],
        description='record the label maps',
    ),
    DeclareLaunchArgument(
        'drain',
        default_value='5.0',
        description='seconds that the last label maps have after the last frame',
    ),
)

Entities = list[LaunchDescriptionEntity]
OnExit = Callable[[ProcessExited, LaunchContext], Entities]


def start(context: LaunchContext) -> Entities:
    """Return the recorder, and the player that starts once the node is active.

    Args:
        context: Values of the launch arguments.
    """

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    variables = profile_variables(context.environment) if value('shared_memory') == 'true' else {}
    recording, looping = (value(name) == 'true' for name in ('record', 'loop'))
    recorder = Node(
        package='vidseg_ros',
        executable='mask_recorder',
        name='mask_recorder',
        namespace=value('namespace'),
        arguments=[value('masks'), '--topic', LABEL_MAP],
        parameters=[{'use_sim_time': True}],
        additional_env=variables,
        on_exit=failure('mask_recorder'),
        output='screen',
    )
    player = Node(
        package='vidseg_ros',
        executable='bag_player',
        name='bag_player',
        namespace=value('namespace'),
        arguments=[
            *(value('source'), '--rate', value('rate'), '--clock', '--wait', WAIT_S),
            *(('--topic', value('topic')) if value('topic') else ()),
            # Without a recorder there may be no subscriber of the masks to wait for.
            *(('--wait-for', LABEL_MAP) if recording else ()),
            *(('--loop',) if looping else ()),
        ],
        additional_env=variables,
        on_exit=end_of_footage(float(value('drain'))),
        output='screen',
    )
    play = OnStateTransition(matcher=is_active, entities=[player], handle_once=True)
    return [RegisterEventHandler(play), *([recorder] if recording else [])]


def end_of_footage(drain_s: float) -> OnExit:
    """Return what follows the player's end: the last label maps, then the shutdown.

    Args:
        drain_s: Time for the last label maps, seconds.
    """

    def react(event: ProcessExited, context: LaunchContext) -> Entities:
        if event.returncode != 0 or context.is_shutdown:
            return failure('bag_player')(event, context)
        note = LogInfo(msg=f'the footage is over; the end follows in {drain_s:g} s')
        end = EmitEvent(event=Shutdown(reason='the footage is over'))
        return [note, TimerAction(period=drain_s, actions=[end])]

    return react


def failure(name: str) -> OnExit:
    """Return what follows an end: the shutdown, with an error unless it is under way already.

    Args:
        name: What has ended.
    """

    def react(event: ProcessExited, context: LaunchContext) -> Entities:
        if not context.is_shutdown:
            msg = f'{name} has ended (exit code {event.returncode}): see its output above'
            raise RuntimeError(msg)
        return []

    return react


def refuse(context: LaunchContext) -> Entities:
    """End the replay because the node cannot work."""
    if not context.is_shutdown:
        msg = 'the segmentation node is not active: see its output above'
        raise RuntimeError(msg)
    return []


def is_active(event: Event) -> bool:
    """Return whether a lifecycle node has begun to work."""
    return isinstance(event, StateTransition) and event.goal_state == 'active'


def is_lost(event: Event) -> bool:
    """Return whether a lifecycle node cannot begin, or cannot go on, to work."""
    return isinstance(event, StateTransition) and (
        event.goal_state in {'unconfigured', 'finalized'}
        or (event.start_state, event.goal_state) == ('activating', 'inactive')
    )


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    segmentation = IncludeLaunchDescription(
        # A plain path, so that --show-args lists the arguments of that file as well.
        PythonLaunchDescriptionSource(str(Path(__file__).with_name('segmentation.launch.py'))),
        launch_arguments={
            'cameras': '',
            'image': 'image',
            'use_sim_time': 'true',
            'autostart': 'true',
            'respawn': 'false',
        }.items(),
    )
    died = OnProcessExit(
        target_action=lambda action: isinstance(action, LifecycleNode),
        on_exit=failure('segmentation_node'),
    )
    lost = OnStateTransition(matcher=is_lost, entities=[OpaqueFunction(function=refuse)])
    return LaunchDescription(
        [
            *ARGUMENTS,
            RegisterEventHandler(died),
            RegisterEventHandler(lost),
            segmentation,
            OpaqueFunction(function=start),
        ]
    )
