"""Random cases, as hypothesis draws them: a few tables, a mapping for each, what is in them, and what happens to them.

A case is complete SQL and configuration, so that it can be printed and run by hand. The oracle's queries come from
`kinds`, and share nothing with the product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.oracle import Question
from tests.support.worlds.kinds import NUMBER, SOURCES, Kind, Made, Stored

NAMES = ("orders", "Order Items", 'a"b', "täble", "select", "UPPER", "x_y", "with space", "it's", "emp%s")
COLUMNS = ("n", "Name", "value", "from", 'quo"ted', "straße", "a b", "c_1", "per%cent", "it's", "Z", "key", "order")
Draw = st.DrawFn
Column = tuple[str, Kind, bool]
"""(name, kind, whether it may be NULL)"""


@dataclass(frozen=True)
class Case:
    """One case. source, target: statements that make the tables; the source's with their first rows.

    tables: the entries of the mapping. transactions: statements, each to be run within a savepoint of its own: one that
    breaks a constraint is rolled back alone. rolled_back: the transactions that end so.
    """

    number: int
    source: Sequence[str]
    target: Sequence[str]
    tables: Sequence[Mapping[str, Any]]
    questions: Sequence[Question]
    transactions: Sequence[Sequence[str]]
    rolled_back: frozenset[int]

    def numbered(self, number: int) -> Case:
        """The same with its number in all names."""

        def named(found: Any) -> Any:
            if isinstance(found, str):
                return found.replace(NUMBER, str(number))
            if isinstance(found, Mapping):
                return {named(name): named(value) for name, value in found.items()}
            return [named(each) for each in found]

        questions = [Question(*map(named, (q.table, q.expected, q.actual))) for q in self.questions]
        return Case(number, *map(named, (self.source, self.target, self.tables)), questions,
                    named(self.transactions), self.rolled_back)  # fmt: skip

    def __str__(self) -> str:
        history = [";\n".join([*each, "ROLLBACK" if n in self.rolled_back else "COMMIT"])
                   for n, each in enumerate(self.transactions)]  # fmt: skip
        parts = ("-- source", *self.source, "-- target", *self.target, f"-- mapping {list(self.tables)}", *history)
        return f"case {self.number}:\n" + ";\n".join(parts)


def quoted(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def gather(source: str, target: str, count: int, seed_: int, *, truncates: bool) -> list[Case]:
    """As many cases from a source of one engine to a target of another; the same for the same seed."""
    found: list[Case] = []

    @settings(max_examples=2 * count + 20, phases=[Phase.generate], database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @seed(seed_)
    @given(st.data())
    def each(data: st.DataObject) -> None:
        drawn = data.draw(cases(source, target, truncates=truncates))
        if len(found) < count:
            found.append(drawn.numbered(len(found)))

    each()
    assert len(found) == count
    return found


@dataclass(frozen=True)
class History:
    """What may happen to one table. pool: its keys; values: per column that is in no key, what it may hold.

    truncates: it may be truncated too, which has no order where the topic has several partitions.
    """

    table: str
    key: Sequence[Column]
    others: Sequence[Column]
    pool: Sequence[Sequence[str]]
    values: Sequence[Sequence[str]]
    truncates: bool

    def first(self, dice: Random) -> list[str]:
        """Statements that write the rows which are there before anything happens."""
        return [self._inserted(dice, key) for key in self.pool if dice.random() < 0.6]

    def change(self, dice: Random) -> str:
        """One statement. It may find no row, or break the key."""
        key = dice.choice(self.pool)
        verb = dice.random()
        if verb < 0.35:
            return self._inserted(dice, key)
        if verb < 0.7:
            return self._updated(dice) + ("" if dice.random() < 0.1 else self._at(key))
        if verb < 0.85:
            return f"DELETE FROM {self.table}{self._at(key)}"
        if verb < 0.98 or not self.truncates:
            return f"UPDATE {self.table} SET {self._assigned(dice.choice(self.pool), ', ')}{self._at(key)}"
        return f"TRUNCATE TABLE {self.table}"

    def _inserted(self, dice: Random, key: Sequence[str]) -> str:
        names = ", ".join(quoted(name) for name, _, _ in (*self.key, *self.others))
        return f"INSERT INTO {self.table} ({names}) VALUES ({', '.join([*key, *map(dice.choice, self.values)])})"

    def _updated(self, dice: Random) -> str:
        """Some columns of a row, at least one."""
        places = dice.sample(range(len(self.others)), dice.randint(1, len(self.others)))
        sets = ", ".join(f"{quoted(self.others[n][0])} = {dice.choice(self.values[n])}" for n in places)
        return f"UPDATE {self.table} SET {sets}"

    def _at(self, key: Sequence[str]) -> str:
        return f" WHERE {self._assigned(key, ' AND ')}"

    def _assigned(self, key: Sequence[str], glue: str) -> str:
        return glue.join(f"{quoted(name)} = {k}" for (name, _, _), k in zip(self.key, key, strict=True))


@st.composite
def cases(draw: Draw, source: str, target: str, *, truncates: bool) -> Case:
    """One case without its number. hypothesis draws the schema, the mapping and the values; dice, their history."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    drafts = [draw(_drafts(name, source, target, truncates=truncates)) for name in names]
    dice = draw(st.randoms(use_true_random=True))
    schema = [f"CREATE SCHEMA c{NUMBER}"] if source == "postgresql" else []
    history = [
        [dice.choice(drafts).history.change(dice) for _ in range(dice.randint(1, 6))]
        for _ in range(dice.randint(0, 20))
    ]
    return Case(
        0,
        [*schema, *(statement for draft in drafts for statement in (*draft.source, *draft.history.first(dice)))],
        [draft.target for draft in drafts],
        [draft.entry for draft in drafts],
        [draft.question for draft in drafts],
        history,
        frozenset(number for number in range(len(history)) if dice.random() < 0.1),
    )


