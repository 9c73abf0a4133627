"""What a part of the stack is. To add one: subclass Part and list it in registry.py."""

import signal
from collections.abc import Mapping
from typing import ClassVar

from stacklib.cache import Item
from stacklib.processes import Command
from stacklib.stack import Stack


class Part:
    """A server of the stack. Attributes describe it; its methods are called in the order given here."""

    name: str
    default: ClassVar[bool] = True
    """Whether it always runs, or only when asked for with --with."""
    items: ClassVar[tuple[Item, ...]] = ()
    """What it needs from the cache."""
    plugins: ClassVar[tuple[Item, ...]] = ()
    """What it needs on Kafka Connect's plugin path."""
    ready_bound_s: ClassVar[float] = 90
    """How long it may take to become ready."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    stop_bound_s: ClassVar[float] = 10

    def ports(self) -> list[str]:
        """Return the names of its ports; the first is the one it is known by."""
        return [self.name]

    def passwords(self) -> list[str]:
        """Return the names of the passwords to generate."""
        return []

    def prepare(self, stack: Stack) -> None:
        """Write its files; called before every start, also after a preparation that was cut short."""

    def command(self, stack: Stack) -> Command:
        """Return what to execute."""
        raise NotImplementedError

    def ready(self, stack: Stack) -> bool:
        """Tell whether it serves; called repeatedly after the start."""
        raise NotImplementedError

    def env_lines(self, stack: Stack) -> Mapping[str, str]:
        """Return its lines for the user's env file."""
        return {}
