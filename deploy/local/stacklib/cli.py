"""The commands of the stack."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from stacklib import control
from stacklib.cache import cache_dir, fetch
from stacklib.connect import OLDER_DEBEZIUM
from stacklib.errors import StackError, UsageError
from stacklib.locking import locked
from stacklib.part import Part
from stacklib.processes import mark_children
from stacklib.registry import all_parts, default_names, select
from stacklib.say import say
from stacklib.stack import Stack, create_stack, open_stack

_LOCK_WAIT_S = 180
_LOG_LINES = 200
_NOT_ALL_UP = 3


def main() -> int:
    """Run the command line; return the exit status."""
    args = _parser().parse_args()
    args.dir = args.dir.resolve()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    handler: Callable[[argparse.Namespace], int] = args.handler
    try:
        return handler(args)
    except UsageError as error:
        say(f"stack: {error}")
        return 2
    except StackError as error:
        say(f"stack: {error}")
        return 1
    except KeyboardInterrupt:
        say("stack: interrupted")
        return 130


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = _command(commands, "up", _up, "start what does not run; print the settings for clients")
    up.add_argument("--with", dest="extra", default="", metavar="PART,..", help="more parts to run")
    up.add_argument("--no-exactly-once", action="store_true", help="Connect without exactly-once source support")
    up.add_argument("--debezium", choices=sorted(OLDER_DEBEZIUM), default="", help="an older release of it")
    _command(commands, "down", _down, "end everything and remove the directory")
    _command(commands, "status", _status, "list the parts; status 3 unless all run")
    _part_command(commands, "logs", _logs, "print the end of a part's log, or of all", optional=True)
    kill = _part_command(commands, "kill", _kill, "send a part a signal; wait for its end if it is to end")
    kill.add_argument("--signal", default="KILL", type=_signal, help="its name; KILL unless given")
    _part_command(commands, "start", _start, "start a part")
    _part_command(commands, "stop", _stop, "end a part in good order")
    _part_command(commands, "restart", _restart, "end a part in good order and start it")
    fetch_only = _command(commands, "fetch", _fetch, "only bring the software into the cache")
    fetch_only.add_argument("--with", dest="extra", default="", metavar="PART,..", help="more parts")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    handler: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    """Add a command."""
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--dir", type=Path, default=Path(".stack"), help="the stack's directory (./.stack)")
    parser.set_defaults(handler=handler)
    return parser


def _part_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    handler: Callable[[argparse.Namespace], int],
    text: str,
    optional: bool = False,
) -> argparse.ArgumentParser:
    """Add a command on a part."""
    parser = _command(commands, name, handler, text)
    parser.add_argument("part", metavar="PART", nargs="?" if optional else None)
    return parser


def _signal(name: str) -> signal.Signals:
    """Return the signal called name, as KILL or SIGKILL."""
    try:
        return signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except KeyError:
        raise argparse.ArgumentTypeError(f"unknown signal {name}") from None


def _names(extra: str) -> list[str]:
    """Return the parts that always run and those of a comma list."""
    return [*default_names(), *(name for name in extra.split(",") if name)]


def _up(args: argparse.Namespace) -> int:
    """Start what does not run; undo it if that fails."""
    asked = select(_names(args.extra))
    open_stack(args.dir)
    mark_children(args.dir)
    fetch(item for part in asked for item in part.items)
    args.dir.mkdir(parents=True, exist_ok=True)
    with locked(args.dir, _LOCK_WAIT_S):
        stack = open_stack(args.dir)
        fresh = stack is None
        try:
            stack = stack or create_stack(args.dir)
            print(_bring_up(stack, asked, args), end="", flush=True)
        except BaseException:
            if fresh:
                control.down(args.dir, stack, all_parts())
            raise
    return 0


def _bring_up(stack: Stack, asked: list[Part], args: argparse.Namespace) -> str:
    """Start the parts that were ever asked for; return the settings for clients."""
    stack.state.exactly_once = not args.no_exactly_once
    stack.state.debezium = args.debezium
    parts = select([*stack.state.parts, *(part.name for part in asked)])
    fetch(item for part in parts for item in part.items)
    stack.reserve(
        [part.name for part in parts],
        [name for part in parts for name in part.ports()],
        [name for part in parts for name in part.passwords()],
    )
    control.start_all(stack, parts)
    lines: dict[str, str] = {}
    for part in parts:
        lines.update(part.env_lines(stack))
    return stack.write_env(lines)


def _down(args: argparse.Namespace) -> int:
    """End the stack; without one, still end processes that carry its mark."""
    if not args.dir.is_dir():
        control.down(args.dir, None, all_parts())
        return 0
    with locked(args.dir, _LOCK_WAIT_S):
        control.down(args.dir, open_stack(args.dir), all_parts())
    return 0


def _status(args: argparse.Namespace) -> int:
    """List the parts."""
    stack = _existing(args)
    all_up = True
    for part in select(stack.state.parts):
        pid = control.main_pid(stack, part)
        all_up = all_up and pid is not None
        port = stack.port(part.ports()[0])
        print(f"{part.name:<12} {pid or '-':<8} {'running' if pid else 'dead':<8} {port}")
    return 0 if all_up else _NOT_ALL_UP


def _logs(args: argparse.Namespace) -> int:
    """Print the end of logs."""
    stack = _existing(args)
    for part in [_part(stack, args.part)] if args.part else select(stack.state.parts):
        if not args.part:
            print(f"==> {stack.log(part.name)} <==")
        print(control.tail(stack, part, _LOG_LINES))
    return 0


def _kill(args: argparse.Namespace) -> int:
    """Send a signal to a part."""
    stack = _existing(args)
    control.kill(stack, _part(stack, args.part), args.signal)
    return 0


def _start(args: argparse.Namespace) -> int:
    """Start a part."""
    return _change(args, lambda stack, part: control.start_all(stack, [part]))


def _stop(args: argparse.Namespace) -> int:
    """End a part."""
    return _change(args, control.stop)


def _restart(args: argparse.Namespace) -> int:
    """End a part and start it."""

    def restart(stack: Stack, part: Part) -> None:
        control.stop(stack, part)
        control.start_all(stack, [part])

    return _change(args, restart)


def _change(args: argparse.Namespace, action: Callable[[Stack, Part], None]) -> int:
    """Do something to a part while no other command changes the stack."""
    with locked(_existing(args).dir, _LOCK_WAIT_S):
        stack = _existing(args)
        part = _part(stack, args.part)
        fetch(part.items)
        action(stack, part)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    """Fill the cache."""
    fetch(item for part in select(_names(args.extra)) for item in part.items)
    say(f"everything is in {cache_dir()}")
    return 0


def _existing(args: argparse.Namespace) -> Stack:
    """Return the stack in the directory."""
    stack = open_stack(args.dir) if args.dir.is_dir() else None
    if stack is None:
        raise UsageError(f"no stack in {args.dir}: run stack up")
    return stack


def _part(stack: Stack, name: str) -> Part:
    """Return a part of the stack."""
    for part in select(stack.state.parts):
        if part.name == name:
            return part
    raise UsageError(f"unknown part {name}; this stack has: {', '.join(stack.state.parts)}")


if __name__ == "__main__":
    sys.exit(main())
