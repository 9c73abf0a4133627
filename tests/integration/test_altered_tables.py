"""Source tables that are altered while they are followed: nothing goes on under a wrong idea, and nothing is lost.

One pipeline of many small tables, behind one connector. Each test alters some of them and leaves the pipeline equal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.support.databases import Databases, open_url
from tests.support.oracle import Question
from tests.support.pipeline import Pipeline, Settings
from tests.support.polling import until
from tests.support.processes import Daemon
from tests.support.stack import Stack
from tests.support.warm import Factory

PLAIN = (
    "calm", "strict", "cut", "widened", "made_text", "upper", "swapped", "refilled", "renamed_column", "labelled",
    "dated", "renamed", "anew", "unpublished", "keyed", "emptied", "beside",
)  # fmt: skip
SHAPE = "(id integer PRIMARY KEY, v varchar(10), n integer, w varchar(10))"
FILL = "SELECT i, 'v' || i, i, 'w' || i FROM generate_series(1, 40) i"
SOURCE_SQL = """
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TABLE labelled (id integer PRIMARY KEY, v mood, n integer, w varchar(10));
INSERT INTO labelled SELECT i, 'low', i, 'w' FROM generate_series(1, 40) i;
CREATE TABLE dated (id integer PRIMARY KEY, v date, n integer, w varchar(10));
INSERT INTO dated SELECT i, date '2020-02-01' + i, i, 'w' FROM generate_series(1, 40) i;
CREATE TABLE parted (id integer, zone integer, v text, PRIMARY KEY (id, zone)) PARTITION BY LIST (zone);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES IN (3);
INSERT INTO parted SELECT i, 1 + i % 3, 'v' || i FROM generate_series(1, 60) i;
CREATE TABLE outside (id integer, zone integer, v text, PRIMARY KEY (id, zone));
INSERT INTO outside SELECT i, 4, 'outside' FROM generate_series(101, 120) i;
"""


def entry(table: str, **changed: Any) -> dict[str, Any]:
    return {"from": f"public.{table}", "to": f"app.{table}", "columns": {"id": "id", "v": "cast(v as text)", "n": "n"},
            **changed}  # fmt: skip


def question(table: str, expected: str = "id, v, n", source: str = "") -> Question:
    return Question(table, f"SELECT {expected} FROM {source or table}", f"SELECT id, v, n FROM app.{table}")


class Altered:
    """The pipeline, its tables' entries and questions as they are by now."""

    def __init__(self, databases: Databases, pipeline: Pipeline, entries: Mapping[str, dict[str, Any]]) -> None:
        self.databases = databases
        self.pipeline = pipeline
        self.entries = dict(entries)
        self.questions = {name: question(name) for name in PLAIN}
        self.questions["parted"] = Question(
            "parted", "SELECT id, zone, v FROM parted", "SELECT id, zone, v FROM app.parted"
        )
        self.questions["dated"] = question("dated", "id, v::date::text, n")
        self.questions["strict too"] = Question("too", "SELECT id, n FROM strict", "SELECT id, n FROM app.strict_too")

    def source(self, *statements: str) -> None:
        """Each a transaction, unless it is several statements."""
        _execute(self.databases.source_url, *statements)

    def target(self, *statements: str) -> None:
        """Behind the daemon's back."""
        _execute(self.databases.target_url, *statements)

    def ask(self, query: str) -> Any:
        """One value of the target."""
        with open_url(self.databases.target_url) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None

    def write(self) -> None:
        """The entries as they are by now become the configuration."""
        document = yaml.safe_load(self.pipeline.config.read_text()) | {"tables": list(self.entries.values())}
        self.pipeline.config.write_text(yaml.safe_dump(document, sort_keys=False))

    def equal(self, daemon: Daemon) -> None:
        """Everything is there."""
        self.pipeline.verify(list(self.questions.values()), daemon)

    def ends(self, daemon: Daemon) -> None:
        """In good order."""
        daemon.killed = True
        daemon.terminate()
        assert daemon.wait(40) == 0, daemon.output()

    def stopped(self, daemon: Daemon, says: str) -> str:
        """The daemon ends by itself with one line that says this; returns the line."""
        daemon.killed = True
        code = until(lambda: daemon.exit_code, 40, lambda: f"its end:\n{daemon.output()}")
        line = daemon.output(1000).splitlines()[-1]
        assert code == 1, daemon.output()
        assert re.search(says, line), line
        return line

    def refused(self) -> list[str]:
        """A start is refused; returns its lines, each with the place in the file."""
        done = self.pipeline.call("run")
        assert done.code == 2, done.said
        lines = done.said.splitlines()
        assert all(re.match(r"changeover: .*changeover\.yaml:\d+:\d+: tables\.\d+", line) for line in lines), lines
        return lines


