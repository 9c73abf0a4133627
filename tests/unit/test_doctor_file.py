"""What `doctor` sees of a SQLite file, and says of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.control.facts import ControlState
from connectors.sqlite.doctor import FileState, file_state
from daemon.config.model import Config
from daemon.doctor.case import TARGET, Case, MappingState
from daemon.doctor.examine import judge
from daemon.doctor.findings import Finding, Level
from mappers.errors import FatalError
from mappers.mapping import Column, Entry, Expression, Table, TargetColumn

TABLES = """
CREATE TABLE people (
    id INTEGER PRIMARY KEY, -- CHECK (in a comment)
    name TEXT COLLATE NOCASE UNIQUE, age INT CHECK (age < 150), city TEXT REFERENCES cities (name)
);
CREATE TABLE cities (name TEXT PRIMARY KEY, note TEXT DEFAULT 'CHECK (x)', n INT);
CREATE INDEX of_city ON people (city, age);
INSERT INTO cities VALUES ('x', '', 1);
"""


def config(path: Path) -> Config:
    document: dict[str, Any] = {
        "pipeline": "p",
        "source": {"kind": "postgresql", "url": "postgresql://u@h/d", "topic_prefix": "p"},
        "target": {"kind": "sqlite", "url": f"sqlite:///{path}"},
        "kafka": {"bootstrap_servers": "h:1"},
        "tables": [{"from": "people"}, {"from": "cities", "to": "main.cities"}],
    }
    return Config.model_validate(document)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "target.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(TABLES)
    return path


def seen(case: Case) -> Mapping[str, list[Finding]]:
    """Check -> what it says."""
    found: dict[str, list[Finding]] = {}
    for finding in judge(case, ["target"]):
        found.setdefault(finding.name, []).append(finding)
    return found


def looked(path: Path) -> tuple[Config, FileState]:
    made = config(path)
    return made, file_state(made.target.url.get_secret_value(), [spec.target_name for spec in made.tables])


def test_the_facts_of_a_file(file: Path) -> None:
    before = file.read_bytes()
    made, state = looked(file)
    assert [spec.target_name for spec in made.tables] == [("main", "people"), ("main", "cities")]
    assert state.tables.keys() == {"main.people", "main.cities"}
    assert (state.checks, state.filled) == ({"main.people"}, {"main.cities"})
    assert ("city", "age") in state.indexed["main.people"]
    assert (state.journal_mode, state.writable, state.directory_writable) == ("delete", True, True)
    assert state.free_bytes > 0
    assert file.read_bytes() == before, "nothing is written"


def test_what_it_says_of_a_file(file: Path) -> None:
    made, state = looked(file)
    source = Table(
        "public", "people", (Column("id", "bigint"), Column("city", "text")), ("id",), bytes_estimate=1 << 60
    )
    columns = tuple(TargetColumn(c, Expression(f's."{c}"', frozenset((c,)), "sqlite")) for c in ("id", "age"))
    entry = Entry(
        0, source, state.tables["main.people"], ("id",), columns, ("id",), None, ("age",), key_is_derived=False
    )
    case = Case(made, found_target=state, found_control=ControlState(None), found_mapping=MappingState((entry,)))
    found = seen(case)
    assert {name for name, (first, *_) in found.items() if first.level is Level.SKIPPED} == {
        "grants", "connections", "locale",
    }  # fmt: skip
    assert found["log"][0].seen == "delete: the first start sets it to WAL"
    assert found["foreign keys"][0].seen.startswith("those of main.people are off")
    (lookup,) = found["lookup index"]
    assert (lookup.level, lookup.mend) == (Level.WARN, "CREATE INDEX people_source ON people (age)")
    assert [(f.about, f.level) for f in found["check constraints"]] == [("main.people", Level.WARN)]
    assert [(f.about, f.mend.split(" --")[0]) for f in found["empty"]] == [("main.cities", "DELETE FROM main.cities")]
    assert found["room"][0].level is Level.WARN
    bad = replace(state, writable=False, directory_writable=False, network="nfs4", library=(3, 30, 0))
    found = seen(replace(case, found_target=bad))
    assert [f.level for name in ("writable", "log", "version") for f in found[name]] == [Level.FAIL] * 4
    assert all(f.mend for name in ("writable", "log", "version") for f in found[name])


@pytest.mark.parametrize("content", [None, b"no database at all, but long enough to be looked at" * 100])
def test_no_file_and_no_database(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FatalError) as caught:
        looked(path)
    assert caught.value.hint
    error = (str(caught.value), caught.value.hint)
    found = seen(Case(config(path), missing={TARGET: "target cannot be reached"}, errors={TARGET: error}))
    assert found["reachable"][0].level is Level.FAIL
    assert found["writable"][0].level is Level.SKIPPED
