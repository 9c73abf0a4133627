"""The sentence and the exit code of an explanation, and what is masked in it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.change import Change
from connectors.chunks import ChunkRow, ChunkState
from connectors.control.dead_letters import Letter
from connectors.sql.preview import Compared
from daemon.explain.explanation import ChunkSide, EntrySide, EventSide, Explanation, SourceSide, document, verdict
from daemon.explain.key_history import Outcome, Seen, Told
from daemon.explain.key_log import Range
from daemon.explain.text import explanation_lines
from daemon.masking import Mask
from mappers.errors import FatalError
from mappers.mapping import Column, Entry, Expression, Table, TargetColumn

SOURCE = Table("public", "users", (Column("id", "integer"), Column("email", "text")), ("id",))
TARGET = Table("app", "accounts", (Column("id", "bigint"), Column("mail", "text")), ("id",))
ENTRY = Entry(
    0,
    SOURCE,
    TARGET,
    ("id",),
    (
        TargetColumn("id", Expression('s."id"', frozenset({"id"}))),
        TargetColumn("mail", Expression('lower(s."email")', frozenset({"email"}))),
    ),
    ("id",),
    None,
)
ROW = {"id": "1", "mail": "ann@example.org"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SAME = Compared(0, ROW, ROW, ())
OTHER = Compared(0, ROW, {"id": "1", "mail": "bob@example.org"}, ("mail",))
CHUNK = ChunkSide(ChunkRow("public.users", 2, None, None, ChunkState.DONE), 4, NOW, NOW)
LETTER = Letter(
    7, "public.users", '["1"]', "t", 0, 3, None, "type", "it is refused", None, NOW, "open", 0, None, None, None
)


def explanation(compared: Compared = SAME, **changed: object) -> Explanation:
    row = {"id": "1", "email": "Ann@Example.org"}
    plain = Explanation(
        "p", "public.users", ("id",), ("1",), SourceSide(row, "1:1:"), [EntrySide(ENTRY, [compared])], CHUNK
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def told(outcome: Outcome, op: str = "u") -> Told:
    return Told(Seen("t", 0, Change(op, (1,), None, frozenset(), 5, (1, 2), 9, 0)), outcome)


@pytest.mark.parametrize(
    ("it", "code", "words"),
    [
        (explanation(), 0, "has what the mapping makes"),
        (explanation(Compared(0, None, None, ())), 0, "leaves the source row out"),
        (explanation(Compared(0, None, None, ()), source=SourceSide(None)), 0, "neither side"),
        (
            explanation(
                Compared(0, None, None, ()),
                source=SourceSide(None),
                events=EventSide([told(Outcome.APPLIED, "d")]),
            ),
            0,
            "was deleted (offset 9)",
        ),
        (explanation(OTHER), 4, "differs in mail, and no event that is to come explains it"),
        (explanation(OTHER), 4, "`changeover resync --table public.users --key 1` makes"),
        (explanation(OTHER, key_columns=("a", "b"), key=("eu", "7")), 4, """--key '["eu","7"]'` makes"""),
        (explanation(Compared(0, ROW, None, ())), 4, "lacks the row"),
        (explanation(Compared(0, None, ROW, ())), 4, "should not have"),
        (explanation(OTHER, chunk=None), 0, "has not started"),
        (
            explanation(OTHER, chunk=replace(CHUNK, row=ChunkRow("t", 2, None, None, ChunkState.READING))),
            0,
            "chunk 2, which will bring it, is reading",
        ),
        (explanation(OTHER, events=EventSide([told(Outcome.NOT_CONSUMED)])), 0, "one event of the key is not applied"),
        (explanation(OTHER, events=EventSide([told(Outcome.HELD)]), paused=True), 0, "the table is paused"),
        (explanation(OTHER, events=EventSide(error="no broker")), 3, "cannot be told: no broker"),
        (explanation(OTHER, events=EventSide(ranges=[Range("t", 0, 0, 5, 0, 9)])), 3, "larger --scan"),
        (explanation(OTHER, delivered=False), 3, "has not delivered"),
        (explanation(OTHER, dead_letters=[LETTER]), 4, "dead letter 7 holds the row back"),
        (explanation(source=None, source_error="no route"), 3, "cannot be told: no route"),
    ],
)
def test_the_verdict(it: Explanation, code: int, words: str) -> None:
    found, sentence = verdict(it)
    assert (found, words in sentence) == (code, True), sentence
    assert words in "\n".join(explanation_lines(document(it, Mask(), 10)))


def test_what_is_masked_is_nowhere() -> None:
    made = document(explanation(OTHER), Mask(["email"]), 10)
    assert "example.org" not in json.dumps(made).lower()
    assert made["targets"][0]["rows"][0]["differing"] == ["mail"], "that they differ is shown, what they are is not"
    assert made["source"]["row"] == {"id": "1", "email": "***"}
    hidden = document(explanation(OTHER), Mask(["id"]), 10)
    assert hidden["key"] == ["***"]
    assert "--key '***'" in hidden["verdict"]


def test_a_masked_column_that_no_table_has_is_refused() -> None:
    Mask(["email", "mail"]).check([ENTRY])
    with pytest.raises(FatalError, match="no mapped table has a column emial"):
        Mask(["emial"]).check([ENTRY])
