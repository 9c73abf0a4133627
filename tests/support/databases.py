"""Fresh databases on both servers of a stack for one test, and the removal of everything it left there."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pymysql
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import sql
from pymysql.cursors import Cursor

from tests.support.polling import until
from tests.support.stack import Stack

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_BOUND_S = 30


class Databases:
    """A database called `name` on the source and on the target. The name is the topic prefix and the pipeline too."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name
        self._on_mariadb = False
        self.source_url = with_database(stack.source_url, name)
        self.target_url = with_database(stack.target_url, name)
        for url in (stack.source_url, stack.target_url):
            _execute(url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop(self) -> None:
        """Remove the connectors, slots, databases and topics of this name; none of them is an error to miss."""
        self._delete_connectors()
        self._drop_slots()
        for url in (self.stack.source_url, self.stack.target_url):
            _execute(url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))
        self._delete_topics()
        if self._on_mariadb:
            self._drop_on_mariadb()

    def on_mariadb(self) -> str:
        """A database of this name on MariaDB too, where there is no control state yet; its URL."""
        self._on_mariadb = True
        self._drop_on_mariadb()
        with open_mariadb(self.stack.mariadb_url) as cursor:
            cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
        return with_database(self.stack.mariadb_url, self.name)

    def _drop_on_mariadb(self) -> None:
        with open_mariadb(self.stack.mariadb_url) as cursor:
            for name in (self.name, "changeover"):
                cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _delete_connectors(self) -> None:
        known = call_connect(self.stack, "GET", "/connectors?expand=info")
        assert isinstance(known, dict)
        for name, about in known.items():
            if about["info"]["config"].get("topic.prefix") == self.name:
                call_connect(self.stack, "DELETE", f"/connectors/{urllib.parse.quote(name)}")

    def _drop_slots(self) -> None:
        """A connector that was just deleted may come back once before it is gone, so this is tried until it is done."""
        with open_url(self.stack.source_url) as connection:
            until(lambda: self._no_slots(connection), _BOUND_S, f"the slots of {self.name} are dropped")

    def _no_slots(self, connection: psycopg.Connection) -> bool:
        slots = connection.execute(
            "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", (self.name,)
        ).fetchall()
        for slot, pid in slots:
            if pid is not None:
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
                continue
            try:
                connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
            except (psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
                continue
        return not slots

    def _delete_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.stack.kafka})
        mine = [topic for topic in admin.list_topics(timeout=_BOUND_S).topics if self.name in topic]
        for future in admin.delete_topics(mine).values() if mine else ():
            try:
                future.result(_BOUND_S)
            except KafkaException as error:
                if error.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                    raise


def with_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def open_url(url: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode, closed at the end of the block."""
    connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def open_mariadb(url: str) -> Iterator[Cursor]:
    """A cursor of a connection to MariaDB in autocommit mode and UTC, closed at the end of the block."""
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname or "", port=parts.port or 3306, user=parts.username or "",
        password=unquote(parts.password or ""), database=parts.path.strip("/"), autocommit=True, charset="utf8mb4",
    )  # fmt: skip
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES', time_zone = '+00:00'")
            yield cursor
    finally:
        connection.close()


def _execute(url: str, statement: sql.Composed) -> None:
    with open_url(url) as connection:
        connection.execute(statement)


def call_connect(stack: Stack, method: str, path: str) -> object:
    """Ask Kafka Connect's REST interface; None where it answers nothing, or that the thing is not there."""
    request = urllib.request.Request(stack.connect_url + path, method=method)
    try:
        with _DIRECT.open(request, timeout=_BOUND_S) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return None
            raise
    return json.loads(text) if text else None
