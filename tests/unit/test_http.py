"""The HTTP side and the health it shows, over a real socket on a free port."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from daemon.http.health import Health
from daemon.http.server import REQUESTS_MAX, Server, serve
from daemon.metrics import Metrics


class Setup:
    """A server with a clock and a status that tests set."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.health = Health(lambda: self.now_s, limit_s=30)
        self.metrics = Metrics()
        self.answer: Mapping[str, Any] = {"pipeline": "shop"}
        self.server: Server = serve("127.0.0.1", 0, self.metrics.registry, self.health, self.status)

    def status(self) -> Mapping[str, Any]:
        if not self.answer:
            raise RuntimeError("postgresql://u:s3cret@h/db is down")
        return self.answer

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> tuple[int, Any]:
        code, headers, body = self.ask(path)
        assert headers["Content-Type"] == "application/json; charset=utf-8"
        return code, json.loads(body)


@pytest.fixture
def up() -> Iterator[Setup]:
    setup = Setup()
    yield setup
    setup.server.close()


def test_probes_follow_the_life_of_the_process(up: Setup) -> None:
    assert up.json("/startupz") == (503, {"started": False})
    assert up.json("/readyz") == (503, {"ready": False, "blockers": {"starting": "not started yet"}})
    assert up.json("/livez")[0] == 200
    up.health.started()
    assert up.json("/startupz") == (200, {"started": True})
    assert up.json("/readyz") == (200, {"ready": True, "blockers": {}})


def test_live_while_the_last_beat_is_younger_than_the_limit(up: Setup) -> None:
    up.health.started()
    up.now_s += 30
    assert up.json("/livez") == (200, {"live": True, "beat_age_s": 30.0})
    up.now_s += 0.5
    assert up.json("/livez")[0] == 503
    assert up.json("/readyz")[0] == 200
    up.health.beat()
    assert up.json("/livez")[0] == 200


def test_blockers_and_failures_show_without_secrets(up: Setup) -> None:
    up.health.started()
    up.health.block("target", "cannot reach postgresql://u:s3cret@new/db")
    code, body = up.json("/readyz")
    assert code == 503
    assert body["blockers"] == {"target": "cannot reach postgresql://u:***@new/db"}
    assert up.json("/livez")[0] == 200
    up.health.unblock("target")
    up.health.fail("the slot is lost")
    up.health.fail("and more")
    assert up.json("/readyz")[1]["blockers"] == {"failed": "the slot is lost"}
    assert up.json("/livez")[0] == 503


def test_metrics_in_the_format_asked_for(up: Setup) -> None:
    up.metrics.rebalances_total.inc()
    code, headers, body = up.ask("/metrics")
    assert code == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b"changeover_rebalances_total 1.0" in body
    assert b"process_cpu_seconds_total" in body
    _, headers, body = up.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_status_is_versioned_and_redacted(up: Setup) -> None:
    up.answer = {"source": "postgresql://u:s3cret@h/db", "tables": {"public.password_resets": {"rows": 5}}}
    assert up.json("/status?watch=1") == (
        200,
        {"version": 1, "source": "postgresql://u:***@h/db", "tables": {"public.password_resets": {"rows": 5}}},
    )


def test_a_status_that_cannot_be_had_says_nothing_of_the_inside(up: Setup) -> None:
    up.answer = {}
    code, body = up.json("/status")
    assert code == 500
    assert body == {"error": "could not be answered; the log says why"}


def test_head_has_the_headers_only(up: Setup) -> None:
    code, headers, body = up.ask("/status", "HEAD")
    assert (code, body) == (200, b"")
    assert int(headers["Content-Length"]) > 10


def test_other_paths_and_methods_are_refused_in_json(up: Setup) -> None:
    assert up.json("/../etc/passwd")[0] == 404
    code, body = up.json("/")
    assert code == 404
    assert body["paths"] == ["/livez", "/metrics", "/readyz", "/startupz", "/status"]
    code, headers, body = up.ask("/status", "POST")
    assert (code, headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body) == {"error": "method not allowed"}


def test_too_many_requests_at_once_are_turned_away(up: Setup) -> None:
    silent = [socket.create_connection(("127.0.0.1", up.server.port), timeout=10) for _ in range(REQUESTS_MAX + 1)]
    try:
        assert silent[-1].recv(1) == b""
    finally:
        for each in silent:
            each.close()


def test_close_frees_the_port_and_may_be_repeated(up: Setup) -> None:
    port = up.server.port
    up.server.close()
    again = serve("127.0.0.1", port, up.metrics.registry, up.health, dict)
    again.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_port_in_use_is_an_error(up: Setup) -> None:
    with pytest.raises(OSError, match="in use"):
        serve("127.0.0.1", up.server.port, up.metrics.registry, up.health, dict)
