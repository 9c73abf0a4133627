"""A broker that is not there is said to be so, within the time limit."""

from __future__ import annotations

import pytest

from connectors.kafka.consumer import settings
from connectors.kafka.log import LogReader
from mappers.errors import TransientError


def test_a_broker_that_is_not_there_is_a_transient_error() -> None:
    log = LogReader(settings("127.0.0.1:1", "nobody", {}), timeout_s=0.5)
    try:
        with pytest.raises(TransientError, match=r"kafka 127\.0\.0\.1:1"):
            log.bounds(("t", 0))
        with pytest.raises(TransientError, match=r"kafka 127\.0\.0\.1:1"):
            list(log.read({("t", 0): (0, 5)}))
    finally:
        log.close()
