# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Start the segmentation node and, unless told otherwise, configure and activate it.

ros2 launch vidseg_ros segmentation.launch.py image:=/camera/image_raw
ros2 launch vidseg_ros segmentation.launch.py cameras:=front,rear image:=image_raw
"""

from pathlib import Path
import posixpath

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessStarted
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.ros_adapters import get_ros_node
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.task import Future

from vidseg_ros.nodes.dds_profile import profile_variables

ASK_PERIOD_S = 0.5
SWITCH = {'choices': ['true', 'false']}

ARGUMENTS = (
    DeclareLaunchArgument(
        'params_file',
        default_value=PathJoinSubstitution(
            [FindPackageShare('vidseg_ros'), 'config', 'segmentation.yaml']
        ),
        description='YAML file with the parameters of the node; for replay.launch.py, which '
        'serves one camera, without cameras',
    ),
    DeclareLaunchArgument(
        'model',
        default_value='',
        description='model file, or name of a shipped model; empty: the one of params_file',
    ),
    DeclareLaunchArgument(
        'engine',
        default_value='',
        description='what runs the model; empty: the one of params_file',
    ),
    DeclareLaunchArgument(
        'namespace', default_value='', description='namespace of the node and its topics'
    ),
    DeclareLaunchArgument(
        'cameras',
        default_value='',
        description='several cameras, such as front,rear: the topics are <camera>/<image>; '
        'empty: those of params_file, or one camera. `image` and `overlay` look only here',
    ),
    DeclareLaunchArgument(
        'image',
        default_value='image',
        description='topic of the images; with the argument cameras: its name below each camera; '
        'without effect on cameras of params_file. camera_info is looked for beside it',
    ),
    DeclareLaunchArgument(
        'use_sim_time',
        default_value='',
        choices=['', 'true', 'false'],
        description='take the time from /clock, as when a bag is played; empty: as params_file '
        'says',
    ),
    DeclareLaunchArgument(
        'autostart',
        default_value='true',
        description='configure and activate the node, after a respawn as well',
        **SWITCH,
    ),
    DeclareLaunchArgument(
        'respawn',
        default_value='false',
        description='start the node again whenever its process ends',
        **SWITCH,
    ),
    DeclareLaunchArgument(
        'respawn_delay', default_value='2.0', description='seconds before a respawn'
    ),
    DeclareLaunchArgument(
        'overlay',
        default_value='false',
        description='show ~/overlay in rqt_image_view, for each camera of the argument cameras',
        **SWITCH,
    ),
    DeclareLaunchArgument(
        'shared_memory',
        default_value='true',
        description='Fast DDS with large shared memory (config/fastdds_shared_memory.xml), '
        'unless a profile is chosen in the environment',
        **SWITCH,
    ),
    DeclareLaunchArgument(
        'log_level',
        default_value='info',
        choices=['debug', 'info', 'warn', 'error', 'fatal'],
        description='least severity that is logged',
    ),
)


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the node, what brings it to work, and what shows its pictures.

    Args:
        context: Values of the launch arguments.

    Raises:
        RuntimeError: If there is no such params_file, or the topic does not fit the cameras.
    """

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    if not Path(value('params_file')).is_file():
        msg = f'params_file:={value("params_file")} is no file; check the path'
        raise RuntimeError(msg)
    cameras = [item.strip(' \'"') for item in value('cameras').strip('[] ').split(',')]
    cameras = [camera for camera in cameras if camera]
    variables = profile_variables(context.environment) if value('shared_memory') == 'true' else {}
    node = LifecycleNode(
        package='vidseg_ros',
        executable='segmentation_node',
        name='segmentation',
        namespace=value('namespace'),
        parameters=[value('params_file'), overrides(context, cameras)],
        remappings=remappings(cameras, value('image')),
        ros_arguments=['--log-level', value('log_level')],
        additional_env=variables,
        respawn=value('respawn') == 'true',
        respawn_delay=float(value('respawn_delay')),
        output='screen',
    )
    handlers = Autostart(node).handlers() if value('autostart') == 'true' else []
    viewers = [
        Node(
            package='rqt_image_view',
            executable='rqt_image_view',
            arguments=[posixpath.join('/', value('namespace'), 'segmentation', camera, 'overlay')],
            additional_env=variables,
            output='screen',
        )
        for camera in (cameras or ['']) * (value('overlay') == 'true')
    ]
    return [*handlers, node, *viewers]


