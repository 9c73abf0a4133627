"""The sections of the configuration file, apart from the mapping. Their descriptions are the published reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

OWNED_KAFKA_SETTINGS = frozenset(
    ("bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset",
     "isolation.level")
)  # fmt: skip
"""Exactness rests on these; a user's value would silently break it."""


def _postgresql(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        good = parts.scheme in ("postgresql", "postgres") and (bool(parts.path.strip("/")) or "dbname=" in parts.query)
    except ValueError:
        good = False
    if not good:
        raise ValueError("wrong value (expected postgresql://user@host:port/database); escape @ : / # in a "
                         "password as %40 %3A %2F %23")  # fmt: skip
    return url


def _http(url: str) -> str:
    try:
        good = urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        good = False
    if not good:
        raise ValueError("wrong value (expected http://host:port or https://host:port)")
    return url.rstrip("/")


def _sqlite(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if not text.startswith("sqlite:///") or text == "sqlite:///" or text == "sqlite:///:memory:" or "?" in text:
        raise ValueError("wrong value (expected sqlite:////absolute/path/to/file)")
    return url


def _mariadb(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        good = parts.scheme in ("mariadb", "mysql") and len(parts.path) > 1 and "/" not in parts.path[1:]
        good = good and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ValueError("wrong value (expected mariadb://user@host:port/database); escape @ : / # in a password as "
                         "%40 %3A %2F %23")  # fmt: skip
    return url


_SOURCE_URLS: dict[str, Callable[[SecretStr], SecretStr]] = {
    "postgresql": _postgresql,
    "mariadb": _mariadb,
    "mysql": _mariadb,
}
_TARGET_URLS = {**_SOURCE_URLS, "sqlite": _sqlite}
_DEFAULT_SCHEMAS = {"postgresql": "public", "sqlite": "main"}
PostgresqlUrl = Annotated[SecretStr, AfterValidator(_postgresql)]
HttpUrl = Annotated[str, AfterValidator(_http)]
Setting = str | int | float | bool
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._-]+$")]
PostgresqlName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


class Section(BaseModel):
    """What all sections share: nothing unknown, nothing changed afterwards, no values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`workers: true` would be one worker."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and annotation in (int, float, int | None, float | None):
            raise ValueError("wrong value (expected a number)")
        return value


def check_source_url(kind: str, url: SecretStr) -> SecretStr:
    """The URL, if a source of this kind can be there. Raises ValueError."""
    check = _SOURCE_URLS.get(kind)
    return check(url) if check else url


class SourceSection(Section):
    """The old database."""

    kind: Literal["postgresql", "mariadb", "mysql"] = Field(description="Engine of the old database")
    url: SecretStr = Field(
        description="postgresql://user@host:port/database, or mariadb://.. or mysql://.., as seen from this process"
    )
    topic_prefix: Name = Field(description="Debezium's topic.prefix: topics are called PREFIX.SCHEMA.TABLE")
    slot: PostgresqlName = Field(
        default="", description="PostgreSQL: replication slot (default: changeover_ and the pipeline's name)"
    )
    publication: PostgresqlName = Field(
        default="", description="PostgreSQL: publication (default: changeover_ and the pipeline's name)"
    )
    connect_timeout_s: int = Field(default=10, ge=1, le=300, description="Seconds to wait for a connection")

    @field_validator("url")
    @classmethod
    def _of_its_kind(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        return check_source_url(info.data.get("kind", ""), url)

    @property
    def default_schema(self) -> str:
        """Where a table without a schema is: MariaDB's schemas are its databases."""
        if self.kind == "postgresql":
            return "public"
        return unquote(urlsplit(self.url.get_secret_value()).path.strip("/"))


class TargetSection(Section):
    """The new store."""

    kind: Literal["postgresql", "mariadb", "mysql", "sqlite"] = Field(description="Engine of the new database")
    url: SecretStr = Field(
        description="postgresql://user@host:port/database, mariadb://user@host:port/database, or "
        "sqlite:////absolute/path/to/file, as seen from this process"
    )
    connect_timeout_s: int = Field(
        default=10, ge=1, le=300, description="Seconds to wait for a connection; of SQLite, for the other writer"
    )

    @field_validator("url")
    @classmethod
    def _of_its_kind(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        check = _TARGET_URLS.get(info.data.get("kind", ""))
        return check(url) if check else url

    @property
    def default_schema(self) -> str:
        """Where a table without a schema is."""
        if self.kind in _DEFAULT_SCHEMAS:
            return _DEFAULT_SCHEMAS[self.kind]
        return unquote(urlsplit(self.url.get_secret_value()).path[1:])


class KafkaSection(Section):
    """The log between the two."""

    bootstrap_servers: str = Field(min_length=1, description="host:port of one or more brokers, comma-separated")
    group: Name = Field(default="", description="Consumer group (default: changeover- and the pipeline's name)")
    partitions: int = Field(
        default=4, ge=1, le=1000, description="Partitions of the topics that `connector apply` creates"
    )
    replication_factor: int = Field(
        default=1, ge=1, le=15, description="Copies of the topics that `connector apply` creates"
    )
    retention_h: float = Field(
        default=168, gt=0, le=87600, description="Hours the topics keep events; they must outlive the backfill"
    )
    schema_registry: HttpUrl | None = Field(
        default=None, repr=False, description="URL of the schema registry's Confluent interface, for events in Avro"
    )
    settings: dict[str, Setting] = Field(
        default_factory=dict, repr=False, description="More librdkafka client settings, such as security.protocol"
    )

    @field_validator("settings")
    @classmethod
    def _not_owned(cls, settings: dict[str, Setting]) -> dict[str, Setting]:
        owned = sorted(OWNED_KAFKA_SETTINGS.intersection(settings))
        if owned:
            raise ValueError(f"{', '.join(owned)} cannot be set; Changeover's exactness rests on its own value")
        return settings


class ConnectSection(Section):
    """Kafka Connect with Debezium; left out where its REST interface cannot be reached from here."""

    url: HttpUrl = Field(repr=False, description="URL of Kafka Connect's REST interface")
    connector: Name = Field(
        default="", description="Name of the connector (default: changeover- and the pipeline's name)"
    )
    managed: bool = Field(
        default=True,
        description="false: somebody else runs the connector; it is never changed, its settings are checked",
    )
    format: Literal["auto", "json", "avro"] = Field(
        default="auto",
        description="What events are written in; auto: Avro where kafka.schema_registry is set, else JSON",
    )
    converter: Literal["auto", "confluent", "apicurio"] = Field(
        default="auto", description="Avro converter of the Connect workers; auto: the one that they have"
    )
    schema_registry: HttpUrl | None = Field(
        default=None,
        repr=False,
        description="URL of the schema registry as the Connect workers see it, where kafka.schema_registry is not it",
    )
    schemas_enable: bool = Field(default=False, description="JSON events carry their schema: larger, and not needed")
    exactly_once: Literal["auto", "required", "off"] = Field(
        default="auto",
        description="Exactly-once source support of the Connect workers: use it if there, insist on it, or not",
    )
    poll_interval_ms: int = Field(default=20, ge=1, le=60_000, description="Milliseconds between the connector's polls")
    database_url: SecretStr | None = Field(
        default=None,
        description="URL of the old database as the Connect workers see it, where that differs from source.url",
    )
    config: dict[str, str] = Field(
        default_factory=dict, repr=False, description="Connector settings that override the generated ones"
    )


class BackfillSection(Section):
    """Reading what is already there."""

    workers: int = Field(default=2, ge=1, le=64, description="Chunks read at the same time (default for SQLite: 1)")
    chunk_rows: int = Field(
        default=50_000, ge=1, le=10_000_000, description="Rows a chunk is planned to have (default for SQLite: 5000)"
    )
    rows_per_second: int | None = Field(
        default=None, ge=1, description="Limit over all workers of this process (default: none)"
    )


class StreamSection(Section):
    """Applying what changes."""

    batch_rows_max: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Most events applied in one transaction"
    )
    batch_bytes_max: int = Field(
        default=16 << 20, ge=1 << 16, le=1 << 32, description="About the most bytes of events in one transaction"
    )
    buffer_rows_max: int = Field(
        default=40_000, ge=1, le=10_000_000, description="Most decoded events in memory; at least batch_rows_max"
    )
    buffer_bytes_max: int = Field(
        default=32 << 20, ge=1 << 16, le=1 << 34, description="About the most bytes of events in memory, as they travel"
    )
    journal_h: float = Field(
        default=168, gt=0, le=87600, description="Hours that `explain` can tell which events were applied together"
    )
    journal_rows_max: int = Field(
        default=200_000, ge=1, le=100_000_000, description="Most transactions of a partition that it can tell this of"
    )
    shutdown_deadline_s: float = Field(
        default=20, gt=0, le=600, description="Seconds to finish the batch in hand on SIGTERM"
    )

    @field_validator("buffer_rows_max")
    @classmethod
    def _holds_a_batch(cls, rows: int, info: ValidationInfo) -> int:
        batch = info.data.get("batch_rows_max", 0)
        if rows < batch:
            raise ValueError(f"wrong value (expected at least batch_rows_max, which is {batch})")
        return rows


class DeadLetterSection(Section):
    """Rows that the target refuses: set aside until a person settles them, or the pipeline stops."""

    max: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="Most open dead letters; one more stops the pipeline (0: none)",
    )
    per_minute_max: int = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="Most dead letters made in a minute; one more stops the pipeline",
    )
    mask: list[str] = Field(
        default_factory=list, description="Source columns whose values are not kept in a letter; `all` for every one"
    )
    retention_h: float = Field(default=720, gt=0, le=87600, description="Hours for which settled letters are kept")


