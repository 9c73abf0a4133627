"""What happens to schemas in real moves, with what became of each table and column: the truth that proposals are scored
against. Its words are its own: nothing of the product's lexicon is used here."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mappers.mapping import Column, ForeignKey, Table, UniqueConstraint
from mappers.propose.records import Proposal

TableName = Callable[[Table], tuple[str, str]]
ColumnName = Callable[[Table, Column], str]


@dataclass(frozen=True)
class Moved:
    """A schema after changes. tables: target -> source table. columns: (target table, column) -> source column."""

    result: tuple[Table, ...]
    tables: dict[str, str]
    columns: dict[tuple[str, str], str]
    doubtful: frozenset[tuple[str, str]] = field(default=frozenset())
    """Target columns whose value would need a decision: an offer is right, a live line is not needed."""
    origin: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Score:
    """Counts of live lines: right, wrong, and missing."""

    right: int
    wrong: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def recall(self) -> float:
        """Share of the truth that was proposed."""
        return self.right / max(1, self.right + len(self.missing))

    def plus(self, other: Score) -> Score:
        """Both together."""
        return Score(self.right + other.right, self.wrong + other.wrong, self.missing + other.missing)


def start(tables: Sequence[Table]) -> Moved:
    """Nothing changed yet."""
    return Moved(
        tuple(tables),
        {table.full_name: table.full_name for table in tables},
        {(table.full_name, column.name): column.name for table in tables for column in table.columns},
        origin=tuple(tables),
    )


def score(proposal: Proposal, truth: Moved) -> tuple[Score, Score]:
    """(tables, columns): the live lines against the truth."""
    said = {match.target.full_name: match.source.full_name for match in proposal.matches if match.live}
    tables = _score(said, truth.tables, lambda name: name)
    lines = {
        (match.target.full_name, column.target): column.source
        for match in proposal.matches
        if match.live
        for column in match.columns
        if column.live
    }
    wanted = {place: source for place, source in truth.columns.items() if place not in truth.doubtful}
    right = {**truth.columns}
    wrong_table = {name for name, source in said.items() if truth.tables.get(name) != source}
    counted = {place: source for place, source in lines.items() if place[0] not in wrong_table}
    found = sum(right.get(place) == source for place, source in counted.items())
    wrong = tuple(f"{place} <- {source}, not {right.get(place)}" for place, source in counted.items()
                  if right.get(place) != source)  # fmt: skip
    missing = tuple(f"{place} <- {source}" for place, source in wanted.items() if counted.get(place) != source)
    return tables, Score(found, wrong, missing)


def _score(said: dict[str, str], truth: dict[str, str], name: Callable[[str], str]) -> Score:
    right = sum(truth.get(target) == source for target, source in said.items())
    wrong = tuple(f"{t} <- {s}, not {truth.get(t)}" for t, s in said.items() if truth.get(t) != s)
    return Score(right, wrong, tuple(f"{t} <- {s}" for t, s in truth.items() if said.get(t) != s))


def words(name: str) -> list[str]:
    """The words of a name in any style."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", name))
    return [word.lower() for word in re.split(r"[\s_\-.]+", spaced) if word]


STYLES: dict[str, Callable[[list[str]], str]] = {
    "snake": "_".join,
    "camel": lambda parts: parts[0] + "".join(part.capitalize() for part in parts[1:]),
    "pascal": lambda parts: "".join(part.capitalize() for part in parts),
    "screaming": lambda parts: "_".join(parts).upper(),
    "kebab": "-".join,
    "flat": "".join,
    "title": lambda parts: " ".join(part.capitalize() for part in parts),
}


def plural(word: str) -> str:
    """The plural, roughly as people write it."""
    odd = {"person": "people", "child": "children", "status": "statuses", "address": "addresses", "city": "cities",
           "country": "countries", "staff": "staff", "history": "histories", "index": "indices",
           "series": "series", "data": "data", "meta": "meta", "inventory": "inventories"}  # fmt: skip
    if word in odd:
        return odd[word]
    if word.endswith("s") and not word.endswith("ss"):
        return word
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("ss", "x", "ch", "sh")) else "s")


