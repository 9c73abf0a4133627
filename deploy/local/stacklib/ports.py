"""Free TCP ports on the loopback address."""

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
_FIRST = 15000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(taken: set[int]) -> int:
    """Return a port nobody listens on, below those the kernel gives to outgoing connections."""
    for _ in range(1000):
        port = random.randrange(_FIRST, _limit())
        if port not in taken and is_free(port):
            return port
    raise RuntimeError("no free port")


def _limit() -> int:
    """Return the first port of the kernel's own range, where that leaves room; else the highest port."""
    first = int(_RANGE_FILE.read_text().split()[0])
    return first if first > _FIRST + 1000 else 65536


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Tell whether something accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
