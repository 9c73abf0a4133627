"""Whether a column can become another, and by which expression. It errs on the side of a person's decision.

A cast is offered only where no value can be lost by it, or changed without a word; everything else is words for the
user to choose. What the target's engine holds, and how it casts, its dialect says.
"""

from __future__ import annotations

from mappers.propose.families import Family, read_type
from mappers.propose.pair import Conversion, Fit, Pair

_TEXTS = (Family.TEXT, Family.CHAR)
_TIMES = (Family.TIMESTAMP, Family.INSTANT, Family.DATE, Family.CLOCK)
_NUMBERS = (Family.INTEGER, Family.DECIMAL, Family.FLOAT)
_AS_TEXT = {Family.INTEGER: 20, Family.UUID: 36, Family.BOOLEAN: 5}
"""Family whose text says everything -> the longest such text."""


def convert(pair: Pair) -> Conversion:
    """How the target column can be filled from the source column."""
    source, target = pair.source, pair.target
    if _as_it_is(pair):
        return Conversion(Fit.EXACT, pair.name)
    if source.labels or target.labels:
        return _labelled(pair)
    if pair.one.array or pair.other.array:
        return _arrays(pair)
    lossless = _of_mariadb(pair) if source.native else None
    return lossless or _lossless(pair) or _choice(pair)


def _as_it_is(pair: Pair) -> bool:
    """MariaDB spells an enum's labels in its type; PostgreSQL's types of one name may have others."""
    labels = pair.target.labels
    known = not labels or labels == pair.source.labels or not pair.in_postgresql
    return known and pair.dialect.typing.widens(pair.made, pair.target.type)


def _of_mariadb(pair: Pair) -> Conversion | None:
    """What the types are called at a source says more than their general words. What does not fit then is refused."""
    native, one, other = read_type(pair.source.native), pair.one, pair.other
    if pair.dialect.engine == "mariadb":
        same = pair.dialect.typing.widens(pair.source.native, pair.target.type)
        cuts = other.name.endswith("text") or pair.cast == pair.name
        return Conversion(Fit.CAST, pair.cast) if same and not cuts else None
    if not pair.in_postgresql:
        return None
    if native.family is Family.BOOLEAN and other.family is Family.BOOLEAN:
        return Conversion(Fit.CAST, f"cast(cast({pair.name} as text) as boolean)")
    if native.family is Family.CHAR and other.family is Family.CHAR and (one.length or 1) <= (other.length or 1):
        return Conversion(Fit.CAST, pair.cast)
    signed = _SIGNED.get(native.name.lower()) == other.name and "unsigned" in pair.source.native
    return Conversion(Fit.CAST, pair.cast) if signed else None


_SIGNED = {"bigint": "bigint", "int": "integer", "smallint": "smallint"}
"""MariaDB's integers -> PostgreSQL's of the same width."""


def _lossless(pair: Pair) -> Conversion | None:
    one, other = pair.one, pair.other
    cast = Conversion(Fit.CAST, pair.cast)
    room = other.length if other.family is Family.TEXT else None
    if one.family in _AS_TEXT and other.family is Family.TEXT:
        plain = pair.in_postgresql or one.family is not Family.BOOLEAN  # elsewhere a flag is the number 1
        return cast if plain and (room is None or room >= _AS_TEXT[one.family]) else None
    if one.family is Family.UUID and other.family is Family.CHAR:
        return cast if other.length == _AS_TEXT[Family.UUID] else None
    if one.family is other.family is Family.INSTANT and pair.dialect.engine == "mariadb":
        moment = pair.target.type.replace("timestamp", "datetime")
        return cast if pair.dialect.typing.widens(pair.made, moment) else None
    return _lossless_in_postgresql(pair) if pair.in_postgresql else None


def _lossless_in_postgresql(pair: Pair) -> Conversion | None:
    one, other, name = pair.one, pair.other, pair.name
    cast = Conversion(Fit.CAST, pair.cast)
    if one.family is Family.CHAR and other.family in _TEXTS:
        return cast if other.length is None or other.length >= (one.length or 1) else None
    if one.family is Family.BOOLEAN and other.family in (Family.INTEGER, Family.DECIMAL) and other.whole > 0:
        number = f"cast({name} as integer)"
        return Conversion(
            Fit.CAST, number if other.name == "integer" else pair.dialect.typing.cast(number, pair.target.type)
        )
    unbounded = other.family is Family.TEXT and other.length is None
    if one.family is Family.JSON and (other.name == "json" or unbounded):
        return cast
    if {one.family, other.family} == {Family.TEXT, Family.CITEXT}:
        return cast if other.family is Family.CITEXT or unbounded else None
    return None