def renamed(moved: Moved, table_name: TableName, column_name: ColumnName) -> Moved:
    """Every table and column by its new name; a table in which two columns would be one keeps its columns' names."""
    names = {table.full_name: table_name(table) for table in moved.result}
    if len(set(names.values())) < len(names):
        names = {table.full_name: (table.schema, table.name) for table in moved.result}
    columns: dict[str, dict[str, str]] = {}
    for table in moved.result:
        new = {column.name: column_name(table, column) for column in table.columns}
        columns[table.full_name] = new if len(set(new.values())) == len(new) else {name: name for name in new}
    result = tuple(_renamed(table, names, columns) for table in moved.result)
    full = {old: ".".join(new) for old, new in names.items()}
    return Moved(
        result,
        {full[name]: source for name, source in moved.tables.items()},
        {(full[table], columns[table][column]): source for (table, column), source in moved.columns.items()},
        frozenset((full[table], columns[table][column]) for table, column in moved.doubtful),
        moved.origin,
    )


def _renamed(table: Table, names: dict[str, tuple[str, str]], columns: dict[str, dict[str, str]]) -> Table:
    own = columns[table.full_name]
    schema, name = names[table.full_name]

    def listed(found: Sequence[str]) -> tuple[str, ...]:
        return tuple(own[column] for column in found)

    return replace(
        table,
        schema=schema,
        name=name,
        columns=tuple(replace(column, name=own[column.name]) for column in table.columns),
        key=listed(table.key),
        uniques=tuple(UniqueConstraint(u.name, listed(u.columns), u.partial) for u in table.uniques),
        references=tuple(
            ForeignKey(
                listed(key.columns),
                *names[key.full_name],
                tuple(columns[key.full_name][column] for column in key.referenced),
            )
            for key in table.references
            if key.full_name in names
        ),
    )


def restyled(moved: Moved, tables: str, columns: str, number: str = "", prefix: str = "", schema: str = "") -> Moved:
    """The same names in another style. number: plural or singular. prefix: of all tables. schema: all move there."""

    def table_name(table: Table) -> tuple[str, str]:
        parts = words(table.name)
        if number:
            parts[-1] = plural(parts[-1]) if number == "plural" else singular(parts[-1])
        return schema or table.schema, prefix + STYLES[tables](parts)

    return renamed(moved, table_name, lambda _, column: STYLES[columns](words(column.name)))


def singular(word: str) -> str:
    """The other way."""
    for one in ("person", "child", "status", "address", "city", "country", "history", "inventory", "index"):
        if plural(one) == word:
            return one
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def only(moved: Moved, keep: Callable[[Table, Column], bool]) -> Moved:
    """Without the columns that are not kept; key columns and foreign keys stay."""
    result = []
    for table in moved.result:
        fixed = {*table.key, *(name for key in table.references for name in key.columns)}
        columns = tuple(c for c in table.columns if c.name in fixed or keep(table, c))
        left = {column.name for column in columns}
        uniques = tuple(unique for unique in table.uniques if set(unique.columns) <= left)
        result.append(replace(table, columns=columns, uniques=uniques))
    there = {(table.full_name, column.name) for table in result for column in table.columns}
    return replace(moved, result=tuple(result), columns={p: s for p, s in moved.columns.items() if p in there})


def without_tables(moved: Moved, drop: frozenset[str]) -> Moved:
    """Without some tables, and without the foreign keys to them."""
    result = tuple(
        replace(table, references=tuple(key for key in table.references if key.full_name not in drop))
        for table in moved.result
        if table.full_name not in drop
    )
    return replace(
        moved,
        result=result,
        tables={t: s for t, s in moved.tables.items() if t not in drop},
        columns={place: s for place, s in moved.columns.items() if place[0] not in drop},
    )


def with_tables(moved: Moved, more: Sequence[Table]) -> Moved:
    """With tables that nothing became."""
    taken = {table.full_name for table in moved.result}
    new = [table for table in more if table.full_name not in taken]
    names = {table.full_name for table in new}
    alone = [replace(t, references=tuple(key for key in t.references if key.full_name in names)) for t in new]
    return replace(moved, result=(*moved.result, *alone))


def with_columns(moved: Moved, pool: Sequence[Column], chance: float, rng: random.Random) -> Moved:
    """With columns that nothing became, where the source has none of that name or meaning."""
    result = []
    origin = {table.full_name: table for table in moved.origin}
    for table in moved.result:
        before = origin.get(moved.tables.get(table.full_name, ""), table)
        had = {"".join(words(column.name)) for column in (*table.columns, *before.columns)}
        more = tuple(c for c in pool if rng.random() < chance and "".join(words(c.name)) not in had)
        result.append(replace(table, columns=table.columns + more))
    return replace(moved, result=tuple(result))


