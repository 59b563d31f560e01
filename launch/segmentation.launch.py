# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Start the segmentation node and, unless told otherwise, configure and activate it."""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

ARGUMENTS = (
    DeclareLaunchArgument(
        'params_file',
        default_value=PathJoinSubstitution(
            [FindPackageShare('vidseg_ros'), 'config', 'segmentation.yaml']
        ),
        description='YAML file with the parameters of the node',
    ),
    DeclareLaunchArgument(
        'model',
        default_value='',
        description='model file, or name of a shipped model; empty: the one of params_file',
    ),
    DeclareLaunchArgument(
        'namespace', default_value='', description='namespace of the node and its topics'
    ),
    DeclareLaunchArgument(
        'image', default_value='image', description='topic of the camera images to segment'
    ),
    DeclareLaunchArgument(
        'use_sim_time',
        default_value='false',
        choices=['true', 'false'],
        description='take the time from /clock, as when a bag is played',
    ),
    DeclareLaunchArgument(
        'autostart',
        default_value='true',
        choices=['true', 'false'],
        description='configure and activate the node at once',
    ),
    DeclareLaunchArgument(
        'log_level',
        default_value='info',
        choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='least severity that is logged',
    ),
)


def start(context: LaunchContext) -> list[LifecycleNode | RegisterEventHandler | EmitEvent]:
    """Return the node and the two lifecycle transitions that bring it to work.

    Args:
        context: Values of the launch arguments.
    """
    model = LaunchConfiguration('model').perform(context)
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    node = LifecycleNode(
        package='vidseg_ros',
        executable='segmentation_node',
        name='segmentation',
        namespace=LaunchConfiguration('namespace'),
        parameters=[
            LaunchConfiguration('params_file'),
            {'use_sim_time': use_sim_time} | ({'model': model} if model else {}),
        ],
        remappings=[('image', LaunchConfiguration('image'))],
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        output='screen',
    )
    autostart = IfCondition(LaunchConfiguration('autostart'))
    configure, activate = (
        EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            ),
            condition=autostart,
        )
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    )
    # Only after configuring: a node that somebody deactivates later stays inactive.
    configured = OnStateTransition(
        target_lifecycle_node=node,
        start_state='configuring',
        goal_state='inactive',
        entities=[activate],
    )
    return [RegisterEventHandler(configured), node, configure]


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
