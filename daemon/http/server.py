"""/metrics, the probes and /status over HTTP: small answers, at most a few requests at a time. What changes something
is a POST, and whoever gives it decides who may send it.

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
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from daemon.http.health import Health
from daemon.logs import without_secrets

REQUESTS_MAX = 16
"""Requests answered at the same time; more are turned away unread."""
REQUEST_TIMEOUT_S = 5.0
BODY_BYTES_MAX = 64 << 10
STATUS_VERSION = 1
JSON = "application/json; charset=utf-8"


class Answer(NamedTuple):
    """What is sent back."""

    code: HTTPStatus
    content_type: str
    body: bytes
    headers: Mapping[str, str] = {}


Route = Callable[["_Handler"], Answer]
Post = Callable[[bytes, str, str], Answer]
"""From a body, the Authorization header and the remote address to the answer."""

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
    host: str,
    port: int,
    registry: CollectorRegistry,
    health: Health,
    status: Callable[[], Mapping[str, Any]],
    posts: Mapping[str, Post] | None = None,
) -> Server:
    """Answer requests on a thread of its own until `close`. Raises OSError where the port cannot be had.

    posts: path -> what answers a POST to it.
    """
    return Server(_Server(host, port, _routes(registry, health, status), posts or {}))


def _routes(registry: CollectorRegistry, health: Health, status: Callable[[], Mapping[str, Any]]) -> dict[str, Route]:
    def metrics(request: _Handler) -> Answer:
        encode, content_type = choose_encoder(request.headers.get("Accept") or "")
        return Answer(HTTPStatus.OK, content_type, encode(registry))

    def startup(_: _Handler) -> Answer:
        return _probe(health.is_started, {"started": health.is_started})

    def live(_: _Handler) -> Answer:
        good = health.live
        return _probe(good, {"live": good, "beat_age_s": round(health.beat_age_s, 3)})

    def ready(_: _Handler) -> Answer:
        blockers = health.blockers
        return _probe(not blockers, {"ready": not blockers, "blockers": without_secrets(blockers)})

    def full(_: _Handler) -> Answer:
        return json_answer(HTTPStatus.OK, {"version": STATUS_VERSION, **without_secrets(status())})

    return {"/metrics": metrics, "/startupz": startup, "/livez": live, "/readyz": ready, "/status": full}


class _Server(socketserver.ThreadingTCPServer):
    """Not http.server's: that one asks DNS for its own name before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, routes: Mapping[str, Route], posts: Mapping[str, Post]) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.routes, self.posts = routes, posts
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
        path = self._path()
        route = self.server.routes.get(path)
        if route is None and path in self.server.posts:
            return self._send(_method_not_allowed("POST"))
        return self._answer(lambda: route(self) if route else self._unknown())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer what changes something."""
        path = self._path()
        post = self.server.posts.get(path)
        refusal, body = self._body()
        if refusal is not None:
            return self._send(refusal)
        if post is None:
            known = path in self.server.routes
            return self._answer(lambda: _method_not_allowed("GET, HEAD") if known else self._unknown())
        authorization, remote = self.headers.get("Authorization") or "", str(self.client_address[0])
        return self._answer(lambda: post(body, authorization, remote))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class answers to requests it cannot read, or whose method is unknown."""
        known = HTTPStatus(code)
        if known is HTTPStatus.NOT_IMPLEMENTED:
            return self._send(_method_not_allowed("POST" if self._path() in self.server.posts else "GET, HEAD"))
        return self._send(json_answer(known, {"error": known.phrase.lower()}))

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: a query may hold a secret, and probes come every second."""

    def _path(self) -> str:
        path: str = getattr(self, "path", "")
        return path.partition("?")[0]

    def _unknown(self) -> Answer:
        paths = sorted({*self.server.routes, *self.server.posts})
        return json_answer(HTTPStatus.NOT_FOUND, {"error": "no such path", "paths": paths})

    def _body(self) -> tuple[Answer | None, bytes]:
        """The request's body, read before anything is answered; or why it is not read."""
        length = self.headers.get("Content-Length") or ""
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            return json_answer(HTTPStatus.LENGTH_REQUIRED, {"error": "a Content-Length is needed"}), b""
        if int(length) > BODY_BYTES_MAX:
            what = f"the body is larger than {BODY_BYTES_MAX} bytes"
            return json_answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": what}), b""
        return None, self.rfile.read(int(length))

    def _answer(self, make: Callable[[], Answer]) -> None:
        try:
            answer = make()
        except Exception:
            log.exception("a request could not be answered", extra={"path": self._path()})
            what = {"error": "could not be answered; the log says why"}
            answer = json_answer(HTTPStatus.INTERNAL_SERVER_ERROR, what)
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _method_not_allowed(allowed: str) -> Answer:
    return json_answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "method not allowed"}, {"Allow": allowed})


def _probe(good: bool, body: Mapping[str, Any]) -> Answer:
    return json_answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, body)


def json_answer(code: HTTPStatus, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(code, JSON, json.dumps(body, ensure_ascii=False, default=str).encode() + b"\n", headers or {})
