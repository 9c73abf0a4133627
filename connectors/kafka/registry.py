"""A schema registry, as far as `doctor` asks it."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from mappers.errors import FatalError, TransientError


def registry_answers(url: str, timeout_s: float = 5) -> str:
    """What a registry with Confluent's interface says of itself. Raises TransientError or FatalError."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"
    hint = "start it, or correct kafka.schema_registry"
    try:
        answer = httpx.get(f"{url.rstrip('/')}/subjects", timeout=timeout_s)
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise TransientError(f"it does not answer ({reason})", where=f"registry {where}", hint=hint) from error
    if not answer.is_success:
        what = f"it answers {answer.status_code} to /subjects"
        raise FatalError(what, where=f"registry {where}", hint="set kafka.schema_registry to Confluent's interface")
    return f"{where} answers"
