"""Starting and ending the parts of a stack."""

import signal
import subprocess
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from stacklib.errors import StackError
from stacklib.part import Part
from stacklib.ports import accepts
from stacklib.processes import HELPER, end, running, send, wait_gone, with_descendants
from stacklib.say import say
from stacklib.stack import Stack, remove_staging

_TAIL_LINES = 40
_DOWN_BOUND_S = 8


def main_pid(stack: Stack, part: Part) -> int | None:
    """Return the process of a part; None when it does not run."""
    found = [process.pid for process in running(stack.dir) if process.leader and process.part == part.name]
    return found[0] if found else None


def start_all(stack: Stack, parts: list[Part]) -> None:
    """Start the parts that do not run, all at once, and wait until they serve."""
    _end_helpers(stack)
    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        pending = {pool.submit(start, stack, part) for part in parts}
        try:
            _first_error(pending)
        except BaseException:
            stack.launcher.close()
            _end_young(stack)
            raise


def _end_helpers(stack: Stack) -> None:
    """End what a killed command was doing to prepare a part."""
    helpers = {process.pid for process in running(stack.dir) if process.part.startswith(HELPER)}
    end(with_descendants(helpers), signal.SIGKILL, 5)


def _first_error(pending: set[Future[None]]) -> None:
    """Wait for all, or until one fails."""
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _end_young(stack: Stack) -> None:
    """End what this launcher started."""
    end(stack.launcher.pids(), signal.SIGTERM, 3)


def start(stack: Stack, part: Part) -> None:
    """Start one part unless it runs, and wait until it serves."""
    if main_pid(stack, part) is not None:
        _await_ready(stack, part, None)
        return
    started = time.monotonic()
    _check_ports(stack, part)
    try:
        part.prepare(stack)
    except (OSError, StackError) as error:
        raise StackError(f"{part.name} could not be prepared: {error}\n{tail(stack, part)}") from error
    child = stack.launcher.spawn(part.name, part.command(stack), stack.log(part.name))
    _pid_file(stack, part).write_text(f"{child.pid}\n")
    _await_ready(stack, part, child)
    say(f"{part.name} is up after {time.monotonic() - started:.1f} s")


def _check_ports(stack: Stack, part: Part) -> None:
    """Refuse to start beside a foreign server on one of the part's ports."""
    for name in part.ports():
        if accepts(stack.port(name)):
            raise StackError(f"port {stack.port(name)} of {part.name} is in use by another program")


def _await_ready(stack: Stack, part: Part, child: subprocess.Popen[bytes] | None) -> None:
    """Wait until a part serves; it is an error when it ends or takes too long."""
    deadline = time.monotonic() + part.ready_bound_s
    while not part.ready(stack):
        if stack.launcher.closed:
            raise StackError("interrupted")
        if child is not None and child.poll() is not None:
            raise StackError(f"{part.name} ended with {child.returncode}\n{tail(stack, part)}")
        if child is None and main_pid(stack, part) is None:
            raise StackError(f"{part.name} ended\n{tail(stack, part)}")
        if time.monotonic() > deadline:
            raise StackError(f"{part.name} is not up after {part.ready_bound_s:.0f} s\n{tail(stack, part)}")
        time.sleep(0.1)


def tail(stack: Stack, part: Part, lines: int = _TAIL_LINES) -> str:
    """Return the end of a part's log."""
    try:
        text = stack.log(part.name).read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _pid_file(stack: Stack, part: Part) -> Path:
    """Return the path of the file with a part's process id."""
    return stack.home("run") / f"{part.name}.pid"


def stop(stack: Stack, part: Part) -> None:
    """End a part in good order, by force if that takes too long."""
    if (pid := main_pid(stack, part)) is None:
        say(f"{part.name} does not run")
        return
    end([pid], part.stop_signal, part.stop_bound_s)
    _pid_file(stack, part).unlink(missing_ok=True)


def kill(stack: Stack, part: Part, signum: signal.Signals) -> None:
    """Send a signal to a part; if it is one that ends processes, wait until nothing of the part is left."""
    if (pid := main_pid(stack, part)) is None:
        raise StackError(f"{part.name} does not run")
    family = with_descendants([pid])
    send([pid], signum)
    if signum not in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        return
    if left := wait_gone(family, 10 if signum == signal.SIGKILL else 60):
        send(left, signal.SIGKILL)
        wait_gone(left, 10)
    _pid_file(stack, part).unlink(missing_ok=True)


def down(directory: Path, stack: Stack | None, parts: dict[str, Part]) -> None:
    """End every process of the stack in this directory and remove what it wrote."""
    end_processes(directory, parts)
    if stack is not None:
        stack.remove()
    else:
        remove_staging(directory)
        with suppress(OSError):
            directory.rmdir()


def end_processes(directory: Path, parts: dict[str, Part]) -> None:
    """End every process of the stack, helpers at once, servers in good order."""
    signals: dict[int, signal.Signals] = {}
    for process in running(directory):
        part = parts.get(process.part)
        asked = part.stop_signal if part else signal.SIGTERM
        signals[process.pid] = signal.SIGKILL if process.part.startswith(HELPER) else asked
    family = with_descendants(signals)
    for pid, signum in signals.items():
        send([pid], signum)
    left = wait_gone(family, _DOWN_BOUND_S)
    send(left, signal.SIGKILL)
    if left := wait_gone(left, 10):
        raise StackError(f"processes {sorted(left)} do not end")
