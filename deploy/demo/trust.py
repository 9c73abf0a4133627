"""A chapter of the demo: three rows of the new database are damaged behind the daemon's back, found and mended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from deploy.demo.processes import DemoError
from deploy.demo.product import Changeover
from deploy.demo.screen import Screen

EQUAL, MISMATCH = 0, 4
BOUND_S = 180


@dataclass(frozen=True)
class Damage:
    """One way to damage a row. kind: what verification is to call it. statement: returns the key, as text."""

    table: str
    kind: str
    told: str
    statement: LiteralString


DAMAGES = (
    Damage(
        "app.accounts",
        "different",
        "a balance is a cent too high",
        "UPDATE app.accounts SET balance = balance + 0.01"
        " WHERE account_id = (SELECT account_id FROM app.accounts ORDER BY md5(account_id || %s) LIMIT 1)"
        " RETURNING account_id::text",
    ),
    Damage(
        "app.order_items",
        "missing",
        "an order has lost a line",
        "DELETE FROM app.order_items WHERE (order_ref, position) ="
        " (SELECT order_ref, position FROM app.order_items ORDER BY md5(order_ref || position || %s) LIMIT 1)"
        " RETURNING order_ref, position::text",
    ),
    Damage(
        "app.settings",
        "extra",
        "a setting is there that nobody made",
        "INSERT INTO app.settings VALUES ('nobody', %s, '{}', now()) RETURNING namespace, name",
    ),
)
Found = set[tuple[str, str, tuple[str, ...]]]


def chapter(product: Changeover, screen: Screen, target_url: str, seed: int) -> str:
    """Damage, find, explain, repair; returns a line about it. Raises DemoError where anything but the damage is found.

    The daemon streams meanwhile.
    """
    seconds, rows = _equal(product)
    screen.say(f"`changeover verify`: {rows:,} rows are equal, in {seconds:.1f} s")
    planted = _damage(screen, target_url, seed)
    screen.say("`changeover verify`: " + _found(_verify(product, MISMATCH), planted))
    _explain(product, screen, planted)
    report = _verify(product, EQUAL, "--repair")
    if report["repaired"] != len(planted):
        raise DemoError(f"{report['repaired']} rows were repaired, not the {len(planted)} damaged ones")
    screen.say(f"`changeover verify --repair`: {report['repaired']} rows were read again from the old database")
    _equal(product)
    screen.say("`changeover verify`: every row is equal again")
    return f"{len(planted)} rows damaged, exactly those found and mended; {rows:,} rows verified in {seconds:.1f} s"


def _equal(product: Changeover) -> tuple[float, int]:
    report = _verify(product, EQUAL)
    return float(report["seconds"]), int(report["rows"])


def _verify(product: Changeover, code: int, *arguments: str) -> dict[str, Any]:
    said = product.call("verify", *arguments, "--output", "json", bound_s=BOUND_S, code=code)
    report: dict[str, Any] = json.loads(said)
    return report


def _damage(screen: Screen, target_url: str, seed: int) -> Found:
    planted: Found = set()
    with psycopg.connect(target_url, autocommit=True) as target:
        for damage in DAMAGES:
            row = target.execute(damage.statement, (str(seed),)).fetchone()
            if row is None:
                raise DemoError(f"{damage.table} has no row to damage")
            planted.add((damage.table, damage.kind, tuple(row)))
            screen.say(f"damage behind the daemon's back: {damage.told} ({damage.table} {', '.join(row)})", "bold")
    return planted


def _found(report: dict[str, Any], planted: Found) -> str:
    found = {(each["target"], each["kind"], tuple(each["target_key"])) for each in report["findings"]}
    if found != planted or report["differences"] != len(planted):
        raise DemoError(f"verify found {sorted(found)}, and not exactly what was damaged: {sorted(planted)}")
    return "; ".join(f"{table} {', '.join(key)} is {kind}" for table, kind, key in sorted(found))


def _explain(product: Changeover, screen: Screen, planted: Found) -> None:
    """The story of the changed row, as it is told to a person. The source's key is the target's, in this table."""
    ((account,),) = [key for table, _, key in planted if table == "app.accounts"]
    screen.say(f"`changeover explain public.customers {account}`:")
    said = product.call("explain", "public.customers", account, code=MISMATCH)
    if "<- differs" not in said or "different in balance" not in said:
        raise DemoError(f"the explanation does not show what differs:\n{said}")
    for line in said.splitlines():
        screen.plain(f"         | {line}", "dim")
