"""What the acceptance tests add to the harness: one connector for many small pipelines, planted secrets, cut lines."""

from __future__ import annotations

import re
import select
import socket
import threading
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import yaml

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.stack import ROOT, Stack

SECRET = "pl4nted/p@ss word:%"
"""The password of the role that the product uses. Whatever the product prints is searched for it."""
SHOWN_FORMS = ("pl4nted", urllib.parse.quote(SECRET, safe=""), urllib.parse.quote_plus(SECRET))
ROWS = 200

SOURCE_SQL = """
CREATE TABLE {0} (id integer PRIMARY KEY, v text, n integer NOT NULL);
INSERT INTO {0} SELECT i, 'v' || i, i FROM generate_series(1, {1}) i;
"""
TARGET_SQL = (
    "CREATE TABLE app.{0} (id bigint PRIMARY KEY, name text NOT NULL, amount numeric(10,2) NOT NULL, more text)"
)


def entry(table: str, **changed: Any) -> dict[str, Any]:
    """The mapping of a table made by SOURCE_SQL and TARGET_SQL."""
    columns = {"name": "coalesce(v, '')", "amount": "cast(n as numeric(10,2))"}
    return {"from": f"public.{table}", "to": f"app.{table}", "key": {"id": "id"}, "columns": columns, **changed}


def question(table: str) -> Question:
    """What such a table must contain."""
    return Question(
        f"app.{table}",
        f"SELECT id, CASE WHEN v IS NULL THEN '' ELSE v END, n::text || '.00', NULL FROM {table}",
        f"SELECT id, name, amount, more FROM app.{table}",
    )


@dataclass(frozen=True)
class Place:
    """Where a small pipeline lives: its own name in databases that it shares with others."""

    name: str
    shared: Databases

    @property
    def stack(self) -> Stack:
        return self.shared.stack

    @property
    def source_url(self) -> str:
        return self.shared.source_url

    @property
    def target_url(self) -> str:
        return self.shared.target_url


class Small(Pipeline):
    """A pipeline of a few rows, under the planted role. Everything it says is searched for the secret."""

    def __init__(self, place: Place, directory: Path, tables: Sequence[Mapping[str, Any]], **sections: Any) -> None:
        prefix = place.shared.name
        own = {
            "source": {"topic_prefix": prefix, "slot": f"changeover_{prefix}", "publication": f"changeover_{prefix}"},
            "connect": {"connector": f"changeover-{prefix}"},
            "log": {"level": "warning"},
        }
        for section, values in sections.items():
            own[section] = own.get(section, {}) | values
        directory.mkdir(exist_ok=True)
        super().__init__(place, directory, Settings(tables, workers=1, sections=own))  # type: ignore[arg-type]
        self.log.touch()
        self.extra_env = {"SOURCE_URL": planted(place.source_url), "TARGET_URL": planted(place.target_url)}

    def rewrite(self, **changed: Any) -> None:
        """Change top-level parts of the configuration."""
        document = yaml.safe_load(self.config.read_text()) | changed
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def told(self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 90) -> tuple[int, str]:
        """Run a command to its end: (exit code, all that it said)."""
        kept = self.extra_env
        self.extra_env = {**kept, **(env or {})}
        try:
            done = self.call(*arguments, timeout_s=timeout_s)
        finally:
            self.extra_env = kept
        clean(done.said)
        return done.code, done.said

    def refused(self, *arguments: str, env: Mapping[str, str] | None = None, code: int = 1, says: str = "") -> str:
        """Run a command that must fail with one line; returns it."""
        found, said = self.told(*arguments, env=env)
        lines = said.splitlines()
        assert (found, len(lines)) == (code, 1), f"exit code {found}, and it said:\n{said}"
        return check_line(lines[0], says)

    def stops(self, *arguments: str, code: int = 1, says: str = "", timeout_s: float = 60) -> str:
        """Run the daemon, which must stop by itself; returns the one line that it ends with."""
        daemon = self.start(*(arguments or ("run",)))
        try:
            found = until(lambda: daemon.exit_code, timeout_s, lambda: f"the end of the daemon:\n{daemon.output()}")
            said = clean(daemon.output(1000))
        finally:
            daemon.end()
        assert found == code, f"exit code {found}, and it said:\n{said}"
        lines = said.splitlines()
        found_lines = [line for line in lines if line.startswith("changeover: ")]
        assert found_lines == lines[-1:], f"not one line of its own at the end:\n{said}"
        return check_line(lines[-1], says)

    def ends(self, daemon: Daemon) -> None:
        """SIGTERM: it ends in good order."""
        daemon.killed = True
        daemon.terminate()
        code = daemon.wait(40)
        assert code == 0, f"exit code {code}:\n{daemon.output()}"
        clean(daemon.output(1000))


