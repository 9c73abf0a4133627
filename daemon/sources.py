"""The one place that names the engines of sources: from a configuration to the source, its log, and its stream's form.

An engine's modules are imported when it is asked for: a command does not wait for the drivers of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.change import Change
from connectors.kafka.decode import PLACEHOLDER, decode_beat, decode_message
from connectors.kafka.topics import message_topic, table_topic
from connectors.source_database import SourceDatabase
from connectors.source_log import SourceLog
from daemon.config.model import Config
from daemon.config.sections import SourceSection


@dataclass(frozen=True, slots=True)
class Stream:
    """What an engine's stream is like. messages: topic prefix -> the topic of sentinels; message: its decoder.

    placeholder: what stands for a value that did not travel; None where every value does.
    """

    messages: Callable[[str], str]
    message: Callable[..., Change]
    placeholder: str | None


def beat_topic(prefix: str) -> str:
    """The topic of our own table at the source."""
    return table_topic(prefix, "changeover", "heartbeat")


_LOGICAL = Stream(message_topic, decode_message, PLACEHOLDER)
_BEATS = Stream(beat_topic, decode_beat, None)


def stream_of(kind: str) -> Stream:
    """How the stream of a source of this kind reads."""
    return _LOGICAL if kind == "postgresql" else _BEATS


def source_of(
    section: SourceSection, *, timeout_s: int | None = None, limit_s: float | None = None, read_only: bool = False
) -> SourceDatabase:
    """The source of a section, with connections of its own.

    timeout_s: for a connection, instead of the section's. limit_s: how long a statement may take. read_only: sessions
    that cannot write, for `doctor`.
    """
    make = _postgresql if section.kind == "postgresql" else _mariadb
    return make(section, timeout_s or section.connect_timeout_s, limit_s, read_only)


def log_of(config: Config) -> SourceLog:
    """The log of the configured source, with connections of its own."""
    return _postgresql_log(config) if config.source.kind == "postgresql" else _mariadb_log(config)


def _postgresql(section: SourceSection, timeout_s: int, limit_s: float | None, read_only: bool) -> SourceDatabase:
    from connectors.postgresql.doctor import READ_ONLY
    from connectors.postgresql.session import statement_limit
    from connectors.postgresql.source import PostgresSource

    settings = (READ_ONLY if read_only else {}) | (statement_limit(limit_s) if limit_s else {})
    url, publication = section.url.get_secret_value(), section.publication
    return PostgresSource(url, publication=publication, timeout_s=timeout_s, settings=settings)


def _mariadb(section: SourceSection, timeout_s: int, limit_s: float | None, read_only: bool) -> SourceDatabase:
    from connectors.mariadb.session import statement_limit
    from connectors.mariadb.source import MariadbSource

    settings = (statement_limit(limit_s) if limit_s else {}) | ({"tx_read_only": 1} if read_only else {})
    return MariadbSource(section.url.get_secret_value(), timeout_s=timeout_s, settings=settings)


def _postgresql_log(config: Config) -> SourceLog:
    from connectors.postgresql.log import PostgresLog
    from connectors.postgresql.source import PostgresSource

    section = config.source
    source = PostgresSource(section.url.get_secret_value(), timeout_s=section.connect_timeout_s)
    return PostgresLog(source, section.slot, section.publication)


def _mariadb_log(config: Config) -> SourceLog:
    from connectors.kafka.offsets import ConnectorOffsets
    from connectors.mariadb.log import MariadbLog
    from connectors.mariadb.source import MariadbSource
    from connectors.mariadb.url import parse

    section, connect = config.source, config.connect
    assert connect is not None  # the configuration is refused without it
    offsets = ConnectorOffsets(connect.url, connect.connector)
    reader = parse((connect.database_url or section.url).get_secret_value(), "source").username or ""

    source = MariadbSource(section.url.get_secret_value(), timeout_s=section.connect_timeout_s)
    return MariadbLog(source, config.pipeline, connect.connector, reader, offsets)
