"""POST /resync: the request's way from bytes to rows and back. Who may ask, how often, and what each answer means.

200  the rows are at the target as the source had them at `snapshot`; `missing` of them the source does not have
400  not a request; 401 no token or a wrong one; 404 none is configured; 411, 413 body of unknown length, or too large
409  not now (Retry-After), or never (the pipeline is sealed); 422 the target refuses the row
429  too often; 503 it could not be done in time: try again (Retry-After)
"""

from __future__ import annotations

import hmac
import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from connectors.tables import MappedTable
from daemon.http.bucket import TokenBucket
from daemon.http.server import Answer, Post, json_answer
from daemon.key_texts import key_of_json
from daemon.logs import redact
from daemon.resync.keys import Mended
from daemon.resync.on_demand import OnDemand
from mappers.errors import ChangeoverError, FencedError, NotReadyError, RecordError, TransientError

log = logging.getLogger(__name__)
VERSION = 1
KEYS_MAX = 100
RETRY_AFTER_S = 1


class Refused(Exception):
    """The request cannot be taken as it is; the text says why, and is shown to whoever asked."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for."""

    table: str
    keys: tuple[tuple[str, ...], ...]


def wanted(body: bytes, tables: Mapping[str, MappedTable]) -> Wanted:
    """What {"table": T, "key": [..]} or {"table": T, "keys": [[..], ..]} asks for. Raises Refused. Pure."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if not isinstance(asked, dict) or asked.keys() not in ({"table", "key"}, {"table", "keys"}):
        raise Refused('the body must be {"table": "schema.name", "key": [..]}, or "keys": [[..], ..]')
    table = asked["table"]
    if not isinstance(table, str) or table not in tables:
        raise Refused("table: not a source table of the mapping, as schema.name")
    keys = [asked["key"]] if "key" in asked else asked["keys"]
    if not isinstance(keys, list) or not 1 <= len(keys) <= KEYS_MAX:
        raise Refused(f"keys: must be a list of 1 to {KEYS_MAX} keys")
    try:
        return Wanted(table, tuple(dict.fromkeys(key_of_json(key, tables[table].form.columns) for key in keys)))
    except RecordError as error:
        raise Refused(str(error)) from None


def authorised(header: str, token: str) -> bool:
    """Whether an Authorization header bears the token; takes as long for a near miss as for any other."""
    scheme, _, given = header.partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def endpoint(token: str, bucket: TokenBucket, service: Callable[[], OnDemand | None]) -> Post:
    """What answers POST /resync. token: empty where none is configured. service: None while the daemon starts."""

    def answer(body: bytes, authorization: str, remote: str) -> Answer:
        if not token:
            return _error(HTTPStatus.NOT_FOUND, "this endpoint is off: no http.token is configured")
        if not authorised(authorization, token):
            return _error(HTTPStatus.UNAUTHORIZED, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
        if wait_s := bucket.take():
            return _error(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", _after(math.ceil(wait_s)))
        moves = service()
        if moves is None:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the daemon is starting", _after(RETRY_AFTER_S))
        return _answer(body, remote, moves)

    return answer


def _answer(body: bytes, remote: str, moves: OnDemand) -> Answer:
    try:
        asked = wanted(body, moves.tables)
    except Refused as error:
        return _error(HTTPStatus.BAD_REQUEST, str(error))
    try:
        mended = moves.move(asked.table, asked.keys, f"http {remote}")
    except ChangeoverError as error:
        log.warning("a row could not be moved: %s", error, extra={"table": asked.table})
        return _failed(error)
    return json_answer(HTTPStatus.OK, shown(asked, mended))


def shown(asked: Wanted, mended: Mended) -> dict[str, Any]:
    """What a request is answered."""
    return {
        "version": VERSION,
        "table": asked.table,
        "keys": len(asked.keys),
        "found": mended.found,
        "missing": len(asked.keys) - mended.found,
        "filtered": mended.filtered,
        "snapshot": str(mended.snapshot),
    }


def _failed(error: ChangeoverError) -> Answer:
    if isinstance(error, NotReadyError):
        return _error(HTTPStatus.CONFLICT, error.what, _after(RETRY_AFTER_S))
    if isinstance(error, TransientError):
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "not done in time; the log says why", _after(RETRY_AFTER_S))
    if isinstance(error, FencedError):
        return _error(HTTPStatus.CONFLICT, error.what)
    if isinstance(error, RecordError):
        if error.where.startswith("table "):  # a key that is none: it never came to the target
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        return _error(HTTPStatus.UNPROCESSABLE_ENTITY, redact(error.what))
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "could not be answered; the log says why")


def _after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _error(code: HTTPStatus, what: str, headers: Mapping[str, str] | None = None) -> Answer:
    return json_answer(code, {"error": what}, headers)
