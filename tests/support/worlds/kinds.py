"""The kinds of values that random worlds are made of: how the source declares and writes them, how they are stored.

Each kind says in SQL of its own, per target engine, what must stand there (`expected`, asked of the source) and what
does (`actual`, asked of the target). Nothing here comes from the product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

Literals = st.SearchStrategy[str]
NUMBER = "\ue000"
"""Stands for the number of a case until it has one; in no value."""


@dataclass(frozen=True)
class Stored:
    """A column at a target: its type, and the two queries of a value, with {c} for the column."""

    type: str
    expected: str = "{c}"
    actual: str = "{c}"


@dataclass(frozen=True)
class Made:
    """An expression of a mapping: its text in the target's SQL, what it makes, and the source's own word for that."""

    text: str
    stored: Stored


@dataclass(frozen=True)
class Kind:
    """A type of the source. literals: values as SQL. stored: target engine -> columns that may take it as it is.

    made: target engine -> expressions over a column of this kind. where: target engine -> (condition, the source's
    own word for it). in_key: target engine -> how it stands in a key; without it, it does not.
    """

    type: str
    literals: Literals
    stored: Mapping[str, tuple[Stored, ...]]
    made: Mapping[str, tuple[Made, ...]] = field(default_factory=dict)
    where: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    in_key: Mapping[str, Made] = field(default_factory=dict)


def quoted(text: str) -> str:
    """A text as a literal that both PostgreSQL and MariaDB (without escapes) read."""
    return "'" + text.replace("'", "''") + "'"


def _whole(bits: int) -> Literals:
    most = 2 ** (bits - 1)
    return st.one_of(st.integers(-9, 9), st.integers(-most, most - 1), st.sampled_from((-most, most - 1))).map(str)


_ALPHABET = st.characters(codec="utf-8", exclude_characters="\0" + NUMBER, exclude_categories=("Cs",))
_TEXTS = st.one_of(
    st.sampled_from(
        ("", " ", "a", "A", "a ", "NULL", "\\N", "\\", "'", '"', "\t\r\n", "é", "e\u0301", "🐘", "{}", "0")
    ),
    st.text(_ALPHABET, max_size=12),
)
_YEARS = st.integers(1000, 9999)
_CLOCK = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999_999)).map(
    lambda t: f"{t[0]:02}:{t[1]:02}:{t[2]:02}.{t[3]:06}"
)
_DAYS = st.tuples(_YEARS, st.integers(1, 12), st.integers(1, 28)).map(lambda t: f"{t[0]:04}-{t[1]:02}-{t[2]:02}")
_FLOATS = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda n: n / 8),
    st.floats(-1e14, 1e14, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-300),
).map(lambda x: repr(x + 0.0 if x else 0.0))
_DECIMALS = st.integers(-(10**9), 10**9).map(lambda n: f"{'-' if n < 0 else ''}{abs(n) // 1000}.{abs(n) % 1000:03}")
_UUIDS = st.uuids(version=4).map(lambda u: quoted(str(u)))
"""MariaDB's uuid refuses the versions 8 to 15."""
_HEX = st.binary(max_size=20).map(bytes.hex)
_TIMES = "YYYY-MM-DD HH24:MI:SS.US"


def _stored(postgresql: Sequence[str], mariadb: str | Stored, sqlite: str | Stored) -> dict[str, tuple[Stored, ...]]:
    """The columns of each target; of PostgreSQL by their types alone, compared by their text."""
    other = (each if isinstance(each, Stored) else Stored(each) for each in (mariadb, sqlite))
    same = tuple(Stored(each, "{c}::text", "{c}::text") for each in postgresql)
    return {"postgresql": same, **{k: (each,) for k, each in zip(("mariadb", "sqlite"), other, strict=True)}}


def _everywhere(condition: str, **other: str) -> dict[str, tuple[str, str]]:
    return {engine: (other.get(engine, condition), condition) for engine in ("postgresql", "mariadb", "sqlite")}


_NEITHER = "CASE WHEN {c} IS NULL THEN 'none' ELSE {c} END"
_COALESCED = {
    "postgresql": (Made("coalesce({c}, 'none')", Stored("text NOT NULL", _NEITHER)),
                   Made("'x-' || {c}", Stored("text", "concat('x-', {c}) || left({c}, 0)"))),
    "mariadb": (Made("coalesce({c}, 'none')", Stored("longtext NOT NULL", _NEITHER)),),
    "sqlite": (Made("coalesce({c}, 'none')", Stored("TEXT NOT NULL", _NEITHER)),
               Made("'x-' || {c}", Stored("TEXT", "concat('x-', {c}) || left({c}, 0)"))),
}  # fmt: skip
_REMAINDER = {
    "postgresql": (Made("{c}::bigint % 1000 * 2", Stored("bigint", "mod({c}, 1000) * 2")),),
    "mariadb": (Made("{c} % 1000", Stored("bigint", "mod({c}, 1000)")),),
    "sqlite": (Made("{c} % 1000", Stored("INTEGER", "mod({c}, 1000)")),),
}
_LENGTHY = _everywhere("length({c}) > 1", mariadb="char_length({c}) > 1")


