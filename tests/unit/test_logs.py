"""Logs: one record a line, fields kept, secrets and row values masked."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from daemon.logs import Format, configure, redact, redacted


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def written(format: Format, message: str, *args: object, **extra: object) -> str:
    """The line that a warning becomes."""
    stream = io.StringIO()
    configure("info", format, stream)
    logging.getLogger("daemon.test").warning(message, *args, extra=extra)
    logging.getLogger("daemon.test").debug("not shown")
    return stream.getvalue()


def test_json_keeps_fields_and_arguments() -> None:
    line = written("json", "batch of %d", 3, table="public.users", rows=120, ok=True)
    entry = json.loads(line)
    assert line.count("\n") == 1
    assert entry["time"].endswith("Z")
    del entry["time"]
    assert entry == {
        "level": "warning", "logger": "daemon.test", "msg": "batch of 3", "table": "public.users",
        "rows": 120, "ok": True,
    }  # fmt: skip


def test_text_is_one_line_of_logfmt() -> None:
    line = written("text", 'two\nlines and a "quote"', table="public.users", empty="", escape="\x1b[31m")
    assert line.count("\n") == 1
    assert ' level=warning logger=daemon.test msg="two\\nlines and a \\"quote\\"" table=public.users empty=""' in line
    assert "\x1b" not in line


def test_auto_is_text_on_a_terminal_only() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    configure("info", "auto", terminal)
    logging.getLogger("x").info("hello")
    assert "level=info" in terminal.getvalue()
    assert json.loads(written("auto", "hello"))["msg"] == "hello"


def test_configuring_again_replaces_only_its_own_handler() -> None:
    root = logging.getLogger()
    other = logging.NullHandler()
    root.addHandler(other)
    before = len(root.handlers)
    configure("info", "json", io.StringIO())
    configure("info", "json", io.StringIO())
    assert len(root.handlers) == before + 1
    assert other in root.handlers


def test_tracebacks_and_fields_are_redacted() -> None:
    stream = io.StringIO()
    configure("info", "json", stream)
    try:
        raise RuntimeError("cannot reach postgresql://app:hunter2@db/x")
    except RuntimeError:
        logging.getLogger("x").exception("no %s", "password=hunter2", extra={"dsn": {"url": "http://u:hunter2@h"}})
    entry = json.loads(stream.getvalue())
    assert "hunter2" not in stream.getvalue()
    assert entry["error"] == "RuntimeError"
    assert entry["dsn"] == {"url": "http://u:***@h"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://app:p:w/d@x@db:5432/x?sslmode=require", "postgresql://app:***@db:5432/x?sslmode=require"),
        ("see http://host:8080/path and a@b", "see http://host:8080/path and a@b"),
        ("host=db user=app password='a b' dbname=x", "host=db user=app password=*** dbname=x"),
        ("http://h/x?token=abc&y=1", "http://h/x?token=***&y=1"),
        ("{'sasl.password': 'x y', 'a': 'b'}", "{'sasl.password': ***, 'a': 'b'}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("Key (email)=(a@b.c) already exists.", "Key (email)=(***) already exists."),
        ("DETAIL:  Failing row contains (1, a@b.c, (x)).", "DETAIL:  Failing row contains (***)."),
        ('invalid input syntax for type integer: "4111 1111"', 'invalid input syntax for type integer: "***"'),
        ("Duplicate entry 'a@b.c' for key 'users.email'", "Duplicate entry '***' for key 'users.email'"),
        ("kafka.settings.sasl.password: missing", "kafka.settings.sasl.password: missing"),
    ],
)
def test_redact(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_settings_are_masked_by_name() -> None:
    settings = {"sasl.password": 1234, "ssl.key.password": "x", "client.id": "me", "list": ["http://u:p@h"], "no": None}
    assert redacted(settings) == {
        "sasl.password": "***", "ssl.key.password": "***", "client.id": "me", "list": ["http://u:***@h"], "no": None,
    }  # fmt: skip