@dataclass(frozen=True)
class _Draft:
    source: Sequence[str]
    target: str
    entry: Mapping[str, Any]
    question: Question
    history: History


@st.composite
def _drafts(draw: Draw, name: str, source: str, target: str, *, truncates: bool) -> _Draft:
    kinds = SOURCES[source]
    names = draw(st.lists(st.sampled_from(COLUMNS), min_size=2, max_size=9, unique=True))
    in_key = draw(st.integers(1, min(2, len(names) - 1)))
    fit = sorted(kind for kind in kinds if target in kinds[kind].in_key)
    key = [(each, kinds[draw(st.sampled_from(fit))], False) for each in names[:in_key]]
    others = [
        (each, kinds[draw(st.sampled_from(sorted(kinds)))], draw(st.integers(0, 3)) > 0) for each in names[in_key:]
    ]
    table = f"c{NUMBER}.{quoted(name)}" if source == "postgresql" else quoted(f"s{NUMBER}_{name}")
    stands = quoted(f"c{NUMBER}_{name}")
    mapped = draw(_mapped(key, others, target))
    made = _create(table, key, others)
    if source == "postgresql" and draw(st.booleans()):
        made.append(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
    where, told = draw(_where([*key, *others], target))
    entry = {"from": table, "to": stands, "key": mapped.keys, "columns": mapped.columns, **where}
    expected = f"SELECT {', '.join(mapped.expected)} FROM {table}{told}"
    question = Question(f"case {NUMBER} {name}", expected, f"SELECT {', '.join(mapped.actual)} FROM {stands}")
    create = f"CREATE TABLE {stands} ({', '.join(mapped.target)}, PRIMARY KEY ({', '.join(map(quoted, mapped.keys))}))"
    keys = st.tuples(*(kind.literals for _, kind, _ in key))
    pool = draw(st.lists(keys, min_size=2, max_size=6, unique=True))
    values = [draw(_values(column)) for column in others]
    return _Draft(made, create, entry, question, History(table, key, others, pool, values, truncates))


@dataclass(frozen=True)
class _Mapped:
    keys: Mapping[str, str]
    columns: Mapping[str, str]
    target: Sequence[str]
    expected: Sequence[str]
    actual: Sequence[str]


@st.composite
def _mapped(draw: Draw, key: Sequence[Column], others: Sequence[Column], target: str) -> _Mapped:
    prefix = draw(st.sampled_from(("", "new ")))
    keys, columns, created, expected, actual = {}, {}, [], [], []

    def add(into: dict[str, str], name: str, column: str, text: str, stored: Stored) -> None:
        into[name] = text.replace("{c}", quoted(column))
        created.append(f"{quoted(name)} {stored.type}")
        expected.append(stored.expected.replace("{c}", quoted(column)))
        actual.append(stored.actual.replace("{c}", quoted(name)))

    for column, kind, _ in key:
        made = kind.in_key[target]
        add(keys, prefix + column, column, made.text, made.stored)
    for column, kind, nullable in others:
        if draw(st.integers(0, 4)):
            stored = draw(st.sampled_from(kind.stored[target]))
            firm = not nullable and draw(st.booleans())
            add(columns, prefix + column, column, "{c}", _firm(stored) if firm else stored)
        if target in kind.made and draw(st.booleans()):
            other: Made = draw(st.sampled_from(kind.made[target]))
            add(columns, f"made of {column}", column, other.text, other.stored)
    return _Mapped(keys, columns, created, expected, actual)


def _firm(stored: Stored) -> Stored:
    return Stored(f"{stored.type} NOT NULL", stored.expected, stored.actual)


@st.composite
def _where(draw: Draw, columns: Sequence[Column], target: str) -> tuple[Mapping[str, str], str]:
    """The entry's `where`, if any, and the oracle's."""
    fit = [(name, kind.where[target]) for name, kind, _ in columns if target in kind.where]
    if not fit or draw(st.booleans()):
        return {}, ""
    name, (text, told) = draw(st.sampled_from(fit))
    return {"where": text.replace("{c}", quoted(name))}, f" WHERE {told.replace('{c}', quoted(name))}"


def _create(table: str, key: Sequence[Column], others: Sequence[Column]) -> list[str]:
    columns = [f"{quoted(n)} {kind.type}{'' if nullable else ' NOT NULL'}" for n, kind, nullable in (*key, *others)]
    return [f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY ({', '.join(quoted(n) for n, _, _ in key)}))"]


def _values(column: Column) -> st.SearchStrategy[list[str]]:
    """What a column may hold: a few literals, NULL among them where it may be."""
    _, kind, nullable = column
    drawn = st.lists(kind.literals, min_size=2, max_size=6)
    return drawn.map(lambda found: [*found, "NULL"]) if nullable else drawn