def _key(postgresql: str, mariadb: str, sqlite: str, *, cast: str = "{c}") -> dict[str, Made]:
    """How a column stands in a key: the target's type; cast: the expression that MariaDB needs."""
    text = {"postgresql": "{c}", "mariadb": cast, "sqlite": "{c}"}
    types = {"postgresql": postgresql, "mariadb": mariadb, "sqlite": sqlite}
    return {engine: Made(text[engine], Stored(types[engine])) for engine in types}


_TEXT_KEY = _key("text", "varchar(190) COLLATE utf8mb4_nopad_bin", "TEXT", cast="cast({c} as char(190))")

POSTGRESQL: Mapping[str, Kind] = {
    "small": Kind("smallint", _whole(16), _stored(("smallint", "integer", "bigint"), "smallint", "INTEGER"),
                  _REMAINDER, _everywhere("{c} > 0"), _key("integer", "bigint", "INTEGER")),
    "whole": Kind("integer", _whole(32), _stored(("integer", "bigint", "numeric"), "bigint", "INTEGER"),
                  _REMAINDER, _everywhere("{c} > 0"), _key("bigint", "int", "INTEGER")),
    "large": Kind("bigint", _whole(64), _stored(("bigint", "numeric"), "bigint", "INTEGER"),
                  _REMAINDER, _everywhere("{c} > 0"), _key("bigint", "bigint", "INTEGER")),
    "amount": Kind("numeric(14,3)", _DECIMALS, _stored(("numeric(14,3)", "numeric"), "decimal(14,3)", "TEXT"),
                   where=_everywhere("{c} >= 0") | {"sqlite": ("{c} is not null", "{c} IS NOT NULL")}),
    "number": Kind("numeric", st.one_of(_DECIMALS, st.just("'NaN'")),
                   _stored(("numeric",), *(Stored(each, "CASE WHEN {c} <> 'NaN' THEN trim_scale({c}) ELSE {c} END")
                                           for each in ("longtext", "TEXT")))),
    "ratio": Kind("double precision", _FLOATS, _stored(("double precision",), "double", "REAL"),
                  where=_everywhere("{c} < 1")),
    "flag": Kind("boolean", st.sampled_from(("true", "false")),
                 _stored(("boolean",), Stored("tinyint(1)", "{c}::int"), Stored("INTEGER", "{c}::int")),
                 where=_everywhere("{c}")),
    "text": Kind("text", _TEXTS.map(quoted), _stored(("text",), "longtext", "TEXT"), _COALESCED, _LENGTHY, _TEXT_KEY),
    "word": Kind("varchar(40)", _TEXTS.map(quoted),
                 _stored(("varchar(40)", "varchar(50)", "text"), "varchar(40)", "TEXT"), _COALESCED, _LENGTHY,
                 _TEXT_KEY),
    "long": Kind("text", st.integers(0, 10**6).map(
                    lambda n: f"(SELECT string_agg(md5({n}::text || i), '') FROM generate_series(1, {n % 600 + 1}) i)"),
                 _stored(("text",), "longtext", "TEXT"), _COALESCED, _LENGTHY),
    "raw": Kind("bytea", _HEX.map(lambda h: f"'\\x{h}'::bytea"), _stored(("bytea",), "longblob", "BLOB")),
    "id": Kind("uuid", _UUIDS, _stored(("uuid",), "uuid", "TEXT"), in_key=_key("uuid", "uuid", "TEXT")),
    "day": Kind("date", _DAYS.map(quoted), _stored(("date",), "date", "TEXT"), in_key=_key("date", "date", "TEXT")),
    "clock": Kind("time", _CLOCK.map(quoted), _stored(
        ("time",), *(Stored(each, "to_char({c}, 'HH24:MI:SS.US')") for each in ("time(6)", "TEXT")))),
    "at": Kind("timestamp", st.tuples(_DAYS, _CLOCK).map(lambda t: quoted(" ".join(t))), _stored(
        ("timestamp",), *(Stored(each, "to_char({c}, '" + _TIMES + "')") for each in ("datetime(6)", "TEXT")))),
    "moment": Kind("timestamptz", st.tuples(_DAYS, _CLOCK, st.sampled_from(("Z", "+05:30", "-08"))).map(
                       lambda t: quoted(f"{t[0]} {t[1]}{t[2]}")),
                   _stored(("timestamptz",), Stored("datetime(6)", "to_char({c} AT TIME ZONE 'UTC', '" + _TIMES + "')"),
                           Stored("TEXT", "to_char({c} AT TIME ZONE 'UTC', '" + _TIMES + '"Z"' + "')"))),
    "document": Kind("jsonb", st.sampled_from((
                        "null", "5", '"x"', "[]", '{"b": 1, "a": [null, 2.50, 12345678901234567890]}',
                        '{"k": "é🐘\\n"}')).map(quoted), _stored(("jsonb",), "json", "TEXT")),
    "words": Kind("text[]", st.sampled_from(("{}", '{a,NULL,"NULL"}', '{"",","}', '{"x\\"y","\\\\"}')).map(quoted),
                  _stored(("text[]",), *(Stored(each, "translate(to_json({c})::text, ' ', '')")
                                         for each in ("json", "TEXT")))),
}  # fmt: skip
"""What PostgreSQL declares. Ranges are those that every target takes: the table of types has the others."""


SOURCES: Mapping[str, Mapping[str, Kind]] = {"postgresql": POSTGRESQL}
"""Source engine -> its kinds by a short name."""
