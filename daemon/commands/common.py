"""What every command does first and last."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.wiring import Parts

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it


def parts_of(options: argparse.Namespace) -> Parts:
    """The parts of the pipeline that the options name; logging is set up as its file says. Raises ConfigError."""
    from daemon.config import load
    from daemon.logs import configure
    from daemon.wiring import Parts

    config = load(options.config, os.environ)
    configure(config.log.level, config.log.format)
    return Parts(config, options.config, threading.Event())


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT end the process in good order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def show(result: object) -> None:
    """A result as JSON on stdout."""
    print(json.dumps(result, indent=2, default=str))
