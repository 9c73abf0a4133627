"""make demo: a live application's database moves to a new schema in another database, with kills and damage on the way.

    python -m deploy.demo.demo [--rate 200] [--seed N] [--steady 15] [--without OPERATION ...]

KEEP=1 leaves the databases, the connector and the daemon running. Exit code 0 only if every row is what it must be,
the ledger balances, and the kills hit what they were meant to hit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg

from deploy.demo import load, oracle, report, trust
from deploy.demo.probe import Probe, Window
from deploy.demo.processes import ROOT, Child, DemoError
from deploy.demo.product import CONFIG, Changeover, Status
from deploy.demo.screen import Screen
from deploy.demo.stack import Stack

KILL_FROM, KILL_TO = 0.2, 0.6
"""The daemon is killed in the backfill when this share of the chunks is done."""
START_BOUND_S = 60
BACKFILL_BOUND_S = 240
RECOVERY_BOUND_S = 300
STANDSTILL_BOUND_S = 90
"""A slow machine may take its time to catch up, but not without a single row arriving."""
END_BOUND_S = 120
VERIFIED = "every row has been verified since the connector restarted"
STALLED_S = 1.0
"""Without Connect, rows are under way at least this long: else the kill did not hit."""


class Demo:
    """One run on a stack that is up. Every step of the story is a method; `run` calls them in order."""

    def __init__(
        self, given: argparse.Namespace, stack: Stack, product: Changeover, screen: Screen, keep: bool
    ) -> None:
        self.given, self.stack, self.product, self.screen, self.keep = given, stack, product, screen, keep
        self.source_url, self.target_url = product.env["SOURCE_URL"], product.env["TARGET_URL"]
        self.found = report.Findings()
        self.probe = Probe(self.source_url, self.target_url)
        self.daemon: Child | None = None
        self.writer: Child | None = None
        self.streaming_since = 0.0
        self.progress_from: tuple[float, int] | None = None

    def run(self) -> Status:
        """The whole story; returns the last status."""
        self.load_databases()
        self.connect()
        self.start_writing()
        self.kill_in_backfill()
        self.finish_backfill()
        self.kill_in_stream()
        self.kill_connect()
        self.pause(self.given.steady)
        self.stop_writing()
        self.drain()
        self.trust()
        status = self.end()
        self.judge()
        return status

    def close(self) -> None:
        """End what this run started, unless it is to be kept: the application and the probe always."""
        if self.writer is not None:
            self.writer.stop()
        self.probe.stop()
        if self.daemon is not None and not self.keep:
            self.daemon.stop()

    def load_databases(self) -> None:
        """The old database with its rows; the new one, empty."""
        rows = load.load(self.source_url, self.target_url)
        self.screen.say(f"loaded {sum(rows.values()):,} rows into {len(rows)} tables of the old database")

    def connect(self) -> None:
        """Publication, topics and connector."""
        self.product.call("connector", "apply")
        self.screen.say("the connector streams the old database's changes into Kafka")

    def start_writing(self) -> None:
        """The application and the probe."""
        argv = [sys.executable, "-m", "deploy.demo.application", self.source_url, "--seed", str(self.given.seed)]
        argv += ["--rate", str(self.given.rate), *(f"--without={name}" for name in self.given.without)]
        self.writer = Child("the application", argv, self.product.log.with_name("application.log"), self.product.env)
        self.probe.start()
        self.screen.say(f"the application writes {self.given.rate:g} transactions a second (seed {self.given.seed})")

    def kill_in_backfill(self) -> None:
        """The daemon starts, and dies in the midst of the backfill."""
        self.start_daemon("the daemon starts: it copies what is there and streams what changes")
        self.until("the daemon to have a status", START_BOUND_S, self.has_status)
        self.until("the backfill to get going", BACKFILL_BOUND_S, lambda: self.progress().loaded >= KILL_FROM)
        began = self.kill_daemon()
        before = self.product.status()
        self.screen.say(
            f"kill -9 of the daemon: {before.chunks_done} of {before.chunks_total} chunks were done", "bold"
        )
        if not KILL_FROM <= before.loaded <= KILL_TO:
            self.found.faults.append(f"the daemon was killed when {before.loaded:.0%} of the backfill was done")
        self.start_daemon("the daemon starts again")
        self.until("the backfill to go on", RECOVERY_BOUND_S, lambda: self.goes_on(before))
        self.recovered("daemon, in the backfill", began)

    def finish_backfill(self) -> None:
        """All chunks done, and the stream caught up."""
        self.until("the backfill to end", BACKFILL_BOUND_S, lambda: self.progress().backfilled)
        self.screen.say("the backfill is complete")
        self.catch_up(time.monotonic())
        self.streaming_since = time.monotonic()
        self.screen.say("the stream has caught up")
        self.pause(4)

    def kill_in_stream(self) -> None:
        """The daemon dies while it streams."""
        self.let_flow()
        began = self.kill_daemon()
        self.screen.say("kill -9 of the daemon while it streams", "bold")
        self.start_daemon("the daemon starts again")
        self.catch_up(time.monotonic())
        self.recovered("daemon, in the stream", began)
        self.pause(3)

    def kill_connect(self) -> None:
        """Kafka Connect dies, and comes back."""
        self.let_flow()
        began = time.monotonic()
        self.stack.kill("connect")
        self.screen.say("kill -9 of Kafka Connect", "bold")
        self.until("rows to pile up", START_BOUND_S, lambda: self.probe.lag_now() > STALLED_S)
        self.stack.start("connect")
        self.screen.say("Kafka Connect runs again")
        self.catch_up(time.monotonic())
        self.recovered("Kafka Connect", began)
        self.until("every row to be verified after the restart", RECOVERY_BOUND_S, self.verified_since)
        self.screen.say("the daemon has noticed the connector's restart, and verified every row since")

    def stop_writing(self) -> None:
        """The application ends, and says what it did."""
        self.probe.stop_writing()
        assert self.writer is not None
        if (code := self.writer.stop()) != 0:
            raise DemoError(f"the application ended with exit code {code}:\n{self.writer.tail()}")
        told = self.found.written = json.loads(self.writer.log.read_text().splitlines()[-1])
        self.screen.say(f"the application has stopped after {told['transactions']:,} transactions")

    def drain(self) -> None:
        """The proved end of the stream."""
        self.product.call("wait", "--for", "lag-zero", "--timeout", str(END_BOUND_S), bound_s=END_BOUND_S + 30)
        self.screen.say("the end of the stream is proved: everything committed at the source is applied")
        if late := self.probe.settle():
            self.found.faults.append(f"{late} rows were still under way when the end of the stream was proved")
        self.found.lags = self.probe.samples(self.streaming_since, self.found.windows)

    def trust(self) -> None:
        """Damage to the new database is found, explained and mended while the daemon streams."""
        self.found.trust = trust.chapter(self.product, self.screen, self.target_url, self.given.seed)

    def end(self) -> Status:
        """The daemon ends in good order, and its books are read."""
        if not self.keep and self.daemon is not None and (code := self.daemon.stop()) != 0:
            self.found.faults.append(f"the daemon's exit code after SIGTERM was {code}, not 0")
        status = self.product.status()
        if not status.balanced:
            self.found.faults.append(f"the ledger does not balance: {dict(status.ledger)}")
        return status

    def judge(self) -> None:
        """Every row of every table, by queries of the demo's own."""
        self.screen.say("comparing every row")
        self.found.tables = oracle.compare(self.source_url, self.target_url)
        self.found.faults += [f"{table.table} differs" for table in self.found.tables if not table.identical]

    def start_daemon(self, text: str) -> None:
        """Start the daemon."""
        self.screen.say(text)
        self.daemon = self.product.start(kept=self.keep)

    def kill_daemon(self) -> float:
        """kill -9 the daemon; returns when."""
        assert self.daemon is not None
        began = time.monotonic()
        self.daemon.kill()
        return began

    def has_status(self) -> bool:
        """Whether the daemon has got as far as to have a status."""
        try:
            return self.product.status().chunks_total > 0
        except DemoError:
            return False

    def progress(self) -> Status:
        """The status, shown."""
        status = self.product.status()
        self.progress_from = self.progress_from or (time.monotonic(), status.rows_loaded)
        seconds, rows = time.monotonic() - self.progress_from[0], status.rows_loaded - self.progress_from[1]
        eta = ""
        if rows > 0 and status.loaded >= 0.01:
            eta = f", {max(0, status.rows_expected - status.rows_loaded) * seconds / rows:.0f} s left"
        self.screen.progress(
            f"{status.phase}: {status.rows_loaded:,} of {status.rows_expected:,} rows, "
            f"{status.loaded:.0%} of the chunks{eta}; {status.backlog:,} events wait"
        )
        return status

    def goes_on(self, before: Status) -> bool:
        """Whether a chunk more is done than at the kill; a finished one must never be undone."""
        now = self.progress()
        if now.chunks_done < before.chunks_done:
            raise DemoError(f"chunks were undone: {before.chunks_done} done before the kill, {now.chunks_done} after")
        return now.chunks_done > before.chunks_done

    def verified_since(self) -> bool:
        """Whether the daemon says that all rows were verified after Connect came back."""
        self.screen.progress("the daemon verifies every row, as the connector restarted")
        return VERIFIED in self.product.log.read_text(errors="replace")

    def let_flow(self) -> None:
        """A kill in the stream hits only if rows flow when it comes: wait for such a moment."""
        self.catch_up(time.monotonic())
        self.check()

    def recovered(self, what: str, began: float) -> None:
        """Note that the work goes on after a kill."""
        ended = time.monotonic()
        self.found.windows.append(Window(began, ended))
        self.found.restarts.append((what, ended - began))
        self.screen.say(f"the work goes on {ended - began:.1f} s after the kill")

    def catch_up(self, since: float) -> None:
        """Wait until rows committed after `since` arrive and none is late."""

        began = time.monotonic()

        def flows() -> bool:
            if self.probe.silence(began) > STANDSTILL_BOUND_S:
                raise DemoError(f"not one row of the probe has arrived for {STANDSTILL_BOUND_S} s")
            self.screen.progress(f"catching up: the oldest row under way is {self.probe.lag_now():.1f} s old")
            return self.probe.flows(since)

        self.until("the stream to catch up", RECOVERY_BOUND_S, flows)

    def until(self, what: str, bound_s: float, condition: Callable[[], bool]) -> None:
        """Wait for a condition while everything that must run runs."""
        deadline = time.monotonic() + bound_s
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"waited {bound_s:.0f} s in vain for {what}")
            time.sleep(0.02)

    def pause(self, seconds: float) -> None:
        """Let things run."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            self.screen.progress(f"streaming for another {left:.0f} s")
            time.sleep(min(0.5, left))

    def check(self) -> None:
        """Raise if something ended that must not."""
        for child in (self.daemon, self.writer):
            if child is not None:
                child.check()
        self.probe.check()


def leave_running(screen: Screen, stack: Stack, product: Changeover, daemon: Child | None) -> None:
    """Say where everything is, with KEEP=1."""
    names = (*stack.env, "HTTP_PORT")
    end = f"kill {daemon.pid}; " if daemon else ""
    lines = [
        "KEEP: everything is left running. For a look at it:",
        f"cd {ROOT}",
        *(f"export {name}={product.env[name]}" for name in names),
        f"{sys.executable} -m daemon.cli --config {CONFIG} status",
        f"{sys.executable} -m deploy.demo.application $SOURCE_URL",
        f"{sys.executable} -m deploy.demo.oracle $SOURCE_URL $TARGET_URL",
        f"curl http://127.0.0.1:{product.env['HTTP_PORT']}/status  # and /metrics",
        f"less {product.log}",
        "and in the end:",
        f"{end}deploy/local/stack down --dir {stack.directory}; rm -r {product.log.parent}",
    ]
    screen.plain("\n  ".join(["", *lines]))


def play(given: argparse.Namespace, work: Path, screen: Screen) -> int:
    """Bring the stack up, run the demo, report, and end everything; returns the exit code."""
    keep = bool(os.environ.get("KEEP"))
    with ExitStack() as cleanup:
        if not keep:
            cleanup.callback(shutil.rmtree, work, ignore_errors=True)
        stack = Stack(work / "stack")
        if not keep:
            cleanup.callback(stack.down)
        cleanup.callback(no_more_interrupts)
        start(stack, screen)
        product = Changeover({**stack.env, "HTTP_PORT": str(free_port())}, work / "changeover.log")
        if not keep:
            cleanup.callback(product.disconnect)
        demo = Demo(given, stack, product, screen, keep)
        cleanup.callback(demo.close)
        cleanup.callback(no_more_interrupts)
        return tell(demo)


def start(stack: Stack, screen: Screen) -> None:
    """Bring the stack up."""
    screen.say("starting two PostgreSQL servers, Kafka, and Kafka Connect with Debezium")
    stack.up(screen.progress)
    if stack.download_s:
        screen.say(f"downloads took {stack.download_s:.0f} s; the next run will not need them")
    screen.say("the stack is up")


def tell(demo: Demo) -> int:
    """Run the demo and print what it found; returns the exit code."""
    screen = demo.screen
    try:
        status = demo.run()
        total_s = time.monotonic() - screen.started - demo.stack.download_s
        report.show(screen, demo.found, status, total_s, demo.stack.download_s)
    except (DemoError, subprocess.TimeoutExpired, psycopg.Error):
        if demo.daemon is not None:
            screen.plain(f"the end of the daemon's log:\n{demo.daemon.tail()}", "dim")
        raise
    finally:
        if demo.keep:
            leave_running(screen, demo.stack, demo.product, demo.daemon)
    return 1 if demo.found.faults else 0


def free_port() -> int:
    """A port that is free just now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Move a live database, with kills on the way; KEEP=1 keeps it all.")
    parser.add_argument("--rate", type=float, default=200, help="transactions a second of the application")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--steady", type=float, default=15, help="seconds of streaming after the last kill")
    parser.add_argument("--without", action="append", default=[], help="an operation the application leaves out")
    return parser.parse_args()


def interrupt(*_: object) -> None:
    """End as Ctrl-C does, on any signal that asks for an end."""
    raise KeyboardInterrupt


def no_more_interrupts() -> None:
    """From here on the cleanup runs to its end. (Not SIG_IGN: children would inherit it.)"""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)


def main() -> int:
    """Run the demo and end what it started."""
    given = arguments()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, interrupt)
    screen = Screen()
    work = Path(tempfile.mkdtemp(prefix="changeover-demo-"))
    try:
        return play(given, work, screen)
    except KeyboardInterrupt:
        screen.plain(
            "interrupted" + ("" if os.environ.get("KEEP") else ": everything that was started is ended"), "red"
        )
        return 130
    except (DemoError, subprocess.TimeoutExpired, psycopg.Error) as error:
        screen.plain(f"FAILED: {error}", "red")
        return 1


if __name__ == "__main__":
    sys.exit(main())
