"""What every command does first and last."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.tables import MappedTable
    from daemon.wiring import Parts

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it


def parts_of(options: argparse.Namespace) -> Parts:
    """The parts of the pipeline that the options name; logging is set up as its file says. Raises ConfigError."""
    gc.disable()  # what is imported stays: to look through it while it grows takes a fifth of the time
    from daemon.config.model import load
    from daemon.logs import configure
    from daemon.wiring import Parts

    gc.freeze()
    gc.enable()
    config = load(options.config, os.environ)
    configure(config.log.level, config.log.format)
    return Parts(config, options.config, threading.Event())


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGTERM and SIGINT end the process in good order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def asker() -> str:
    """Who gives a command, for the audit: user and machine."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def mapped_table(parts: Parts, name: str) -> MappedTable:
    """The mapped source table of that name. Raises ConfigError with what there is."""
    from mappers.errors import ConfigError, Problem
    from mappers.names import did_you_mean, split_name

    tables = parts.tables()
    try:
        found = ".".join(split_name(name))
    except ValueError as error:
        raise ConfigError([Problem(("--table",), str(error))]) from None
    if found not in tables:
        raise ConfigError(
            [Problem(("--table",), f"no source table {name} in the mapping", did_you_mean(found, tables))]
        )
    return tables[found]


def show(result: object) -> None:
    """A result as JSON on stdout."""
    print(json.dumps(result, indent=2, default=str))