def check_line(line: str, says: str) -> str:
    """One line for a person: where, what and the mend, and no trace of the code."""
    assert line.startswith("changeover: "), line
    for word in ("Traceback", "Error(", 'File "', "psycopg", "sqlalche", "pydantic", "KafkaError", "<class"):
        assert word not in line, line
    assert re.search(says, line), f"{says!r} is not in: {line}"
    return line


def clean(text: str) -> str:
    """The text, in which there is no secret and no traceback."""
    for form in SHOWN_FORMS:
        assert form not in text, f"a secret is shown:\n{text}"
    assert "Traceback (most recent call last)" not in text, text
    return text


def planted(url: str) -> str:
    """The URL with the planted role in it."""
    parts = urlsplit(url)
    secret = urllib.parse.quote(SECRET, safe="")
    return urlunsplit(parts._replace(netloc=f"planted:{secret}@{parts.hostname}:{parts.port}"))


def at_port(url: str, port: int) -> str:
    """The URL with another port on this machine."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))


def execute(url: str, *statements: str) -> None:
    """Run statements, each a transaction."""
    with open_url(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def value(url: str, query: str) -> Any:
    """The one value of a query."""
    with open_url(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def plant(stack: Stack) -> None:
    """Make the role whose password must never be shown, on both servers."""
    for url in (stack.source_url, stack.target_url):
        with open_url(url) as connection, suppress(psycopg.errors.DuplicateObject):
            connection.execute("CREATE ROLE planted SUPERUSER LOGIN")
        with open_url(url) as connection:
            quoted = SECRET.replace("'", "''")
            connection.execute(f"ALTER ROLE planted PASSWORD '{quoted}'".encode())


def documented(heading: str) -> str:
    """The statement in docs/errors.md under a heading."""
    text = (ROOT / "docs" / "errors.md").read_text()
    part = text.partition(f"{heading}\n")[2].partition("\n#")[0]
    found = re.search(r"```sql\n(.*?)```", part, re.DOTALL)
    assert found is not None, f"docs/errors.md has no statement under {heading}"
    return found[1]


class Line:
    """A TCP port of this machine that leads to a server while it is open. Closing it cuts what goes through it."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._server: socket.socket | None = None
        self._sockets: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]

    @classmethod
    def of(cls, url: str) -> Line:
        """A line to the server of a URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or 0)

    def open(self) -> None:
        """Connections are taken from now on."""
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        """Connections are refused from now on, and broken where there are some."""
        if self._server is not None:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _accept(self, server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(self._to)
                self._sockets += [near, far]
                threading.Thread(target=_carry, args=(near, far), daemon=True).start()


def _carry(near: socket.socket, far: socket.socket) -> None:
    """Both directions, until one end is gone."""
    other = {near: far, far: near}
    with near, far, suppress(OSError):
        while True:
            for end in select.select([near, far], [], [])[0]:
                data = end.recv(1 << 16)
                if not data:
                    return
                other[end].sendall(data)
