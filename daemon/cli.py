"""The command line. Results on stdout, logs on stderr; a handled error is one line and an exit code.

Exit codes: 0 ok, 1 handled error, 2 usage or configuration, 3 not ready or timed out, 4 the two sides differ, 5 fenced.
"""

from __future__ import annotations

import argparse
import gc
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from daemon.commands import connector, dlq, doctor, explain, init, live, plan, resync, run, status, verify
from mappers.errors import ChangeoverError, FatalError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except ChangeoverError as error:
        _say(error, options)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        _say(FatalError(f"internal error: {type(error).__name__}: {error}", hint=BUG), options)
        return 1
    finally:
        gc.freeze()  # else the interpreter looks through everything once more before it ends: 0.2 s of each command


def _say(error: ChangeoverError, options: argparse.Namespace) -> None:
    """One line a problem. A worker says it to its parent, which passes it on."""
    if options.traceback:
        print(_redacted(traceback.format_exc()), file=sys.stderr, end="")
    out = sys.stdout if getattr(options, "parent", 0) else sys.stderr
    for line in _redacted(str(error)).splitlines():
        print(line if getattr(options, "parent", 0) else f"changeover: {line}", file=out)


BUG = "this is a bug: run it again with --traceback and report what it shows"


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(prog="changeover", description=__doc__.splitlines()[0] if __doc__ else None)
    root.description = "Moves a live application's data from its old SQL database to its new store."
    root.add_argument("--config", "-c", type=Path, default=Path("changeover.yaml"), help="the YAML file")
    root.add_argument("--traceback", action="store_true", help="show where an error came from")
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

    for family in (init, doctor, plan, run, status, verify, explain, resync, dlq, live, connector):
        family.add(commands)
    return root


def _redacted(text: str) -> str:
    from daemon.logs import redact

    return redact(text)


if __name__ == "__main__":
    sys.exit(main())