class ContinuousSection(Section):
    """Sweeps over all tables, one after another, so that the verification always has an age."""

    enabled: bool = Field(default=True, description="Whether `run` verifies while it streams")
    rows_per_second: int = Field(default=20_000, ge=1, description="How many rows a second are compared")
    interval_s: float = Field(
        default=60, ge=0, le=86_400 * 30, description="Least seconds from the start of a sweep to that of the next"
    )


class VerifySection(Section):
    """Comparing both sides."""

    workers: int = Field(default=2, ge=1, le=32, description="Slices compared at the same time")
    slice_rows: int = Field(default=20_000, ge=100, le=10_000_000, description="Rows a slice is planned to have")
    timeout_s: float = Field(
        default=60, gt=0, le=86_400, description="Seconds to wait until what was committed before is applied"
    )
    findings_max: int = Field(
        default=100, ge=0, le=100_000, description="Differences of a table that are reported with their values"
    )
    mask: Literal["all"] | list[str] = Field(
        default_factory=list,
        description="Target columns whose values are not shown: column, or schema.table.column; all for every column",
    )
    repair_after_restart: bool = Field(
        default=True, description="Differences that are found after a restart of the connector are repaired unasked"
    )
    continuous: ContinuousSection = Field(
        default_factory=ContinuousSection, description="Verification that sweeps for ever while the stream runs"
    )


class HeartbeatSection(Section):
    """Rows written to the source, which show that the whole way is open even when nothing else changes."""

    interval_s: float = Field(default=1.0, gt=0, le=300, description="Seconds between heartbeats")


class HttpSection(Section):
    """/metrics, /status, the probes, and rows moved on demand."""

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; only this machine by default"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 turns HTTP off")
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token of at least 16 characters for what changes something, POST /resync (default: off)",
    )
    resyncs_per_second: float = Field(
        default=50, gt=0, le=10_000, description="Most requests to POST /resync a second; more are answered 429"
    )
    resync_workers: int = Field(default=4, ge=1, le=6, description="Requests to POST /resync worked on at a time")
    resync_timeout_s: float = Field(
        default=5, gt=0, le=60, description="Seconds in which a row must be moved; then the answer is 409 or 503"
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and (len(token.get_secret_value()) < 16 or not token.get_secret_value().isascii()):
            raise ValueError(
                "wrong value (expected at least 16 ASCII characters, such as `openssl rand -hex 32` gives)"
            )
        return token


class LogSection(Section):
    """Logs on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged"
    )
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto: text on a terminal, JSON lines elsewhere"
    )
