"""MariaDB's and MySQL's expressions, as sessions with pinned settings understand them.

What a mapping may mean must not hang on a session's mode. So `||` is refused (it is OR, or joins text), and strings are
read as the servers read them by default, with backslash escapes, and written so that every mode reads them alike.
Sessions pin the rest: ANSI_QUOTES and the strict modes (a cast of what cannot be cast is an error of the row, and so
is a division by zero), the time zone, the language of dates, the first day of a week. Staged text columns compare by
code points.
"""

from __future__ import annotations

from mappers.dialects.mariadb.functions import MariaFunctions
from mappers.dialects.mariadb.keys import is_injective
from mappers.dialects.mariadb.lexer import tokenize
from mappers.dialects.mariadb.nulls import NULLS
from mappers.dialects.mariadb.renderer import MariaRenderer
from mappers.dialects.mariadb.syntax import SYNTAX
from mappers.dialects.mariadb.typing import MariaTyping
from mappers.dialects.record import Dialect

__all__ = ["MARIADB"]

MARIADB = Dialect(
    engine="mariadb",
    title="MariaDB",
    tokenize=tokenize,
    renderer=MariaRenderer,
    catalog=MariaFunctions,
    syntax=SYNTAX,
    nulls=NULLS,
    typing=MariaTyping(),
    injective=is_injective,
)
