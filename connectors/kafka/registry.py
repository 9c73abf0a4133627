"""A schema registry with Confluent's interface: schemas by id, and whether it answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from connectors.kafka.decode_values import Unfit
from mappers.errors import FatalError, TransientError

_BUSY = 429
_START = "start it, or correct kafka.schema_registry"
_INTERFACE = "set kafka.schema_registry to Confluent's interface"


class Registry:
    """A schema registry. A schema never changes, so that who needs one again keeps it. timeout_s: for one answer."""

    def __init__(self, url: str, *, client: httpx.Client | None = None, timeout_s: float = 5) -> None:
        """url: of Confluent's interface, with user and password where it wants them."""
        self._url = url.rstrip("/")
        self._client = client or httpx.Client(timeout=timeout_s)
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        self.where = f"registry {parts.scheme}://{parts.hostname or ''}{port}{parts.path.rstrip('/')}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def schema(self, number: int) -> str:
        """The Avro schema of an id. Raises Unfit where there is none, else TransientError or FatalError."""
        answer = self._get(f"/schemas/ids/{number}")
        if answer.status_code == 404 and _json(answer) is not None:
            hint = "restore the registry's content; a registry that was emptied gives new schemas old ids"
            raise Unfit(f"{self.where} has no schema {number}", hint)
        found = self._answered(answer, f"/schemas/ids/{number}")
        kind, text = found.get("schemaType", "AVRO"), found.get("schema")
        if kind != "AVRO" or not isinstance(text, str) or found.get("references"):
            what = "refers to others" if found.get("references") else f"is {kind}"
            raise Unfit(f"schema {number} {what}; only whole Avro schemas are read", "use an Avro converter")
        return text

    def answers(self) -> str:
        """What it says of itself. Raises TransientError or FatalError."""
        self._answered(self._get("/subjects"), "/subjects")
        return f"{self.where.removeprefix('registry ')} answers"

    def _get(self, path: str) -> httpx.Response:
        try:
            return self._client.get(f"{self._url}{path}")
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise TransientError(f"it does not answer ({reason})", where=self.where, hint=_START) from error

    def _answered(self, answer: httpx.Response, path: str) -> Any:
        """The answer's JSON; a list or an object."""
        what = f"it answers {answer.status_code} to {path}"
        if answer.status_code == _BUSY or answer.status_code >= 500:
            raise TransientError(what, where=self.where, hint=_START)
        if answer.status_code in (401, 403):
            raise FatalError(what, where=self.where, hint="write user and password into kafka.schema_registry")
        if not answer.is_success or (found := _json(answer)) is None:
            raise FatalError(what, where=self.where, hint=_INTERFACE)
        return found


def _json(answer: httpx.Response) -> Any:
    """The answer's JSON; None where it has none."""
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None