WIDER = {"integer": "bigint", "smallint": "integer", "real": "double precision"}
NARROWER = {"bigint": "integer", "text": "character varying(100)", "timestamp without time zone":
            "timestamp with time zone", "double precision": "real", "smallint": "boolean"}  # fmt: skip


def retyped(moved: Moved, types: dict[str, str], chance: float, rng: random.Random, *, doubtful: bool) -> Moved:
    """Some columns with other types; any varchar may become text."""
    result, unsure = [], set(moved.doubtful)
    for table in moved.result:
        columns = []
        for column in table.columns:
            to = types.get(column.type)
            if not doubtful and column.type.startswith("character varying"):
                to = "text"
            if to and column.name not in table.key and rng.random() < chance:
                column = replace(column, type=to)
                if doubtful:
                    unsure.add((table.full_name, column.name))
            columns.append(column)
        result.append(replace(table, columns=tuple(columns)))
    return replace(moved, result=tuple(result), doubtful=frozenset(unsure))


def shuffled(moved: Moved, rng: random.Random) -> Moved:
    """Columns in another order."""
    return replace(
        moved,
        result=tuple(replace(t, columns=tuple(rng.sample(t.columns, len(t.columns)))) for t in moved.result),
    )


def without_references(tables: Sequence[Table]) -> list[Table]:
    """A schema that declares no foreign keys."""
    return [replace(table, references=()) for table in tables]


SHORT = {"quantity": "qty", "amount": "amt", "address": "addr", "number": "no", "description": "desc", "user": "usr",
         "password": "pwd", "message": "msg", "image": "img", "organization": "org", "department": "dept",
         "account": "acct", "customer": "cust", "product": "prod", "category": "cat", "reference": "ref",
         "language": "lang", "latitude": "lat", "longitude": "lng", "transaction": "txn", "position": "pos",
         "maximum": "max", "minimum": "min", "value": "val", "sequence": "seq", "source": "src", "status": "sts",
         "invoice": "inv", "employee": "emp", "manager": "mgr", "reference_no": "ref_no", "currency": "ccy",
         "comment": "cmt", "group": "grp", "attribute": "attr", "document": "doc"}  # fmt: skip


def shortened(moved: Moved, chance: float, rng: random.Random, *, back: bool = False) -> Moved:
    """Some words abbreviated (or spelled out), each in one way throughout the schema."""
    pairs = {long: short for long, short in SHORT.items() if rng.random() < chance}
    table = {short: long for long, short in pairs.items()} if back else pairs

    def again(name: str) -> str:
        parts = words(name)
        changed = [table.get(part, part) for part in parts]
        return "_".join(changed) if changed != parts else name

    return renamed(moved, lambda t: (t.schema, again(t.name)), lambda _, column: again(column.name))


SAME = [
    ("created_at", "created_on", "created", "creation_date", "date_created", "create_time", "inserted_at"),
    ("updated_at", "updated_on", "modified_at", "last_modified", "last_updated", "date_modified", "modified"),
    ("deleted_at", "deleted_on"),
    ("phone", "phone_number", "telephone", "tel"),
    ("zip", "zip_code", "postal_code", "postcode"),
    ("first_name", "given_name", "firstname"),
    ("last_name", "surname", "family_name", "lastname"),
    ("date_of_birth", "birth_date", "dob", "birthdate"),
    ("email", "email_address", "e_mail"),
    ("ip_address", "ip", "ip_addr"),
    ("is_active", "active"),
    ("is_admin", "admin"),
    ("is_approved", "approved"),
    ("encrypted_password", "password_hash", "password_digest", "hashed_password"),
    ("view_count", "views_count", "num_views", "number_of_views"),
    ("comment_count", "comments_count", "num_comments"),
    ("published_at", "published_on", "publish_date"),
    ("shipped_at", "ship_date", "shipped_on"),
    ("expires_at", "expiry_date", "expire_date", "expiration_date"),
    ("order_date", "ordered_at", "ordered_on"),
    ("middle_name", "middlename"),
    ("time_zone", "timezone", "tz"),
]
"""Names that everybody takes for the same."""


def reworded(moved: Moved, chance: float, rng: random.Random) -> Moved:
    """Some columns by another usual name."""
    others = {name: [other for other in group if other != name] for group in SAME for name in group}

    def again(table: Table, column: Column) -> str:
        plain = "_".join(words(column.name))
        if plain not in others or rng.random() >= chance:
            return column.name
        new = rng.choice(others[plain])
        group = next(group for group in SAME if plain in group)
        crowd = sum("_".join(words(c.name)) in group for c in table.columns)
        return column.name if crowd > 1 else new

    return renamed(moved, lambda t: (t.schema, t.name), again)


