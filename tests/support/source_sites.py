"""One source of each engine with tables, a target, and a connector that streams: what the source conformance suite runs
on. SQL is each engine's own; everything else is the product's, wired as it wires itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

from connectors.change import Change
from connectors.tables import MappedTable
from daemon.config.model import load
from daemon.stream.decoders import decoders
from daemon.wiring import Parts
from tests.support.databases import Databases, open_url
from tests.support.pipeline import Pipeline, Settings
from tests.support.stack import Stack

Sql = Mapping[str, str]
"""Engine -> its SQL."""


class PostgresSite:
    """PostgreSQL as the source."""

    kind = "postgresql"
    schema = "public"

    def __init__(self, databases: Databases) -> None:
        self.url = databases.source_url
        self._raw = psycopg.connect(self.url, autocommit=True)

    def connect(self) -> psycopg.Connection:
        """Another session, in transactions."""
        return psycopg.connect(self.url)

    def run(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement of the engine's own; the rows, if it gives any."""
        cursor = self._raw.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Nothing is left behind: the databases go."""
        self._raw.close()


class MariadbSite:
    """MariaDB as the source, in a database of its own."""

    kind = "mariadb"

    def __init__(self, databases: Databases) -> None:
        self.schema = self.name = databases.name
        self._at = urlsplit(databases.stack.mariadb_url)
        self.url = self._at._replace(path=f"/{self.name}").geturl()
        self._raw = self._open()
        self.run(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")
        self.run(f"USE {self.name}")

    def _open(self, **more: Any) -> Any:
        at = self._at
        password = unquote(at.password or "")
        return pymysql.connect(host=at.hostname, port=at.port or 3306, user=at.username, password=password, **more)

    def connect(self) -> Any:
        """Another session, in transactions."""
        return self._open(database=self.name, charset="utf8mb4")

    def run(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run statements of the engine's own; the rows of the last one, if it gives any."""
        with self._raw.cursor() as cursor:
            for statement in query.split(";;"):
                cursor.execute(statement, values or None)
            rows = list(cursor.fetchall())
        self._raw.commit()
        return rows

    def close(self) -> None:
        """Remove the database, and the pipeline's row."""
        self.run(f"DROP DATABASE IF EXISTS {self.name}")
        with suppress(pymysql.Error):
            self.run("DELETE FROM changeover.heartbeat WHERE pipeline = %s", (self.name,))
        self._raw.close()


SITES = {"postgresql": PostgresSite, "mariadb": MariadbSite}
Site = PostgresSite | MariadbSite


class Streamed:
    """A site with a pipeline that was given a connector, and the product's parts of it."""

    def __init__(self, site: Site, pipeline: Pipeline) -> None:
        self.site = site
        self.pipeline = pipeline
        self.parts = Parts(load(pipeline.config, pipeline._env({})), pipeline.config, threading.Event())
        self.tables = {mapped.table.name: mapped for mapped in self.parts.tables().values()}
        _, self._messages = self.parts.topics(self.by_name)

    @property
    def by_name(self) -> dict[str, MappedTable]:
        """As the product has them: by schema.name."""
        return {mapped.name: mapped for mapped in self.tables.values()}

    def deliver(self) -> None:
        """Wait until everything that is committed by now is in Kafka."""
        barrier = self.parts.barrier(30)
        try:
            barrier.delivered(barrier.sentinel())
        finally:
            barrier.close()

    def changes(self, *names: str) -> dict[str, list[Change]]:
        """Table -> its committed events, decoded by the product, of each partition in order."""
        found: dict[str, list[Change]] = {name: [] for name in names}
        for (name, _), changes in self.partitions(*names).items():
            found[name] += changes
        return found

    def partitions(self, *names: str) -> dict[tuple[str, int], list[Change]]:
        """(table, partition) -> its committed events, decoded by the product, in order."""
        topics, messages = self.parts.topics(self.by_name)
        made = decoders(self.by_name, topics, messages, self.parts.stream, {}, self.parts.schemas)
        wanted = {topics[self.tables[name].name].name: name for name in names}
        ends = self.parts.broker.end_offsets(wanted)
        reader = self.parts.log_reader()
        found: dict[tuple[str, int], list[Change]] = {(wanted[topic], partition): [] for topic, partition in ends}
        try:
            for message in reader.read({where: (0, end) for where, end in ends.items()}):
                change = made[message.topic][1](message.value, message.offset)
                found[wanted[message.topic], message.partition].append(change)
        finally:
            reader.close()
        return found


@contextmanager
def streamed(stack: Stack, kind: str, name: str, directory: Path, source: Sql, target: str) -> Iterator[Streamed]:
    """A site whose tables were made by `source`, with a connector that streams into topics, and target tables.

    target: the same tables in PostgreSQL; `create table NAME (` tells which there are.
    """
    databases = Databases(stack, name)
    site = SITES[kind](databases)
    try:
        site.run(source[kind])
        with open_url(databases.target_url) as connection:
            connection.execute(target.encode())
        names = [line.split()[2] for line in target.splitlines() if line.startswith("create table ")]
        settings = Settings(tables=[{"from": name} for name in names], sections={"source": {"kind": kind}})
        pipeline = Pipeline(databases, directory, settings)
        pipeline.extra_env["SOURCE_URL"] = site.url
        pipeline.command("connector", "apply")
        made = Streamed(site, pipeline)
        try:
            yield made
        finally:
            made.parts.target.close()
            pipeline.command("connector", "delete", "--topics")
    finally:
        site.close()
        databases.drop()
