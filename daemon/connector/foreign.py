"""A connector that somebody else runs: the daemon does not start on settings that would lose or change data."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from connectors.kafka.connect import Connect
from connectors.kafka.connector_check import setting_faults
from connectors.tables import MappedTable
from daemon.config.model import Config
from daemon.doctor.case import wanted_of
from daemon.logs import is_secret
from mappers.errors import FatalError

log = logging.getLogger(__name__)


def check_foreign(config: Config, tables: Mapping[str, MappedTable]) -> None:
    """Look at the settings of a connector with `managed: false`; where there is none such, do nothing.

    Raises FatalError with every harmful setting, TransientError while Kafka Connect does not answer.
    """
    section = config.connect
    if section is None or section.managed:
        return
    with Connect(section.url) as connect:
        where, settings = f"{connect.where} connector {section.connector}", connect.config(section.connector)
    if settings is None:
        raise FatalError("there is no such connector", where=where, hint="set connect.connector to its name")
    entries = [entry for mapped in tables.values() for entry in mapped.entries]
    faults = setting_faults(settings, wanted_of(config, entries))
    for fault in faults:
        if not fault.harmful:
            log.warning("%s: %s: %s", where, fault.setting, fault.why)
    harmful = [
        f"{fault.setting} is {'***' if is_secret(fault.setting) else fault.value}, with which {fault.why}"
        for fault in faults
        if fault.harmful
    ]
    if harmful:
        raise FatalError("; ".join(harmful), where=where, hint="`changeover doctor` says how to mend each")