def ids_named(moved: Moved) -> Moved:
    """users.id becomes users.user_id, and the other way round."""

    def again(table: Table, column: Column) -> str:
        if table.key != (column.name,):
            return column.name
        parts = words(table.name)
        long = "_".join([*parts[:-1], singular(parts[-1]), "id"])
        if column.name == "id":
            return long
        return "id" if "_".join(words(column.name)) == long else column.name

    return renamed(moved, lambda t: (t.schema, t.name), again)


def retitled(moved: Moved, titles: dict[str, str]) -> Moved:
    """Tables by quite another name (by full name), and the foreign keys to them after it."""

    def again(table: Table, column: Column) -> str:
        for key in table.references:
            if key.columns == (column.name,) and key.full_name in titles:
                old = [singular(word) for word in words(key.table)]
                mine = words(column.name)
                tail = mine[-len(old) - 1 : -1] if mine[-1] == "id" else mine[-len(old) :]
                if [singular(word) for word in tail] == old:
                    head = mine[: len(mine) - len(old) - (mine[-1] == "id")]
                    new = [singular(word) for word in words(titles[key.full_name])]
                    return "_".join([*head, *new, *(["id"] if mine[-1] == "id" else [])])
        return column.name

    return renamed(moved, lambda t: (t.schema, titles.get(t.full_name, t.name)), again)


OPPOSITE = [("created", "updated"), ("start", "end"), ("starts", "ends"), ("min", "max"), ("home", "work"),
            ("first", "last"), ("from", "to"), ("parent", "child"), ("billing", "shipping"), ("source", "target"),
            ("old", "new"), ("sender", "recipient"), ("latitude", "longitude"), ("height", "width"),
            ("mother", "father"), ("systolic", "diastolic"), ("low", "high"), ("current", "previous"),
            ("shipped", "delivered"), ("invoiced", "refunded"), ("sent", "received"), ("opened", "closed"),
            ("scheduled", "actual"), ("generic", "brand"), ("inbox", "outbox"), ("followers", "following"),
            ("avatar", "header"), ("inviter", "invitee"), ("tax", "discount"), ("unit", "total"), ("login", "logout"),
            ("confirmed", "rejected"), ("accepted", "declined"), ("muted", "blocked"), ("silenced", "suspended"),
            ]  # fmt: skip


def turned_over(moved: Moved, chance: float, rng: random.Random) -> Moved:
    """Some columns give way to their opposite, which is another thing: nothing of the source belongs there."""
    opposite = {**dict(OPPOSITE), **{b: a for a, b in OPPOSITE}}

    def other(name: str) -> str:
        return "_".join(opposite.get(word, word) for word in words(name))

    return _replaced(moved, lambda column: other(column.name), chance, rng)


STRANGERS = ["theme", "notes", "loyalty_tier", "risk_score", "utm_campaign", "device", "shard", "locale_hint", "etag",
             "checksum_v2", "external_ref", "segment", "score", "rank_hint", "remarks_internal", "origin_system",
             "batch", "revision", "trace", "channel_hint", "sla", "tier", "region_hint", "flavour"]  # fmt: skip


def replaced(moved: Moved, chance: float, rng: random.Random) -> Moved:
    """Some columns give way to a stranger of the same type in the same place."""
    return _replaced(moved, lambda column: rng.choice(STRANGERS), chance, rng)


def _replaced(moved: Moved, name: Callable[[Column], str], chance: float, rng: random.Random) -> Moved:
    result, columns = [], dict(moved.columns)
    origin = {table.full_name: {"_".join(words(c.name)) for c in table.columns} for table in moved.origin}
    for table in moved.result:
        before = origin.get(moved.tables.get(table.full_name, ""), set())
        fixed = {*table.key, *(name for key in table.references for name in key.columns)}
        fixed |= {name for unique in table.uniques for name in unique.columns}
        made, taken = [], {"_".join(words(column.name)) for column in table.columns} | before
        for column in table.columns:
            new = name(column)
            if column.name in fixed or new in taken or rng.random() >= chance:
                made.append(column)
                continue
            taken.add(new)
            made.append(replace(column, name=new))
            columns.pop((table.full_name, column.name), None)
        result.append(replace(table, columns=tuple(made)))
    return replace(moved, result=tuple(result), columns=columns)
