"""Lines for people: they go to standard error, so that standard output stays machine-readable."""

import sys


def say(text: str) -> None:
    """Print one line for the user."""
    print(text, file=sys.stderr, flush=True)
