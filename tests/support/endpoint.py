"""The daemon's HTTP side as an application uses it."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

TOKEN = "a-token-of-the-tests-0123456789"


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Endpoint:
    """Where a daemon listens."""

    port: int
    timeout_s: float = 30

    def get(self, path: str) -> tuple[int, str]:
        """Ask for a page."""
        code, _, text = self._ask("GET", path, None, {})
        return code, text

    def post(self, body: Any, token: str | None = TOKEN) -> tuple[int, dict[str, Any], dict[str, str]]:
        """POST /resync: (code, answer, headers)."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        code, answered, text = self._ask("POST", "/resync", content, headers)
        return code, json.loads(text), answered

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode()
        finally:
            connection.close()
