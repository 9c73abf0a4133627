"""POST /resync over a real socket, with a service that tests set: who may ask, for what, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.snapshot import Snapshot
from daemon.http.bucket import TokenBucket
from daemon.http.health import Health
from daemon.http.resync import KEYS_MAX, Refused, authorised, endpoint, wanted
from daemon.http.server import serve
from daemon.metrics import Metrics
from daemon.resync.keys import Mended
from mappers.errors import ChangeoverError, FencedError, NotReadyError, RecordError, TransientError
from tests.support.endpoint import TOKEN, Endpoint

TABLES: Any = {
    "public.users": SimpleNamespace(form=SimpleNamespace(columns=("id",))),
    "public.prefs": SimpleNamespace(form=SimpleNamespace(columns=("tenant", "name"))),
}
GOOD = {"table": "public.users", "key": ["1"]}


class Service:
    """Moves nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.tables = TABLES
        self.asked: list[tuple[str, Any, str]] = []
        self.error: ChangeoverError | None = None

    def move(self, table: str, keys: Any, who: str) -> Mended:
        self.asked.append((table, keys, who))
        if self.error:
            raise self.error
        return Mended(Snapshot(5, 9, frozenset((7,))), found=len(keys) - 1, filtered=0, written=1, removed=0, beside=0)


class Setup:
    def __init__(self, token: str = TOKEN, rate: float = 1000) -> None:
        self.now_s = 0.0
        self.service: Service | None = Service()
        post = endpoint(token, TokenBucket(rate, lambda: self.now_s), lambda: self.service)  # type: ignore[arg-type,return-value]
        health = Health(lambda: self.now_s)
        self.server = serve("127.0.0.1", 0, Metrics().registry, health, dict, {"/resync": post})
        self.endpoint = Endpoint(self.server.port)


@pytest.fixture
def up() -> Iterator[Setup]:
    setup = Setup()
    yield setup
    setup.server.close()


def test_a_row_is_moved(up: Setup) -> None:
    code, answer, headers = up.endpoint.post({"table": "public.prefs", "keys": [["a", 1], ["a", "1"], ["b", "2"]]})
    assert code == 200
    assert headers["Cache-Control"] == "no-store"
    assert answer == {
        "version": 1,
        "table": "public.prefs",
        "keys": 2,
        "found": 1,
        "missing": 1,
        "filtered": 0,
        "snapshot": "5:9:7",
    }
    assert up.service is not None
    assert up.service.asked == [("public.prefs", (("a", "1"), ("b", "2")), "http 127.0.0.1")]


def test_only_with_the_token(up: Setup) -> None:
    for wrong in (None, "", TOKEN[:-1], TOKEN + "x", "é"):
        code, answer, headers = up.endpoint.post(GOOD, token=wrong)
        assert (code, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert TOKEN not in json.dumps(answer)
    assert up.service is not None
    assert not up.service.asked


def test_the_header_names_its_scheme() -> None:
    assert authorised(f"Bearer {TOKEN}", TOKEN)
    assert authorised(f"bearer  {TOKEN} ", TOKEN)
    assert not authorised(f"Basic {TOKEN}", TOKEN)
    assert not authorised(TOKEN, TOKEN)
    assert not authorised("", TOKEN)


def test_without_a_configured_token_there_is_no_endpoint() -> None:
    setup = Setup(token="")
    try:
        for token in (None, "", "Bearer"):
            code, answer, _ = setup.endpoint.post(GOOD, token=token)
            assert code == 404
            assert "http.token" in answer["error"]
    finally:
        setup.server.close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 50_000, "not JSON"),
        ([], "must be"),
        ({"table": "public.users"}, "must be"),
        ({**GOOD, "keys": [["1"]]}, "must be"),
        ({**GOOD, "where": "true"}, "must be"),
        ({"table": "users", "key": ["1"]}, "table"),
        ({"table": 1, "key": ["1"]}, "table"),
        ({"table": "public.users", "key": "1"}, "not a list"),
        ({"table": "public.users", "key": ["1", "2"]}, "1 columns"),
        ({"table": "public.users", "key": [None]}, "neither"),
        ({"table": "public.users", "key": [True]}, "neither"),
        ({"table": "public.users", "keys": []}, "1 to"),
        ({"table": "public.users", "keys": [[1]] * (KEYS_MAX + 1)}, "1 to"),
        ({"table": "public.users", "keys": {"a": 1}}, "1 to"),
    ],
)
def test_what_is_no_request(up: Setup, body: Any, said: str) -> None:
    code, answer, _ = up.endpoint.post(body)
    assert code == 400
    assert said in answer["error"]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refused, match=said):
        wanted(content, TABLES)


@pytest.mark.parametrize(
    ("error", "code", "again"),
    [
        (NotReadyError("a chunk is being read"), 409, True),
        (TransientError("down", where="target h:1/db"), 503, True),
        (FencedError("the pipeline is sealed"), 409, False),
        (RecordError("a key is not of the key's type", where="table public.users"), 400, False),
        (RecordError("violates check constraint (c)", where="target h:1/db, table t"), 422, False),
    ],
)
def test_what_cannot_be_done(up: Setup, error: ChangeoverError, code: int, again: bool) -> None:
    assert up.service is not None
    up.service.error = error
    answered, answer, headers = up.endpoint.post(GOOD)
    assert answered == code
    assert ("Retry-After" in headers) == again
    assert "h:1/db" not in json.dumps(answer), "no address of the inside goes out"


def test_while_the_daemon_starts(up: Setup) -> None:
    up.service = None
    code, _, headers = up.endpoint.post(GOOD)
    assert (code, headers["Retry-After"]) == (503, "1")


def test_too_often() -> None:
    setup = Setup(rate=2)
    try:
        assert [setup.endpoint.post(GOOD)[0] for _ in range(3)] == [200, 200, 429]
        assert setup.endpoint.post(GOOD)[2]["Retry-After"] == "1"
        assert setup.endpoint.post(GOOD, token="wrong")[0] == 401, "guessing costs nobody else's turn"
        setup.now_s += 0.5
        assert setup.endpoint.post(GOOD)[0] == 200
    finally:
        setup.server.close()


def test_bodies_have_a_size(up: Setup) -> None:
    assert up.endpoint.post(b" " * ((64 << 10) + 1))[0] == 413
    assert up.endpoint.post(b" " * (64 << 10))[0] == 400


def test_other_methods(up: Setup) -> None:
    code, text = up.endpoint.get("/resync")
    assert (code, json.loads(text)) == (405, {"error": "method not allowed"})
