"""Kafka Connect's REST interface: connectors, their state, their offsets, and what the workers can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from connectors.waiting import Patience
from mappers.errors import ChangeoverError, FatalError, TransientError

DEBEZIUM_POSTGRESQL = "io.debezium.connector.postgresql.PostgresConnector"
DEBEZIUM_MARIADB = "io.debezium.connector.mariadb.MariaDbConnector"
DEBEZIUM_MYSQL = "io.debezium.connector.mysql.MySqlConnector"
_BUSY = (408, 409, 429)
"""Statuses of a cluster that is rebalancing or overloaded: the same request can succeed later."""
_RAISE = object()


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a connector. `trouble` is the cause of its failure in one line; "" unless it FAILED."""

    number: int
    state: str
    trouble: str


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """A connector: RUNNING, PAUSED, STOPPED, FAILED, UNASSIGNED or RESTARTING, and its tasks."""

    state: str
    trouble: str
    tasks: tuple[Task, ...]

    @property
    def running(self) -> bool:
        """It runs, and so does every task that it has (at least one)."""
        return self.state == "RUNNING" and bool(self.tasks) and all(task.state == "RUNNING" for task in self.tasks)

    @property
    def failure(self) -> str:
        """The first cause of a failure, of the connector or of a task; "" where there is none."""
        parts = [(self.state, self.trouble), *((task.state, task.trouble) for task in self.tasks)]
        return next((trouble or "no cause given" for state, trouble in parts if state == "FAILED"), "")

    def describe(self) -> str:
        """Its states in words."""
        tasks = ", ".join(f"task {task.number} {task.state}" for task in self.tasks) or "no tasks yet"
        return f"connector {self.state}, {tasks}"