def _execute(url: str, *statements: str) -> None:
    with open_url(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def at(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Altered]:
    databases = Databases(stack, f"al{os.getpid()}")
    with Factory() as factory:
        try:
            _make(databases)
            entries = {name: entry(name) for name in PLAIN}
            entries["calm"] = {"from": "public.calm", "to": "app.calm", "on_new_columns": "ignore"}
            entries["strict"] = entry("strict", on_new_columns="ignore")
            entries["strict too"] = entry("strict", to="app.strict_too", columns={"id": "id", "n": "n"})
            entries["dated"]["columns"]["v"] = "cast(cast(v as date) as text)"
            entries["parted"] = {"from": "public.parted", "to": "app.parted"}
            sections = {"stream": {"batch_rows_max": 20}, "verify": {"repair_after_restart": True}}
            settings = Settings(list(entries.values()), partitions=2, chunk_rows=50, sections=sections)
            pipeline = Pipeline(databases, tmp_path_factory.mktemp("altered"), settings)
            pipeline.program, pipeline.launch = (), factory.launch
            pipeline.command("connector", "apply")
            yield Altered(databases, pipeline, entries)
        finally:
            databases.drop()


def _make(databases: Databases) -> None:
    tables = [name for name in PLAIN if name not in ("labelled", "dated")]
    _execute(
        databases.source_url,
        SOURCE_SQL,
        *(f"CREATE TABLE {name} {SHAPE}; INSERT INTO {name} {FILL}" for name in tables),
    )
    _execute(
        databases.target_url,
        "CREATE SCHEMA app",
        *(f"CREATE TABLE app.{name} (id bigint PRIMARY KEY, v text, n bigint)" for name in [*PLAIN, "strict_too"]),
        "CREATE TABLE app.parted (id integer, zone integer, v text, PRIMARY KEY (id, zone))",
    )


def test_new_columns_are_ignored_where_the_mapping_says_so(at: Altered) -> None:
    """A column that nobody reads may come, be renamed and go; where one of two entries says stop, it stops."""
    at.questions["calm"] = question("calm", "id, v::text, n")
    at.entries["calm"]["overrides"] = {"v": "cast(v as text)"}
    at.write()
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.source(
            "ALTER TABLE calm ADD COLUMN extra text DEFAULT 'x', ADD COLUMN more integer",
            "UPDATE calm SET v = 'extra', extra = 'y' WHERE id < 20",
            "INSERT INTO calm SELECT i, 'new', i, 'w', 'e', 7 FROM generate_series(100, 110) i",
            "ALTER TABLE calm RENAME COLUMN extra TO other",
            "UPDATE calm SET v = 'other' WHERE id < 10",
            "ALTER TABLE calm DROP COLUMN more, DROP COLUMN w",
            "UPDATE calm SET n = -n WHERE id < 5",
            "DELETE FROM calm WHERE id = 3",
        )
        at.equal(daemon)
        at.pipeline.until(daemon, lambda: _status(at, "calm")["ignored_columns"] == ["other"], 30, "the status")
        assert any("ignores new columns: other" in line for line in at.pipeline.command("status").splitlines())
        at.source(
            "UPDATE strict SET v = 'before'",
            "ALTER TABLE strict ADD COLUMN extra text DEFAULT 'x'",
            "UPDATE strict SET v = 'after' WHERE id > 20",
        )
        line = at.stopped(daemon, r"strict\[\d\] offset \d+: .*column extra is new")
        assert "restart" in line
        assert daemon.output(1000).count("column other was added and is ignored") == 1
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.ends(daemon)


def _status(at: Altered, table: str) -> Any:
    return at.pipeline.status().raw["tables"][f"public.{table}"]


def test_a_wider_type_cuts_nothing(at: Altered) -> None:
    """What the altered column holds is longer than the type that the daemon knows."""
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.source(
            "UPDATE cut SET v = 'before' WHERE id % 2 = 0",
            "ALTER TABLE cut ALTER COLUMN v TYPE text",
            "UPDATE cut SET v = 'longer than ten characters' WHERE id % 3 = 0",
        )
        says = r"source table public\.cut: column v was character varying\(10\) and is text, no row was rewritten; "
        line = at.stopped(daemon, says)
        assert "--accept-mapping app.cut if they are as they were" in line
    assert at.ask("SELECT count(*) FROM app.cut WHERE v LIKE 'longer%' AND length(v) = 10") == 0
    (line,) = at.refused()
    assert "public.cut: column v was character varying(10) and is text" in line
    with at.pipeline.run("run", "--accept-mapping", "app.cut") as daemon:
        at.equal(daemon)
        at.ends(daemon)


ALTERED = {
    "widened": ("ALTER TABLE widened ALTER COLUMN n TYPE bigint", r"column n was integer and is bigint, and its rows"),
    "made_text": ("ALTER TABLE made_text ALTER COLUMN n TYPE text USING 'n' || n", r"column n was integer and is text"),
    "upper": ("ALTER TABLE upper ALTER COLUMN v TYPE varchar(10) USING upper(v)", r"column v was altered and its rows"),
    "dated": ("ALTER TABLE dated ALTER COLUMN v TYPE timestamp", r"column v was date and is timestamp"),
    "swapped": (
        "ALTER TABLE swapped RENAME v TO x; ALTER TABLE swapped RENAME w TO v; ALTER TABLE swapped RENAME x TO w",
        r"column v is not the one that it was",
    ),
    "refilled": (
        "ALTER TABLE refilled DROP COLUMN v; ALTER TABLE refilled ADD COLUMN v varchar(10) DEFAULT 'new'",
        r"column v is not the one that it was",
    ),
    "labelled": ("ALTER TYPE mood RENAME VALUE 'low' TO 'lower'", r"column v: the enum label low was renamed to lower"),
    "renamed": (
        "ALTER TABLE renamed RENAME TO elsewhere; UPDATE elsewhere SET v = 'lost' WHERE id < 9;"
        " ALTER TABLE elsewhere RENAME TO renamed",
        r"it was renamed, and renamed back: what was changed in between did not travel",
    ),
    "anew": (
        f"DROP TABLE anew; CREATE TABLE anew {SHAPE}; INSERT INTO anew {FILL.replace('40', '50')}",
        r"it was dropped and created again: .*; run `connector apply`; then",
    ),
    "unpublished": (
        "ALTER PUBLICATION changeover_{0} DROP TABLE unpublished; UPDATE unpublished SET v = 'unseen' WHERE id < 9;"
        " ALTER PUBLICATION changeover_{0} ADD TABLE unpublished",
        r"it left the publication and came back",
    ),
    "keyed": (
        "ALTER TABLE keyed DROP CONSTRAINT keyed_pkey, ADD PRIMARY KEY (id, n)",
        r"its primary key was \(id\) and is \(id, n\)",
    ),
}
"""Table -> what is done to it, and what the start says then."""
KEPT = ("widened", "dated", "renamed_column")
"""Those whose rows are right all the same. Older events would not be, if they were read as the column is now."""


def test_whatever_was_altered_is_told_at_the_start_and_mended(at: Altered) -> None:
    """Events from before and after each ALTER wait in the log, on two partitions, when the daemon starts."""
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.ends(daemon)
    names = [*ALTERED, "renamed_column"]
    publication = at.databases.name
    at.source(*(f"UPDATE {name} SET n = n + 1 WHERE id % 3 = 0" for name in names))
    for statement, _ in ALTERED.values():
        at.source(*statement.format(publication).split("; "))
    at.source("ALTER TABLE renamed_column RENAME COLUMN v TO vv")
    at.source(*(f"UPDATE {name} SET n = NULL WHERE id % 4 = 0" for name in names if name not in ("made_text", "keyed")))
    at.source("UPDATE made_text SET n = 'text' WHERE id % 4 = 0", "DELETE FROM keyed WHERE id % 5 = 0")
    at.source(*(f"DELETE FROM {name} WHERE id IN (12, 13)" for name in names))

    done = at.pipeline.call("run")
    assert done.code == 2, done.said
    assert "public.renamed_column has no column v; did you mean vv?" in done.said
    at.entries["renamed_column"]["columns"] = {"id": "id", "v": "cast(vv as text)", "n": "n"}
    at.entries["made_text"]["columns"] = {"id": "id", "v": "v || coalesce(n, '')"}
    at.entries["keyed"]["key"] = {"id": "id"}
    at.write()
    lines = at.refused()
    for name, (_, says) in ALTERED.items():
        (line,) = (line for line in lines if f"source table public.{name}: " in line)
        assert re.search(rf"public\.{name}: {says}.*--rebackfill app\.{name} .*--accept-mapping app\.{name}", line), (
            line
        )
    (line,) = (line for line in lines if "renamed_column" in line)
    assert "the mapping of public.renamed_column -> app.renamed_column changed" in line
    assert len(lines) == len(ALTERED) + 1, lines

    at.questions["renamed_column"] = question("renamed_column", "id, vv, n")
    at.questions["made_text"] = question("made_text", "id, v || CASE WHEN n IS NULL THEN '' ELSE n END, NULL")
    at.pipeline.command("connector", "apply")
    flags = [(("--accept-mapping" if name in KEPT else "--rebackfill"), f"app.{name}") for name in names]
    with at.pipeline.run("run", *(part for flag in flags for part in flag)) as daemon:
        at.equal(daemon)
        at.source(*(f"UPDATE {name} SET n = NULL WHERE id = 17" for name in names if name != "keyed"))
        at.equal(daemon)
        at.ends(daemon)
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.ends(daemon)


def test_a_table_that_goes_away_while_it_runs_stops_it(at: Altered) -> None:
    """No event says that a table was renamed: whoever waits for its changes must not be told that there are none."""
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.source("ALTER TABLE beside RENAME TO besides", "UPDATE besides SET v = 'unseen'")
        done = at.pipeline.call("wait", "--for", "lag-zero", "--timeout", "30")
        assert (done.code, "public.beside" in done.said) == (2, True), done.said
        at.stopped(
            daemon, r"source table public\.beside: it was renamed to public\.besides: .*; rename it back, or map"
        )
    done = at.pipeline.call("run")
    assert (done.code, "no table public.beside" in done.said) == (2, True), done.said
    at.source("ALTER TABLE besides RENAME TO beside", "UPDATE beside SET v = 'seen' WHERE id = 1")
    (line,) = at.refused()
    assert "public.beside: it was renamed, and renamed back" in line
    with at.pipeline.run("run", "--rebackfill", "app.beside") as daemon:
        at.equal(daemon)
        at.ends(daemon)


def test_partitions_that_come_and_go_with_their_rows_are_verified(at: Altered) -> None:
    """Their rows come and go without an event. Nothing has to stop: what differs is found and mended unasked."""
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.source(
            "CREATE TABLE parted_5 PARTITION OF parted FOR VALUES IN (5)",
            "INSERT INTO parted SELECT i, 5, 'five' FROM generate_series(200, 220) i",
        )
        at.equal(daemon)
        assert at.pipeline.status().raw["suspicion"] is None, "a new and empty partition is nothing to worry about"
        at.source(
            "ALTER TABLE parted ATTACH PARTITION outside FOR VALUES IN (4)",
            "UPDATE parted SET v = 'inside' WHERE id = 105",
            "ALTER TABLE parted DETACH PARTITION parted_2",
            "DROP TABLE parted_1",
            "TRUNCATE parted_3",
            "INSERT INTO parted VALUES (900, 3, 'after')",
        )
        found = at.databases.target_url

        def mended() -> bool:
            assert found
            there = at.ask("SELECT string_agg(DISTINCT zone::text, ',' ORDER BY zone::text) FROM app.parted")
            return bool(there == "3,4,5" and at.pipeline.status().raw["suspicion"] is None)

        at.pipeline.until(daemon, mended, 60, "the rows of the partitions to be verified and mended")
        at.equal(daemon)
        said = daemon.output(1000)
        for what in ("outside was attached with rows", "parted_1 was dropped or", "parted_3 was truncated by itself"):
            assert what in said, said
        at.ends(daemon)


def test_a_truncate_of_several_tables_on_several_partitions_is_mended(at: Altered) -> None:
    """It has no order among the partitions of its topic: the pipeline stops, and the rows are made anew."""
    at.source("ALTER TABLE strict ADD UNIQUE (n)", "ALTER TABLE emptied ADD FOREIGN KEY (n) REFERENCES strict (n)")
    with at.pipeline.run() as daemon:
        at.equal(daemon)
        at.source(
            "UPDATE emptied SET v = 'before'",
            "TRUNCATE strict, calm CASCADE",
            "INSERT INTO strict (id, v, n) SELECT i, 'after', i FROM generate_series(1, 7) i",
            "INSERT INTO emptied SELECT i, 'after', i FROM generate_series(2, 5) i",
            "UPDATE emptied SET v = 'changed' WHERE id = 3",
        )
        at.stopped(daemon, r"table public\.\w+: the table was truncated, .*; run once with --rebackfill app\.\w+")
    flags = [("--rebackfill", f"app.{name}") for name in ("strict", "calm", "emptied")]
    with at.pipeline.run("run", *(part for flag in flags for part in flag)) as daemon:
        at.equal(daemon)
        at.ends(daemon)
