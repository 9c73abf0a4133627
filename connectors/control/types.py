"""The column types of the control tables: the same values in Python on every engine that they live in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

MYSQL = ("mysql", "mariadb")
"""SQLAlchemy's names for the dialect of both servers."""

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A generated key: SQLite generates values for this type alone."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, aware and in UTC in Python, whatever the session's time zone; with microseconds."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MariaDB and SQLite have no moments: there the columns hold UTC's date and time."""
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Bytes(TypeDecorator[str]):
    """The bytes of a text's UTF-8."""

    impl = mysql.VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return value.encode() if value is not None else None

    def process_result_value(self, value: bytes | str | None, dialect: Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


class _Long(TypeDecorator[str]):
    """Text of any length; the two servers call the collation that neither folds nor pads by different names."""

    impl = mysql.LONGTEXT
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        collation = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
        return dialect.type_descriptor(mysql.LONGTEXT(charset="utf8mb4", collation=collation))


LONG_TEXT = Text().with_variant(_Long(), *MYSQL)
"""Text of any length, compared by code points."""


def key_text(most: int) -> Text:
    """Text that a key or an index is made of, compared by code points and nothing else.

    most: bytes of UTF-8, where the engine wants to know. MariaDB's collations fold case, or ignore what trails, and
    reserve four bytes a character of the 3072 that a key may have: there the bytes are stored.
    """
    return Text().with_variant(_Bytes(most), *MYSQL)