class Connect:
    """A Connect cluster. Every error is TransientError (it does not answer, or is busy) or FatalError (it refuses)."""

    def __init__(self, url: str, *, client: httpx.Client | None = None, timeout_s: float = 30) -> None:
        """`timeout_s`: for one answer; validating a connector makes the worker connect to its database."""
        self._url = url.rstrip("/")
        self._client = client or httpx.Client(timeout=httpx.Timeout(timeout_s, connect=5))
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        self.where = f"kafka connect {parts.scheme}://{parts.hostname or ''}{port}{parts.path.rstrip('/')}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Connect:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def version(self) -> str:
        """The worker's version of Kafka."""
        return str(self._request("GET", "/")["version"])

    def plugins(self) -> dict[str, str]:
        """Connector class -> its version, of all connectors that are installed."""
        return {plugin["class"]: plugin.get("version") or "" for plugin in self._request("GET", "/connector-plugins")}

    def converters(self) -> list[str]:
        """The converter classes that are installed."""
        found = self._request("GET", "/connector-plugins?connectorsOnly=false")
        return [plugin["class"] for plugin in found if plugin.get("type") == "converter"]

    def offers_exactly_once(self, plugin: str = DEBEZIUM_POSTGRESQL) -> bool:
        """Whether the workers have exactly-once source support enabled.

        No endpoint says so; but a connector that requires it does not pass their validation otherwise.
        """
        probe = {"connector.class": plugin, "name": "changeover-probe", "exactly.once.support": "required"}
        return not self.validate(probe).get("exactly.once.support")

    def validate(self, config: Mapping[str, str]) -> dict[str, list[str]]:
        """Setting -> what is wrong with it, for a connector of this configuration. Nothing is created."""
        path = f"/connector-plugins/{quote(config['connector.class'], safe='')}/config/validate"
        values = [entry["value"] for entry in self._request("PUT", path, json=dict(config))["configs"]]
        return {value["name"]: value["errors"] for value in values if value["errors"]}

    def config(self, name: str) -> dict[str, str] | None:
        """The connector's configuration as it was put, or None where there is no such connector."""
        found: dict[str, str] | None = self._request("GET", f"{_path(name)}/config", missing=None)
        return found

    def put(self, name: str, config: Mapping[str, str]) -> None:
        """Create the connector, or give it another configuration, which restarts it."""
        self._request("PUT", f"{_path(name)}/config", json=dict(config))

    def create_stopped(self, name: str, config: Mapping[str, str]) -> None:
        """Create the connector without running it."""
        self._request("POST", "/connectors", json={"name": name, "config": dict(config), "initial_state": "STOPPED"})

    def delete(self, name: str) -> None:
        """Delete the connector, if it is there. Its offsets stay; its tasks end a moment later."""
        self._request("DELETE", _path(name), missing=None)

    def state(self, name: str) -> ConnectorState | None:
        """How the connector is, or None where there is no such connector."""
        found = self._request("GET", f"{_path(name)}/status", missing=None)
        if found is None:
            return None
        tasks = (Task(task["id"], task["state"], cause(task.get("trace"))) for task in found["tasks"])
        connector = found["connector"]
        return ConnectorState(connector["state"], cause(connector.get("trace")), tuple(tasks))

    def stop(self, name: str) -> None:
        """Ask it to stop: its tasks end and are gone; its offsets can then be read and deleted."""
        self._request("PUT", f"{_path(name)}/stop")

    def resume(self, name: str) -> None:
        """Let a paused or stopped connector run."""
        self._request("PUT", f"{_path(name)}/resume")

    def restart_failed(self, name: str) -> None:
        """Restart it and its tasks where they failed."""
        self._request("POST", f"{_path(name)}/restart?includeTasks=true&onlyFailed=true")

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """The connector's committed source offsets; for Debezium, one at most, with the key "lsn" among others."""
        found = self._request("GET", f"{_path(name)}/offsets", missing={"offsets": []})
        return [entry["offset"] for entry in found["offsets"] if entry["offset"]]

    def delete_offsets(self, name: str) -> None:
        """Forget the connector's offsets. It must be stopped."""
        self._request("DELETE", f"{_path(name)}/offsets")

    def wait_running(self, name: str, patience: Patience) -> None:
        """Wait until it and its tasks run. A task that failed ends the wait with a FatalError that says why."""
        patience.until(lambda: self._not_running(name), where=self._place(name), hint="see the Connect worker's log")

    def wait_stopped(self, name: str, patience: Patience) -> None:
        """Wait until a connector that was told to stop has no tasks any more."""
        patience.until(lambda: self._not_stopped(name), where=self._place(name), hint="see the Connect worker's log")

    def forget_offsets(self, name: str, patience: Patience) -> None:
        """Delete the offsets of a stopped connector; a worker refuses while the last of its tasks still ends."""

        def refused() -> str:
            try:
                self.delete_offsets(name)
            except FatalError as error:
                return str(error)
            return ""

        patience.until(refused, where=self._place(name))

    def wait_gone(self, name: str, patience: Patience) -> None:
        """Wait until it is no longer there after a `delete`."""
        patience.until(lambda: "" if self.state(name) is None else "it is still there", where=self._place(name))

    def _not_running(self, name: str) -> str:
        state = self.state(name)
        if state is None:
            return "it is not there yet"
        if state.failure:
            raise FatalError(state.failure, where=self._place(name), hint="mend it, then run `connector apply` again")
        return "" if state.running else f"it does not run yet: {state.describe()}"

    def _not_stopped(self, name: str) -> str:
        state = self.state(name)
        if state is None or (state.state == "STOPPED" and not state.tasks):
            return ""
        return f"it has not stopped yet: {state.describe()}"

    def _place(self, name: str) -> str:
        return f"{self.where} connector {name}"

    def _request(self, method: str, path: str, *, json: object = None, missing: object = _RAISE) -> Any:
        """The answer's JSON (None where it is empty). `missing`: what to return instead where it answers 404."""
        try:
            answer = self._client.request(method, f"{self._url}{path}", json=json)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            hint = "start it, or correct connect.url"
            raise TransientError(f"it does not answer ({reason})", where=self.where, hint=hint) from error
        if not _is_json(answer):
            raise self._no_connect(answer)
        if answer.is_success:
            return answer.json() if answer.content else None
        if answer.status_code == 404 and missing is not _RAISE:
            return missing
        message = _message(answer)
        if answer.status_code in _BUSY or answer.status_code >= 500:
            raise TransientError(f"it is busy: {message}", where=self.where)
        raise FatalError(f"it refuses {method} {path}: {message}", where=self.where)

    def _no_connect(self, answer: httpx.Response) -> ChangeoverError:
        """A worker answers 404 with a page while it starts; a proxy answers 5xx; anything else is no worker."""
        what = f"it answers {answer.status_code} without JSON"
        if answer.status_code == 404 or answer.status_code >= 500:
            return TransientError(f"{what}: it may still be starting", where=self.where)
        return FatalError(what, where=self.where, hint="set connect.url to Kafka Connect's REST interface")


def cause(trace: str | None) -> str:
    """What a Java trace says in one line: its innermost cause, without the frames."""
    lines = (trace or "").splitlines()
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    line = (causes or lines or [""])[-1 if causes else 0]
    name, colon, message = line.partition(": ")
    return message.strip() if colon and "." in name and " " not in name else line.strip()


def _path(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _is_json(answer: httpx.Response) -> bool:
    return not answer.content or "json" in answer.headers.get("content-type", "")


def _message(answer: httpx.Response) -> str:
    """Connect's own words, in one line."""
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith("You can also find"))
