"""Source keys as people write them: on the command line and in JSON. Pure; the source brings them into its own form."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mappers.errors import RecordError

KEY_CHARACTERS_MAX = 10_000


def key_of_option(text: str, columns: Sequence[str]) -> tuple[str, ...]:
    """The key that `--key` names: the value itself where one column is the key, else a JSON list in key order.

    What begins with [ is always read as a JSON list. Raises RecordError.
    """
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except ValueError:
            raise _refused(columns, "it begins with [ and is not a JSON list") from None
        return key_of_json(values, columns)
    return key_of_json([text], columns)


def key_of_json(values: object, columns: Sequence[str]) -> tuple[str, ...]:
    """The key in a JSON list: texts or integers, in key order. Raises RecordError, which shows no value."""
    if not isinstance(values, list):
        raise _refused(columns, "it is not a list")
    if len(values) != len(columns):
        raise _refused(columns, f"it has {len(values)} values, the key has {len(columns)} columns")
    if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
        raise _refused(columns, "a value is neither text nor an integer")
    texts = tuple(str(value) for value in values)
    if any(len(text) > KEY_CHARACTERS_MAX or "\0" in text for text in texts):
        raise _refused(columns, f"a value is longer than {KEY_CHARACTERS_MAX} characters or holds a NUL")
    return texts


def _refused(columns: Sequence[str], why: str) -> RecordError:
    named = ", ".join(columns)
    hint = f"write the value of {named}" if len(columns) == 1 else f"write a JSON list of the values of {named}"
    return RecordError(f"not a key: {why}", hint=hint)
