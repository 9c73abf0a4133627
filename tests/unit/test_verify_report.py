"""What a verification says, and what it does not show."""

from __future__ import annotations

from typing import Any, cast

import pytest

from connectors.control.verification import SliceRow
from connectors.postgresql.dialect import POSTGRESQL
from connectors.sql.sides import Shape
from daemon.verify.mask import Mask
from daemon.verify.report import Report, lines, report_of
from daemon.verify.suspects import Difference, Kind, Suspect
from daemon.verify.sweep import Job, Tally
from mappers.expressions import column_expression
from mappers.mapping import Column, Entry, Table, TargetColumn

SOURCE = Table("public", "users", (Column("id", "integer"), Column("mail", "text")), ("id",))
TARGET = Table("app", "people", (Column("id", "bigint"), Column("email", "text")), ("id",))
COLUMNS = (TargetColumn("id", column_expression("id")), TargetColumn("email", column_expression("mail")))
ENTRY = Entry(0, SOURCE, TARGET, ("id",), COLUMNS, ("id",), None, ("id",))
SUSPECT = Suspect(("7",), ("7",))


def report(*differences: Difference, earlier: int = 0) -> Report:
    shape: Any = Shape(cast("Any", None), ENTRY, POSTGRESQL, True, True, 0, 256)
    tally = Tally(
        Job(shape, (SliceRow(0, None, None, done=bool(earlier), differences=earlier),)), rows=1200, unsettled=1
    )
    for difference in differences:
        tally.kinds[difference.kind] += 1
        tally.shown.append(difference)
    return Report("p", 4, None, 1.26, [tally])


def test_equal() -> None:
    plain = report_of(report(), Mask(()))
    assert (plain["version"], plain["equal"], plain["differences"], plain["rows"]) == (1, True, 0, 1200)
    assert lines(plain)[-1] == "verification: equal, 1,200 rows in 1.3 s; 1 rows changed too often to be compared"


def test_a_difference_names_key_columns_and_both_values() -> None:
    plain = report_of(report(Difference(SUSPECT, ("7", "a@b"), ("7", None))), Mask(()))
    assert plain["findings"] == [
        {
            "source": "public.users",
            "target": "app.people",
            "kind": "different",
            "source_key": ["7"],
            "target_key": ["7"],
            "columns": [{"name": "email", "expected": "a@b", "actual": None}],
        }
    ]
    assert lines(plain)[2:] == [
        'different: app.people ["7"] of public.users ["7"]',
        '    email: "a@b" expected, NULL found',
        "verification: NOT EQUAL, 1 differences, 1,200 rows in 1.3 s; 1 rows changed too often to be compared",
    ]


@pytest.mark.parametrize("mask", ["all", ["email"], ["app.people.email"]])
def test_masked_values_are_not_shown(mask: Any) -> None:
    plain = report_of(report(Difference(SUSPECT, ("7", "a@b"), ("7", "c@d"))), Mask(mask))
    assert plain["findings"][0]["columns"] == [{"name": "email", "expected": "***", "actual": "***"}]
    assert plain["findings"][0]["source_key"] == (["***"] if mask == "all" else ["7"])


def test_a_masked_key_is_not_shown_on_either_side() -> None:
    plain = report_of(report(Difference(SUSPECT, ("7", "a"), None)), Mask(["id"]))
    assert plain["findings"][0]["source_key"] == plain["findings"][0]["target_key"] == ["***"]
    assert plain["findings"][0]["kind"] == Kind.MISSING


def test_long_values_are_cut() -> None:
    plain = report_of(report(Difference(SUSPECT, ("7", "x" * 5000), ("7", ""))), Mask(()))
    assert plain["findings"][0]["columns"][0]["expected"] == "x" * 200 + "…(5000 characters)"


def test_what_was_found_before_an_interruption_counts() -> None:
    plain = report_of(report(earlier=2), Mask(()))
    assert (plain["equal"], plain["differences"]) == (False, 2)
    assert "and 2 more" in lines(plain)
