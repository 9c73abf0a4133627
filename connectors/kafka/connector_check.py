"""What is wrong with a connector's settings, whoever made it: those that the decoder and the hand-over rest on. Pure.

`connector_config` writes these settings; this reads them. A default is Debezium's own (3.7) for a setting that is not
there. What a worker's own configuration decides, its REST interface does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectors.kafka.avro_converters import JSON as JSON_CONVERTER
from connectors.kafka.avro_converters import RULES as CONVERTER_RULES
from connectors.kafka.connect import DEBEZIUM_MARIADB, DEBEZIUM_MYSQL, DEBEZIUM_POSTGRESQL
from connectors.kafka.connector_config import HEARTBEAT_MS, MESSAGE_PREFIX, PLACEHOLDER

TOPIC_NAMING = "io.debezium.schema.SchemaTopicNamingStrategy"
SLOW_STATUS_MS = 2_000
"""A committed position that shows in the slot later than this makes every barrier wait for it."""
HARMLESS_TRANSFORMS = frozenset(
    f"org.apache.kafka.connect.transforms.{name}" for name in ("InsertHeader", "DropHeaders")
)
"""Transforms that leave key, value, topic and partition alone."""
_TIMES = frozenset(("time without time zone", "timestamp without time zone"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pipeline needs of its connector.

    tables: (schema, name) -> the configured source key, empty where the primary key is. columns: (schema, name) -> the
    columns that are read. types: the types of those columns, without modifiers; None where they are not known.
    registry: whether a schema registry is configured, so that events in Avro can be read.
    """

    slot: str
    publication: str
    topic_prefix: str
    tables: Mapping[tuple[str, str], tuple[str, ...]]
    columns: Mapping[tuple[str, str], frozenset[str]]
    types: frozenset[str] | None = None
    registry: bool = False
    kind: str = "postgresql"
    """The source's engine."""


@dataclass(frozen=True, slots=True)
class SettingFault:
    """A setting that is not as it must be. wanted: what to set it to; None: take it out. "" : a person must decide.

    harmful: with it events would be lost, or values changed; else it is only slow, or a risk.
    """

    setting: str
    value: str
    wanted: str | None
    why: str
    harmful: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    """Good values of a setting. types: only where a column of such a type is read; empty: always."""

    setting: str
    default: str
    good: tuple[str, ...]
    why: str
    harmful: bool = True
    types: frozenset[str] = frozenset()


RULES = (
    _Rule("connector.class", "", (DEBEZIUM_POSTGRESQL,), "events of other connectors have another meaning"),
    _Rule("plugin.name", "decoderbufs", ("pgoutput",), "only pgoutput reads the publication and sends every message"),
    _Rule("skipped.operations", "t", ("none",), "a truncate would not travel, and its rows would stay in the target"),
    _Rule("errors.tolerance", "none", ("none",), "a record that cannot be written would be left out silently"),
    _Rule(
        "event.converting.failure.handling.mode",
        "warn",
        ("fail",),
        "a value that cannot be converted would arrive as NULL",
    ),
    _Rule(
        "event.processing.failure.handling.mode",
        "fail",
        ("fail",),
        "an event that cannot be processed would be left out",
    ),
    _Rule(
        "decimal.handling.mode",
        "precise",
        ("string",),
        "numbers would arrive rounded, or as bytes without their scale",
        types=frozenset(("numeric",)),
    ),
    _Rule(
        "binary.handling.mode",
        "bytes",
        ("bytes",),
        "an unchanged large value would arrive as NULL, or in another form",
        types=frozenset(("bytea",)),
    ),
    _Rule("slot.drop.on.stop", "false", ("false",), "what happens while the connector stands still would be lost"),
    _Rule(
        "snapshot.mode",
        "initial",
        ("no_data", "never", "initial", "always", "when_needed", "configuration_based", "schema_only"),
        "it would stop after its snapshot",
    ),
    _Rule("lsn.flush.mode", "connector", ("connector", "connector_and_driver"), "its slot would keep WAL for ever"),
    _Rule("flush.lsn.source", "true", ("true",), "its slot would keep WAL for ever, and no barrier could be passed"),
    _Rule("topic.naming.strategy", TOPIC_NAMING, (TOPIC_NAMING,), "events would go to topics that nobody reads"),
    _Rule("topic.delimiter", ".", (".",), "events would go to topics that nobody reads"),
    _Rule(
        "unavailable.value.placeholder",
        PLACEHOLDER,
        (PLACEHOLDER,),
        "the mark of an unchanged large value would be taken for the value",
    ),
)