def overrides(context: LaunchContext, cameras: list[str]) -> dict[str, ParameterValue]:
    """Return the parameters that launch arguments set, over those of the file.

    Args:
        context: Values of the launch arguments.
        cameras: Names of the cameras; none: as in the file.
    """
    parameters = {}
    for name, kind in (('use_sim_time', bool), ('model', str), ('engine', str)):
        argument = LaunchConfiguration(name)
        if argument.perform(context):
            parameters[name] = ParameterValue(argument, value_type=kind)  # 1.onnx is no number
    if cameras:
        parameters['cameras'] = ParameterValue(cameras)
    return parameters


def remappings(cameras: list[str], image: str) -> list[tuple[str, str]]:
    """Return where images and CameraInfo come from.

    Args:
        cameras: Names of the cameras; none: a single one.
        image: Topic of the images, below each camera if there are names.

    Raises:
        RuntimeError: If there are several cameras and one absolute topic.
    """
    if cameras and image.startswith(('/', '~')):
        msg = (
            f'image:={image} is one topic, but cameras:={",".join(cameras)} need one each: '
            'give its name below each camera, such as image:=image_raw'
        )
        raise RuntimeError(msg)
    info = posixpath.join(posixpath.dirname(image), 'camera_info')
    return [
        (posixpath.join(camera, name), posixpath.join(camera, source))
        for camera in cameras or ['']
        for name, source in (('image', image), ('camera_info', info))
    ]


class Autostart:
    """Configures and activates a node each time its process has started.

    The process must answer before it gets a request. One that was killed is known to DDS for up
    to 20 s more: a request that its successor does not know of yet is lost, and launch_ros would
    wait for the answer without end.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Remember the node.

        Args:
            node: The action that starts its process.
        """
        self._node = node
        self._pid: int | None = None
        self._client: Client | None = None
        self._answers: list[Future] = []

    def handlers(self) -> list[RegisterEventHandler]:
        """Return what reacts to the node's starts, ends and transitions."""
        activate = self._change(Transition.TRANSITION_ACTIVATE)
        return [
            RegisterEventHandler(handler)
            for handler in (
                OnProcessStart(target_action=self._node, on_start=self._started),
                OnProcessExit(target_action=self._node, on_exit=self._exited),
                # Only after configuring: whom somebody deactivates later stays inactive.
                OnStateTransition(
                    target_lifecycle_node=self._node,
                    start_state='configuring',
                    goal_state='inactive',
                    entities=[activate],
                ),
            )
        ]

    def _change(self, transition: int) -> EmitEvent:
        matcher = matches_action(self._node)
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matcher, transition_id=transition)
        )

    def _started(
        self, event: ProcessStarted, context: LaunchContext
    ) -> list[LaunchDescriptionEntity]:
        self._pid, self._answers = event.pid, []
        if self._client is None:
            # Younger than the client for transitions: who answers this one knows both.
            topic = f'{self._node.node_name}/get_state'
            self._client = get_ros_node(context).create_client(GetState, topic)
        return self._ask(event.pid)

    def _exited(self, _event: object, _context: LaunchContext) -> None:
        self._pid = None

    def _ask(self, pid: int) -> list[LaunchDescriptionEntity]:
        """Ask for the node's state, and again until an answer comes or the process ends."""
        if pid != self._pid or self._client is None:
            return []
        answers = [future.result() for future in self._answers if future.done()]
        if answers:
            self._answers = []
            unconfigured = answers[0].current_state.id == State.PRIMARY_STATE_UNCONFIGURED
            return [self._change(Transition.TRANSITION_CONFIGURE)] if unconfigured else []
        self._answers.append(self._client.call_async(GetState.Request()))
        again = OpaqueFunction(function=lambda _: self._ask(pid))
        return [TimerAction(period=ASK_PERIOD_S, actions=[again])]


def generate_launch_description() -> LaunchDescription:
    """Return the launch description."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
