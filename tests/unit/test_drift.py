"""What of a source table's changes stops the pipeline, and what it takes as it comes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from connectors.control.shapes import Stored
from connectors.seams import Source
from connectors.shape import ColumnShape, Part, Shape
from connectors.snapshot import Snapshot
from connectors.tables import MappedTable
from daemon.drift import differences
from daemon.stream.guard import ShapeGuard
from mappers.errors import FatalError

ID, V = ColumnShape(1, "integer", "10"), ColumnShape(2, "character varying(10)", "10", {"7": "low"})
PLAIN = Shape("100", "10", "5", "55", "d", ("id",), False, {"id": ID, "v": V}, {"100": Part("public.a", "900")})
PARTED = replace(PLAIN, partitioned=True, parts={"1": Part("a_1", "901"), "2": Part("a_2", "902")})
MOVED = {"100": Part("public.a", "999")}


def column(**changed: Any) -> dict[str, ColumnShape]:
    return {"id": ID, "v": replace(V, **changed)}


STOPS: Mapping[str, tuple[Shape | None, str, bool]] = {
    "dropped": (None, "it was dropped", False),
    "made anew": (replace(PLAIN, identity="101"), "dropped and created again", False),
    "renamed back": (replace(PLAIN, named="11"), "renamed back", False),
    "unpublished": (replace(PLAIN, published=""), "left the publication: ", False),
    "published again": (replace(PLAIN, published="56"), "left the publication and came back", False),
    "another key": (replace(PLAIN, key=("v",)), r"primary key was \(id\) and is \(v\)", False),
    "column dropped": (replace(PLAIN, columns={"id": ID}), "column v was dropped", True),
    "column renamed": (replace(PLAIN, columns={"id": ID, "w": V}), "column v was renamed to w", True),
    "column made anew": (replace(PLAIN, columns=column(number=3)), "not the one that it was", False),
    "retyped": (replace(PLAIN, columns=column(type="text")), "and is text, no row was rewritten", True),
    "retyped and rewritten": (
        replace(PLAIN, columns=column(type="text"), parts=MOVED),
        "its rows were rewritten",
        False,
    ),
    "rewritten": (replace(PLAIN, columns=column(written="11"), parts=MOVED), "ALTER COLUMN .. TYPE .. USING", False),
    "label renamed": (replace(PLAIN, columns=column(labels={"7": "lower"})), "low was renamed to lower", False),
}
GOES_ON = {
    "nothing": PLAIN,
    "another owner": replace(PLAIN, named="11", owner="6"),
    "VACUUM FULL": replace(PLAIN, parts=MOVED),
    "SET DEFAULT": replace(PLAIN, columns=column(written="11")),
    "label added": replace(PLAIN, columns=column(labels={"7": "low", "8": "high"})),
    "column added": replace(PLAIN, columns={**PLAIN.columns, "w": replace(V, number=3)}),
    "identity": replace(PLAIN, rows_identity="f"),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops_is_told(name: str) -> None:
    now, says, kept = STOPS[name]
    (drift,) = differences(PLAIN, now, ("id", "v")).stops
    assert re.search(says, drift.what), drift.what
    assert drift.kept is kept


@pytest.mark.parametrize("name", GOES_ON)
def test_what_does_not_matter_goes_on(name: str) -> None:
    found = differences(PLAIN, GOES_ON[name], ("id", "v"))
    assert (found.stops, found.doubts) == ((), ())
    assert found.added == (("w",) if name == "column added" else ())


def test_columns_that_are_not_read_may_become_anything() -> None:
    for now in (column(number=3), column(type="text"), {"id": ID}, column(labels={"7": "lower"})):
        assert differences(PLAIN, replace(PLAIN, columns=now), ("id",)).stops == ()


def test_a_table_under_another_name_is_named() -> None:
    (drift,) = differences(PLAIN, None, ("id",), "public.b").stops
    assert "renamed to public.b" in drift.what
    assert "public.b" in drift.hint


@pytest.mark.parametrize(
    ("parts", "doubts"),
    [
        ({"3": Part("a_3", "903")}, ()),
        ({"3": Part("a_3", "903", quiet=False)}, ("partition a_3 was attached with rows",)),
        ({"1": None}, ("partition a_1 was dropped or detached",)),
        ({"2": Part("a_2", "999")}, ("partition a_2 was truncated by itself, or rewritten",)),
    ],
)
def test_partitions_that_may_have_taken_rows_with_them(
    parts: Mapping[str, Part | None], doubts: tuple[str, ...]
) -> None:
    now = {number: part for number, part in {**PARTED.parts, **parts}.items() if part is not None}
    found = differences(PARTED, replace(PARTED, parts=now), ("id", "v"))
    assert (found.stops, found.doubts) == ((), doubts)


def test_a_shape_is_stored_and_read_again() -> None:
    odd = replace(PARTED, columns={'q"\\ 🐎': V})
    assert Shape.load(odd.dump()) == odd


# -- the guard ---------------------------------------------------------------------------------------------------------


class Catalogue:
    """The source's catalogue: one table, which a test alters, seen by snapshots that a test chooses."""

    def __init__(self) -> None:
        self.shape: Shape | None = PLAIN
        self.seen = Snapshot(100, 100)
        self.looks = self.examined = 0

    def written(self, identities: Any) -> tuple[Snapshot, dict[str, str]]:
        self.looks += 1
        columns = self.shape.columns if self.shape else {}
        return self.seen, {number: str([(name, c.written) for name, c in columns.items()]) for number in identities}

    def shapes(self, names: Any) -> tuple[Snapshot, dict[str, Shape]]:
        self.examined += 1
        return self.seen, {"public.a": self.shape} if self.shape else {}

    def name_of(self, identity: str) -> str | None:
        return "public.b"