def _choice(pair: Pair) -> Conversion:
    one, other, name, cast, wanted = pair.one, pair.other, pair.name, pair.cast, pair.target.type
    families = (one.family, other.family)
    if one.family in _TIMES and other.family in _TIMES and Family.CLOCK not in families:
        return _times(pair)
    if families == (Family.JSON, Family.JSON) and pair.in_postgresql:
        return Conversion(Fit.DECIDE, cast, "jsonb does not keep the order of keys, nor one that is there twice")
    if other.family is Family.BOOLEAN and one.family is Family.INTEGER:
        return Conversion(Fit.DECIDE, f"{name} <> 0", "is every number but 0 true?")
    if other.family is Family.BOOLEAN and one.family in _TEXTS:
        return Conversion(Fit.DECIDE, f"{name} = 'Y'", "which text is true?")
    if one.family in _NUMBERS and other.family in _NUMBERS:
        return Conversion(Fit.DECIDE, cast, _numbers(pair))
    if one.family in (*_TEXTS, Family.CITEXT) and other.family in (*_TEXTS, Family.CITEXT):
        return Conversion(Fit.DECIDE, cast, "it cuts longer values: are there any?")
    if one.family in _TEXTS and other.family not in (Family.OTHER, Family.BYTES):
        return Conversion(Fit.DECIDE, cast, f"a text that is no {wanted} is {_refused(pair)}")
    if other.family in _TEXTS and one.family is not Family.OTHER:
        return Conversion(Fit.DECIDE, cast, "is its text what is wanted, and does it fit?")
    if one.family is Family.INTEGER and other.family in _TIMES[:2] and pair.in_postgresql:
        return Conversion(Fit.DECIDE, f"to_timestamp({name})", "is it seconds since 1970?")
    if one.family is other.family is not Family.OTHER and one.family is not Family.UUID:
        return Conversion(Fit.DECIDE, cast, _engine_says(pair))
    return Conversion(Fit.NEVER, cast, f"{wanted} is not made of a value of another kind")


def _numbers(pair: Pair) -> str:
    if pair.dialect.engine == "sqlite" and pair.other.family is not Family.INTEGER:
        return _engine_says(pair)
    return f"{pair.source.native or pair.one.name} holds numbers that {pair.target.type} does not"


def _engine_says(pair: Pair) -> str:
    """What the dialect advises for the column as it is."""
    if pair.in_postgresql:
        return "the types differ"
    return pair.dialect.typing.hint(pair.name, pair.made, pair.target.type)


def _refused(pair: Pair) -> str:
    """In SQLite a cast never fails."""
    return "0" if pair.dialect.engine == "sqlite" else "refused"


def _times(pair: Pair) -> Conversion:
    one, other, name = pair.one, pair.other, pair.name
    dropped = "it drops the time of the day"
    if {one.family, other.family} == {Family.TIMESTAMP, Family.INSTANT}:
        zoned = f"{name} at time zone 'UTC'" if pair.in_postgresql else pair.cast
        return Conversion(Fit.DECIDE, zoned, "which time zone are its values of?")
    if one.family is Family.DATE and other.family is Family.INSTANT and pair.in_postgresql:
        zoned = f"cast({name} as timestamp without time zone) at time zone 'UTC'"
        return Conversion(Fit.DECIDE, zoned, "which time zone are its days of?")
    if one.family is Family.INSTANT and other.family is Family.DATE and pair.in_postgresql:
        return Conversion(Fit.DECIDE, f"cast({name} at time zone 'UTC' as date)", dropped)
    return Conversion(Fit.DECIDE, pair.cast, dropped if other.family is Family.DATE else "it rounds the seconds")


def _arrays(pair: Pair) -> Conversion:
    one, other = pair.one, pair.other
    if one.array and other.array and one.family is other.family is not Family.OTHER:
        return Conversion(Fit.DECIDE, pair.cast, "the elements' types differ")
    if one.array != other.array:
        return Conversion(Fit.NEVER, pair.name, "an array is not a single value")
    return Conversion(Fit.NEVER, pair.name, "the elements are of another kind")


def _labelled(pair: Pair) -> Conversion:
    """Enums: by their labels, whatever the types are called."""
    source, target, name = pair.source, pair.target, pair.name
    if source.labels and target.labels:
        missing = [label for label in source.labels if label not in target.labels]
        if not missing:
            return Conversion(Fit.CAST, _by_label(pair))
        shared = len(source.labels) - len(missing)
        why = f"the target has no label {', '.join(missing[:5])}"
        return Conversion(Fit.DECIDE if shared else Fit.NEVER, _by_label(pair), why)
    if source.labels:
        return _as_text(pair)
    if pair.one.family in _TEXTS:
        why = f"a text that is none of {', '.join(target.labels[:6])} is refused"
        return Conversion(Fit.DECIDE, pair.cast, why)
    if pair.one.family is Family.INTEGER:
        first = _quoted(target.labels[0])
        return Conversion(Fit.DECIDE, f"case {name} when 1 then {first} end", "which number is which label?")
    return Conversion(Fit.NEVER, name, "an enum is not made of this type")


def _by_label(pair: Pair) -> str:
    """MariaDB casts nothing to an enum."""
    if pair.in_postgresql:
        return pair.dialect.typing.cast(f"cast({pair.name} as text)", pair.target.type)
    shared = [_quoted(label) for label in pair.source.labels if label in pair.target.labels]
    return f"case {pair.name} {' '.join(f'when {label} then {label}' for label in shared)} end" if shared else pair.name


def _quoted(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def _as_text(pair: Pair) -> Conversion:
    """An enum's label as text."""
    other = pair.other
    longest = max(map(len, pair.source.labels))
    if other.family is Family.TEXT and not other.array and (other.length is None or other.length >= longest):
        return Conversion(Fit.CAST, pair.cast)
    text = f"cast({pair.name} as text)" if pair.in_postgresql else pair.cast
    return Conversion(Fit.NEVER if other.family is not Family.TEXT else Fit.DECIDE, text, "its labels do not fit")
