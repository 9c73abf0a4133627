"""Logs on stderr, one record a line, as JSON for machines or logfmt for people, without secrets or row values.

Fields go in by the standard library's own way: `log.info("batch applied", extra={"table": name, "rows": 120})`.
Redaction happens where the line is written, so that it covers messages, fields and tracebacks of any library.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "text"]

MASK = "***"

_SECRET_NAME = re.compile(r"(?i)(password|passwd|passphrase|secret|token|credential|api.?key|jaas|basic\.auth\.user)")
_RULES = (
    # scheme://user:password@host, up to the last @ of the word: passwords may hold : / and @ unescaped
    (re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://[^:/?#\s@'\"]*):[^\s'\"<>]*@"), rf"\1:{MASK}@"),
    # password=..., sslpassword = '...', ?token=...
    (
        re.compile(
            r"(?i)((?:password|passwd|passphrase|secret|token)\s*=\s*)('(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s&,;'\"]+)"
        ),
        rf"\1{MASK}",
    ),
    # "password": "..." in JSON and in the repr of a dict
    (re.compile(r"(?i)(['\"][\w.]*(?:password|secret|token)['\"]\s*:\s*)('[^']*'|\"[^\"]*\")"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bauthorization:\s*\w+\s+)\S+"), rf"\1{MASK}"),
    # row values in a database's words: PostgreSQL's DETAIL lines and casts, MySQL's duplicates
    (re.compile(r"(Key \([^)]*\)=)\(.*?\)(?= (?:already|is|conflicts|was|\()|$)", re.MULTILINE), rf"\1({MASK})"),
    (re.compile(r"(Failing row contains )\(.*\)"), rf"\1({MASK})"),
    (re.compile(r"(invalid input (?:syntax for type|value for enum) [^:]+: )\".*\""), rf'\1"{MASK}"'),
    (re.compile(r"(Duplicate entry )'.*'( for key)"), rf"\1'{MASK}'\2"),
)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_WORD = re.compile(r"[^\s\"=]+")


def redact(text: str) -> str:
    """The text without passwords, and without the row values that database errors quote."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def is_secret(name: str) -> bool:
    """Whether a setting of this name is not to be shown: sasl.password, database.password, ssl.key.password."""
    return _SECRET_NAME.search(name) is not None


def redacted(value: Any, name: str = "") -> Any:
    """A copy of plain data with secrets masked: by the name of the setting they stand under, and by their looks."""
    if isinstance(value, Mapping):
        return {str(key): redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if is_secret(name):
        return MASK
    return value if isinstance(value, int | float) else redact(str(value))


def without_secrets(value: Any) -> Any:
    """A copy of plain data, its texts redacted by their looks alone: a table may be called password_resets."""
    if isinstance(value, Mapping):
        return {str(key): without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def configure(level: Level, format: Format, stream: TextIO | None = None) -> logging.Handler:
    """Send the process's logs to `stream` (stderr), in place of an earlier call's; `auto` is text on a terminal."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.set_name("changeover")
    text = format == "text" or (format == "auto" and stream.isatty())
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == "changeover"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "sqlglot", "urllib3"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    return handler


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, msg, then the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return json.dumps(_fields(self, record), ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """logfmt: time=... level=info msg="..." key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return " ".join(f"{name}={_plain(value)}" for name, value in _fields(self, record).items())


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "msg": redact(record.getMessage()),
    }
    for name, value in vars(record).items():
        if name not in _STANDARD:
            fields.setdefault(name, redacted(value, name))
    if record.exc_info and record.exc_info[0]:
        fields["error"] = record.exc_info[0].__name__
        fields["traceback"] = redact(formatter.formatException(record.exc_info))
    if record.stack_info:
        fields["stack"] = redact(record.stack_info)
    return fields


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if _WORD.fullmatch(text) and text.isprintable() else json.dumps(text, ensure_ascii=False)
