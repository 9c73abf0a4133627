"""What a MariaDB or MySQL source must offer before a stream is asked of it: every problem at once, with its mend."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from connectors.mariadb.cascades import read_cascades
from connectors.mariadb.catalogue import load_tables
from connectors.mariadb.general_types import as_source, native_of
from connectors.mariadb.grants import may_write, missing_grants
from connectors.mariadb.heartbeat_table import DATABASE
from connectors.mariadb.server import STREAM_RIGHTS, ServerFacts, server_facts
from connectors.mariadb.session import Raw
from connectors.mariadb.wire import UNPARSED
from daemon.connector.source_checks import SERVER, SOURCE
from mappers.errors import ConfigError, Problem
from mappers.mapping import Table

OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0)}
_EVERYTHING = "ALL PRIVILEGES"


def check_source(
    raw: Raw, tables: Mapping[tuple[str, str], tuple[str, ...]], overrides: Mapping[str, str] | None = None
) -> None:
    """Raise ConfigError with everything that is missing; `tables` maps each to its configured source key.

    overrides: settings of the connector that the configuration gives.
    """
    facts = server_facts(raw)
    problems = list(server_problems(facts))
    found = {name: as_source(table) for name, table in load_tables(raw, tables).items()}
    for (schema, name), key in tables.items():
        table = found.get(f"{schema}.{name}")
        if table is None:
            path = (*SOURCE, f"{schema}.{name}")
            hint = 'correct its name in the mapping (it is exact: "Upper" case is quoted), or grant SELECT on it'
            problems.append(Problem(path, "there is no such table", hint))
        else:
            problems += table_problems(table, key)
    there = [name for name in tables if f"{name[0]}.{name[1]}" in found]
    problems += [Problem((*SOURCE, each.table), each.what, each.mend) for each in read_cascades(raw, there)]
    if not may_write(raw, DATABASE):
        message = f"the account may not make our own table, {DATABASE}.heartbeat"
        problems.append(Problem(SERVER, message, f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {facts.account}"))
    for grant in missing_grants(raw, there, ("SELECT",)):
        problems.append(Problem((*SOURCE, grant.table), "it may not be read", grant.mend))
    if (overrides or {}).get(CAPTURED_ONLY, "false").lower() != "true":
        problems += _unreadable(raw, {schema for schema, _ in tables}, set(found))
    if problems:
        raise ConfigError(problems)


def _unreadable(raw: Raw, databases: Collection[str], mapped: Collection[str]) -> Iterator[Problem]:
    """Tables beside the mapped ones whose definition Debezium cannot read, as it does of all in their databases."""
    for name, table in load_tables(raw).items():
        if table.schema not in databases or name in mapped:
            continue
        if unread := [c.name for c in as_source(table).columns if native_of(c.native)[0] in UNPARSED]:
            message = (
                f"Debezium cannot read the definition of {name} ({', '.join(unread)}), which is beside mapped tables"
            )
            hint = (
                f"connect.config: {{{CAPTURED_ONLY}: 'true'}}, with which no table can be added to the pipeline later"
            )
            yield Problem(SERVER, message, hint)


CAPTURED_ONLY = "schema.history.internal.store.only.captured.tables.ddl"


def server_problems(facts: ServerFacts) -> Iterator[Problem]:
    """What keeps the server's changes from travelling whole. Pure."""
    engine = "MariaDB" if facts.mariadb else "MySQL"
    if facts.version < OLDEST[engine]:
        oldest = ".".join(map(str, OLDEST[engine]))
        yield Problem(SERVER, f"{engine} {'.'.join(map(str, facts.version))} is too old", f"{oldest} is the oldest")
    for setting, wanted, why in _settings(facts):
        value = facts.settings.get(setting)
        if value is not None and value.upper() not in wanted:
            yield Problem(SERVER, f"{setting} is {value}: {why}", f"{_mend(setting, wanted[0])}")
    missing = [right for right in STREAM_RIGHTS if not facts.rights & {right, _EVERYTHING}]
    if not facts.mariadb:
        missing = ["REPLICATION CLIENT" if right == "BINLOG MONITOR" else right for right in missing]
    if missing:
        rights = ", ".join(missing)
        yield Problem(SERVER, f"the account may not {rights}", f"GRANT {rights} ON *.* TO {facts.account}")
    if facts.compressed:
        message = f"columns of {', '.join(facts.compressed)} are COMPRESSED: Debezium stops at any change of theirs"
        yield Problem(SERVER, message, "ALTER TABLE .. MODIFY them without COMPRESSED, also where they are not mapped")


def _settings(facts: ServerFacts) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """(variable, its good values, what goes wrong with others)."""
    yield "log_bin", ("ON", "1"), "there is no log of changes"
    yield "binlog_format", ("ROW",), "changes would be logged as statements"
    yield "binlog_row_image", ("FULL",), "values that do not change would be missing"
    yield "binlog_row_value_options", ("",), "parts of JSON values would travel, and nobody could put them together"
    if not facts.mariadb:
        yield "gtid_mode", ("ON",), "transactions could not be told apart"


def _mend(setting: str, value: str) -> str:
    if setting == "log_bin":
        return "start the server with log_bin"
    return f"SET GLOBAL {setting} = '{value}', and in its configuration; sessions that are open keep the old value"


def table_problems(table: Table, source_key: tuple[str, ...]) -> Iterator[Problem]:
    """What keeps a table's changes from travelling whole. `source_key` is the configured one, or empty. Pure."""
    path = (*SOURCE, table.full_name)
    unknown = sorted(set(source_key) - {column.name for column in table.columns})
    if unknown:
        yield Problem(path, f"its source_key names columns that are not there: {', '.join(unknown)}")
    elif not (source_key or table.key):
        yield Problem(path, "it has no primary key", "add one, or say source_key: [columns] of a unique index")
    if table.storage and table.storage.upper() != "INNODB":
        message = f"its storage engine is {table.storage}, which has no snapshots"
        yield Problem(path, message, f"ALTER TABLE {table.name} ENGINE = InnoDB")
    unparsed = [c.name for c in table.columns if native_of(c.native)[0] in UNPARSED]
    if unparsed:
        message = f"Debezium cannot read the definition of a table with {', '.join(unparsed)}, and would stop"
        yield Problem(path, message, "change their type to varchar(45) or binary(16), also where they are not mapped")