class Mapped:
    """As much of a mapped table as the guard uses."""

    class Entry:
        target = type("Target", (), {"full_name": "app.a"})

    class Table:
        schema, name = "public", "a"

    def __init__(self, *, ignores_new: bool = False, shape: Shape = PLAIN) -> None:
        self.name, self.table, self.columns, self.shape = "public.a", self.Table(), ("id", "v"), shape
        self.entries, self.ignores_new = (self.Entry(),), ignores_new


def guard(catalogue: Catalogue, mapped: Mapped, kept: list[tuple[Stored, list[str]]]) -> ShapeGuard:
    tables = {"public.a": cast("MappedTable", mapped)}

    def keep(name: str, stored: Stored, doubts: Any) -> None:
        kept.append((stored, list(doubts)))

    return ShapeGuard(tables, cast("Source", catalogue), {}, keep)


def test_a_table_is_looked_at_once_for_every_new_transaction_and_examined_when_it_was_altered() -> None:
    catalogue, kept = Catalogue(), cast("list[tuple[Stored, list[str]]]", [])
    watch = guard(catalogue, Mapped(), kept)
    assert watch.unseen({"public.a": [99]}) == ["public.a"]
    assert watch.look(["public.a"]) == Snapshot(100, 100)
    assert watch.unseen({"public.a": [99], "other": []}) == []
    assert watch.unseen({"public.a": [99, 100]}) == ["public.a"]
    catalogue.seen = Snapshot(101, 101)
    watch.look(["public.a"])
    assert watch.unseen({"public.a": [100]}) == []
    assert (catalogue.looks, catalogue.examined, kept) == (2, 1, [])
    catalogue.shape = replace(PLAIN, columns=column(written="11"))
    watch.look(["public.a"])
    assert (catalogue.examined, [stored.shape for stored, _ in kept]) == (2, [catalogue.shape])
    catalogue.shape = replace(PLAIN, columns=column(written="12", type="text"))
    with pytest.raises(FatalError, match=r"public\.a: column v was .* and is text.*--accept-mapping app\.a"):
        watch.look(["public.a"])
    catalogue.shape = None
    with pytest.raises(FatalError, match=r"public\.a: it was renamed to public\.b"):
        watch.examine(["public.a"])


@pytest.mark.parametrize(("ignores", "ignored"), [(True, ("w",)), (False, ())])
def test_new_columns_are_remembered_where_they_are_ignored(ignores: bool, ignored: tuple[str, ...]) -> None:
    catalogue, kept = Catalogue(), cast("list[tuple[Stored, list[str]]]", [])
    watch = guard(catalogue, Mapped(ignores_new=ignores), kept)
    for name in ("w", "x"):
        catalogue.shape = replace(PLAIN, columns={**PLAIN.columns, name: replace(V, number=3, written="11")})
        watch.look(["public.a"])
        assert watch.ignored == {"public.a": (name,) if ignored else ()}
        assert kept[-1][0].ignored == watch.ignored["public.a"]


def test_a_process_that_counts_on_whole_rows_does_not_go_on_without_them() -> None:
    whole = replace(PLAIN, rows_identity="f")
    catalogue = Catalogue()
    catalogue.shape = replace(whole, rows_identity="d")
    with pytest.raises(FatalError, match="its replica identity is not FULL any more"):
        guard(catalogue, Mapped(shape=whole), []).look(["public.a"])


def test_a_table_that_can_be_replaced_is_verified_when_its_storage_is_another() -> None:
    columns = {"id": ColumnShape(1, "int(11)", "int(11) NO")}
    was = Shape("a.t", "a.t", "", "yes", "f", ("id",), False, columns, {"a/t": Part("a/t", "7")}, replaceable=True)
    assert not differences(was, was, ["id"]).doubts
    other = replace(was, parts={"a/t": Part("a/t", "8")})
    assert differences(was, other, ["id"]).doubts == (
        "its storage is another: rewritten, emptied, or dropped and created again",
    )
    assert not differences(was, other, ["id"]).stops
    unseen = replace(was, parts={})
    assert not differences(was, unseen, ["id"]).doubts
    assert Shape.load(other.dump()) == other
    wider = replace(was, columns={"id": ColumnShape(1, "bigint(20)", "bigint(20) NO")}, parts=other.parts)
    (stop,) = differences(was, wider, ["id"]).stops
    assert "was int(11) and is bigint(20), and its rows were rewritten" in stop.what
