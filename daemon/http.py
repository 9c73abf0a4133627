"""/metrics, the probes and /status over HTTP: read only, small answers, at most a few requests at a time.

No request is logged and no error text of the inside goes out. Every answer but /metrics is JSON. `port` 0 takes any
free port here; that 0 means "no HTTP" in the configuration is the caller's business.
"""

from __future__ import annotations

import json
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from daemon.health import Health
from daemon.logs import without_secrets

REQUESTS_MAX = 16
"""Requests answered at the same time; more are turned away unread."""
REQUEST_TIMEOUT_S = 5.0
STATUS_VERSION = 1
JSON = "application/json; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]
Route = Callable[["_Handler"], Answer]

log = logging.getLogger(__name__)


class Server:
    """A running server; `port` is the one it got."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.host, self.port = server.server_address[:2]
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and free the port. May be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(REQUEST_TIMEOUT_S)


def serve(
    host: str, port: int, registry: CollectorRegistry, health: Health, status: Callable[[], Mapping[str, Any]]
) -> Server:
    """Answer requests on a thread of its own until `close`. Raises OSError where the port cannot be had."""
    return Server(_Server(host, port, _routes(registry, health, status)))


def _routes(registry: CollectorRegistry, health: Health, status: Callable[[], Mapping[str, Any]]) -> dict[str, Route]:
    def metrics(request: _Handler) -> Answer:
        encode, content_type = choose_encoder(request.headers.get("Accept") or "")
        return HTTPStatus.OK, content_type, encode(registry)

    def startup(_: _Handler) -> Answer:
        return _probe(health.is_started, {"started": health.is_started})

    def live(_: _Handler) -> Answer:
        good = health.live
        return _probe(good, {"live": good, "beat_age_s": round(health.beat_age_s, 3)})

    def ready(_: _Handler) -> Answer:
        blockers = health.blockers
        return _probe(not blockers, {"ready": not blockers, "blockers": without_secrets(blockers)})

    def full(_: _Handler) -> Answer:
        return _json(HTTPStatus.OK, {"version": STATUS_VERSION, **without_secrets(status())})

    return {"/metrics": metrics, "/startupz": startup, "/livez": live, "/readyz": ready, "/status": full}


class _Server(socketserver.ThreadingTCPServer):
    """Not http.server's: that one asks DNS for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, routes: dict[str, Route]) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.routes = routes
        self._free = threading.BoundedSemaphore(REQUESTS_MAX)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request was broken off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "changeover"
    sys_version = ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer one of the routes."""
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            paths = sorted(self.server.routes)
            return self._send(*_json(HTTPStatus.NOT_FOUND, {"error": "no such path", "paths": paths}))
        try:
            answer = route(self)
        except Exception:
            log.exception("a request could not be answered", extra={"path": self.path.partition("?")[0]})
            answer = _json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "could not be answered; the log says why"})
        return self._send(*answer)

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class answers to requests it cannot read, or whose method is unknown."""
        known = HTTPStatus(code)
        if known is HTTPStatus.NOT_IMPLEMENTED:
            known = HTTPStatus.METHOD_NOT_ALLOWED
        self._send(*_json(known, {"error": known.phrase.lower()}))

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: a query may hold a secret, and probes come every second."""

    def _send(self, code: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if code is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _probe(good: bool, body: Mapping[str, Any]) -> Answer:
    return _json(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, body)


def _json(code: HTTPStatus, body: Mapping[str, Any]) -> Answer:
    return code, JSON, json.dumps(body, ensure_ascii=False, default=str).encode() + b"\n"