_COMMON = frozenset(
    ("skipped.operations", "errors.tolerance", "event.processing.failure.handling.mode", "decimal.handling.mode",
     "binary.handling.mode", "snapshot.mode", "topic.naming.strategy", "topic.delimiter")
)  # fmt: skip
BINLOG_RULES = (
    _Rule(
        "connector.class",
        "",
        (DEBEZIUM_MARIADB, DEBEZIUM_MYSQL),
        "events of other connectors have another meaning",
    ),
    *(rule for rule in RULES if rule.setting in _COMMON),
    _Rule(
        "event.deserialization.failure.handling.mode",
        "fail",
        ("fail",),
        "an event that cannot be read would be left out",
    ),
    _Rule("inconsistent.schema.handling.mode", "fail", ("fail",), "events of an unknown table would be left out"),
    _Rule(
        "schema.history.internal.skip.unparseable.ddl",
        "false",
        ("false",),
        "rows would be read by a definition that is not theirs",
    ),
    _Rule("bigint.unsigned.handling.mode", "long", ("long",), "numbers would arrive as bytes"),
    _Rule("enable.time.adjuster", "true", ("false",), "the years 1 to 99 would arrive as others"),
)


def setting_faults(config: Mapping[str, str], wanted: Wanted) -> list[SettingFault]:
    """Every setting of a connector that is not as the pipeline needs it, the harmful ones first."""
    found = [*_ruled(config, wanted)]
    messages = _messages if wanted.kind == "postgresql" else _beats
    for check in (_names, _times, _converters, _fields, _changers, _filters, _keys, messages, _pace):
        found += check(config, wanted)
    return sorted(found, key=lambda fault: not fault.harmful)


def _ruled(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    for rule in RULES if wanted.kind == "postgresql" else BINLOG_RULES:
        value = config.get(rule.setting, rule.default)
        if rule.types and wanted.types is not None and not rule.types & wanted.types:
            continue
        if value.lower() not in (good.lower() for good in rule.good):
            yield SettingFault(rule.setting, _shown(config, rule.setting, rule.default), rule.good[0], rule.why)


def _shown(config: Mapping[str, str], setting: str, default: str) -> str:
    return config.get(setting, f"not set, which is {default or 'nothing'}")


def _names(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    names = [("topic.prefix", "", wanted.topic_prefix, "source.topic_prefix")]
    if wanted.kind == "postgresql":
        names += [
            ("slot.name", "debezium", wanted.slot, "source.slot"),
            ("publication.name", "dbz_publication", wanted.publication, "source.publication"),
        ]
    for setting, default, name, whose in names:
        if config.get(setting, default) != name:
            yield SettingFault(setting, _shown(config, setting, default), name, f"{whose} is {name}")


def _times(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    usual = "adaptive" if wanted.kind == "postgresql" else "adaptive_time_microseconds"
    mode = config.get("time.precision.mode", usual).lower()
    schemas = _avro(config) or config.get("value.converter.schemas.enable", "true").lower() == "true"
    told = ("adaptive", "adaptive_time_microseconds") if schemas else ()
    if mode in ("microseconds", *told) or (wanted.types is not None and not wanted.types & _TIMES):
        return
    why = "times would be rounded, or read in another unit than they are written in"
    shown = _shown(config, "time.precision.mode", usual)
    yield SettingFault("time.precision.mode", shown, "microseconds", why)


def _converters(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    value = config.get("value.converter")
    if value in CONVERTER_RULES:
        yield from _avro_values(config, value, wanted)
    else:
        yield from _json(config, "value.converter", "only JSON and Avro can be read")
    if config.get("key.converter") in CONVERTER_RULES:
        why = "a new version of a key's schema moves its events to another partition, where nothing orders them"
        yield SettingFault("key.converter", config["key.converter"], JSON_CONVERTER, why, harmful=False)
    else:
        yield from _json(config, "key.converter", "only JSON and Avro are known")


def _avro(config: Mapping[str, str]) -> bool:
    return config.get("value.converter") in CONVERTER_RULES


def _json(config: Mapping[str, str], part: str, otherwise: str) -> Iterator[SettingFault]:
    found = config.get(part)
    if found is None:
        why = "the workers' own converter is used, which cannot be asked"
        yield SettingFault(part, "not set", JSON_CONVERTER, why, harmful=False)
    elif found != JSON_CONVERTER:
        yield SettingFault(part, found, JSON_CONVERTER, otherwise)
    setting = f"{part}.replace.null.with.default"
    if config.get(setting, "true").lower() != "false":
        why = "a NULL in a column with a default would arrive as the default"
        yield SettingFault(setting, _shown(config, setting, "true"), "false", why)


def _avro_values(config: Mapping[str, str], converter: str, wanted: Wanted) -> Iterator[SettingFault]:
    if not wanted.registry:
        why = "events are in Avro, and kafka.schema_registry is not configured"
        yield SettingFault("value.converter", converter, "", why)
    for rule in CONVERTER_RULES[converter]:
        setting = f"value.converter.{rule.setting}"
        if config.get(setting, rule.default).lower() != rule.wanted.lower():
            yield SettingFault(setting, _shown(config, setting, rule.default), rule.wanted, rule.why, rule.harmful)


def _fields(config: Mapping[str, str], _: Wanted) -> Iterator[SettingFault]:
    """In Avro the columns are found again under escaped names, in JSON they have their own."""
    setting = "field.name.adjustment.mode"
    wanted = "avro_unicode" if _avro(config) else "none"
    if config.get(setting, "none").lower() not in ("none", wanted):
        why = "columns would have other names than in the catalogue"
        yield SettingFault(setting, config[setting], wanted, why)


def _changers(config: Mapping[str, str], _: Wanted) -> Iterator[SettingFault]:
    for name in _list(config.get("transforms", "")):
        kind = config.get(f"transforms.{name}.type", "")
        if kind not in HARMLESS_TRANSFORMS:
            why = f"{kind or name} may change, reroute or drop events"
            yield SettingFault("transforms", config["transforms"], None, why)
            break
    for setting, why in (
        ("converters", "a custom converter changes the form of values"),
        ("post.processors", "a post-processor may put later values into an event"),
    ):
        if config.get(setting, ""):
            yield SettingFault(setting, config[setting], None, why)
    for setting in sorted(config):
        if re.match(r"column\.(mask|truncate)\.", setting):
            yield SettingFault(setting, config[setting], None, "values would arrive masked or cut")


def _filters(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    tables = {f"{schema}.{name}": (schema, name) for schema, name in wanted.tables}
    schemas = {schema: schema for schema, _ in wanted.tables}
    columns = {f"{s}.{n}.{column}": column for (s, n), read in wanted.columns.items() for column in read}
    level = "schema" if wanted.kind == "postgresql" else "database"
    for kind, names in ((level, schemas), ("table", tables), ("column", columns)):
        for verb in ("include", "exclude"):
            setting = f"{kind}.{verb}.list"
            if out := _left_out(config.get(setting, ""), names, include=verb == "include"):
                yield SettingFault(setting, config[setting], None, f"it leaves out {', '.join(out)}")


def _left_out(patterns: str, names: Mapping[str, object], *, include: bool) -> list[str]:
    """The names that a list of regular expressions keeps from travelling. An empty list keeps none."""
    if not patterns:
        return []
    return sorted(name for name in names if any(_matches(p, name) for p in _list(patterns)) != include)


def _matches(pattern: str, name: str) -> bool:
    """Debezium's way: the whole name, in any case."""
    try:
        return re.fullmatch(pattern, name, re.IGNORECASE) is not None
    except re.error:
        return pattern == name


def _keys(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    """A message's key decides its partition: rows of one key must stay in one order."""
    setting = "message.key.columns"
    given = [entry.rpartition(":") for entry in config.get(setting, "").split(";") if ":" in entry]
    for (schema, name), key in sorted(wanted.tables.items()):
        mine = [columns for table, _, columns in given if _matches(table, f"{schema}.{name}")]
        columns = [plain(column) for column in mine[0].split(",")] if mine else []
        if key and sorted(columns) != sorted(key):
            why = f"the events of {schema}.{name} need its source_key ({', '.join(key)}) as their key"
            yield SettingFault(setting, config.get(setting, "not set"), f"{schema}.{name}:{','.join(key)}", why)
        elif columns and not key:
            why = f"the events of {schema}.{name} have another key than its primary key; configure it as source_key"
            yield SettingFault(setting, config[setting], "", why)


def plain(pattern: str) -> str:
    r"""A name out of a regular expression that stands for it alone: \x2c is a comma."""
    return re.sub(r"\\x([0-9a-fA-F]{2})|\\(.)", lambda m: chr(int(m[1], 16)) if m[1] else m[2], pattern.strip())


def _messages(config: Mapping[str, str], _: Wanted) -> Iterator[SettingFault]:
    include, exclude = "message.prefix.include.list", "message.prefix.exclude.list"
    for setting, kept in ((include, True), (exclude, False)):
        if _left_out(config.get(setting, ""), {MESSAGE_PREFIX: None}, include=kept):
            why = "barriers and heartbeats would not travel, and no start, wait or cutover could end"
            yield SettingFault(setting, config[setting], f"{MESSAGE_PREFIX}.*" if kept else None, why)


def _beats(config: Mapping[str, str], wanted: Wanted) -> Iterator[SettingFault]:
    """Our own table must travel with the others."""
    for setting, name in (("database.include.list", BEATS[0]), ("table.include.list", ".".join(BEATS))):
        if _left_out(config.get(setting, ""), {name: None}, include=True):
            why = "barriers and heartbeats would not travel, and no start, wait or cutover could end"
            yield SettingFault(setting, config[setting], f"{config[setting]},{name}", why)


BEATS = ("changeover", "heartbeat")
"""(database, table) of our own table at a MariaDB or MySQL source."""


def _pace(config: Mapping[str, str], asked: Wanted) -> Iterator[SettingFault]:
    for setting, default, good, wanted, why in (
        ("heartbeat.interval.ms", 0, range(1, SLOW_STATUS_MS + 1), HEARTBEAT_MS, "barriers wait for its next commit"),
        ("status.update.interval.ms", 10_000, range(SLOW_STATUS_MS + 1), 100, "barriers wait until the slot shows it"),
    ):
        if asked.kind != "postgresql" and setting.startswith("status."):
            continue
        text = config.get(setting, str(default))
        if not text.isdigit() or int(text) not in good:
            yield SettingFault(setting, _shown(config, setting, str(default)), str(wanted), why, harmful=False)


def _list(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<!\\),", text) if part.strip()]
