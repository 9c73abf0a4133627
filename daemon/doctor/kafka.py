"""Kafka: are the topics there, whole, and will they keep events for as long as it takes? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.chunks import ChunkState
from connectors.kafka.cluster import TopicState
from connectors.kafka.topics import MESSAGE_BYTES_MAX, heartbeat_topic
from daemon.doctor.case import CONTROL, KAFKA, REGISTRY, SOURCE, Case
from daemon.doctor.findings import Check, Fault, How, Skipped, Verdict, fail, warn
from daemon.doctor.source import made, start_over
from daemon.doctor.words import counted, duration, size
from daemon.sources import stream_of

AREA = "kafka"
NEED = (KAFKA,)
ASSUMED_BYTES_PER_S = 10e6
"""How fast a backfill is taken to be before this one has shown it."""
BACKFILL_TIMES = 2.0
"""Retention shorter than this many times the backfill's expected length is a risk."""


def _reachable(case: Case) -> Verdict:
    if KAFKA in case.errors:
        seen, mend = case.errors[KAFKA]
        return [fail(seen, mend or "start it, or correct kafka.bootstrap_servers", How.SETTING)]
    return f"{case.kafka.where.removeprefix('kafka ')} answers, {counted(case.kafka.brokers, 'broker')}"


def _topics(case: Case) -> Verdict:
    known = {position.topic for position in case.found_control.positions} if case.found_control else set()
    faults = []
    for name in case.topics:
        if name in case.kafka.topics:
            continue
        if name in known:
            faults.append(fail("the topic is gone, with events that nobody can bring back", *start_over(case), name))
        else:
            faults.append(fail("there is no such topic yet", *_created(case, name), name))
    return faults or counted(len(case.kafka.topics), "topic")


def _created(case: Case, name: str) -> tuple[str, How]:
    kafka = case.config.kafka
    prefix = case.config.source.topic_prefix
    single = name in (stream_of(case.config.source.kind).messages(prefix), heartbeat_topic(prefix))
    settings = {"cleanup.policy": "delete", "retention.ms": _wanted_ms(case), "max.message.bytes": MESSAGE_BYTES_MAX}
    configs = " ".join(f"--config {key}={value}" for key, value in settings.items())
    command = (
        f"kafka-topics --bootstrap-server {kafka.bootstrap_servers} --create --topic {name} "
        f"--partitions {1 if single else kafka.partitions} --replication-factor {kafka.replication_factor} {configs}"
    )
    return made(case, "") if case.managed else (command, How.SHELL)


def _wanted_ms(case: Case) -> int:
    return round(case.config.kafka.retention_h * 3_600_000)


def _alter(case: Case, topic: str, setting: str, value: object) -> tuple[str, How]:
    command = f"kafka-configs --bootstrap-server {case.config.kafka.bootstrap_servers} --alter --entity-type topics"
    return f"{command} --entity-name {topic} --add-config {setting}={value}", How.SHELL


def _partitions(case: Case) -> Verdict:
    begun = _begun(case)
    tables = set(case.table_topics.values())
    faults = []
    for name, topic in case.kafka.topics.items():
        if name in begun:
            if topic.partitions != begun[name]:
                seen = f"it has {counted(topic.partitions, 'partition')}, the pipeline began with {begun[name]}"
                faults.append(fail(seen, *start_over(case), name))
        elif case.managed and name in tables and topic.partitions != case.config.kafka.partitions:
            seen = f"it has {counted(topic.partitions, 'partition')}, configured are {case.config.kafka.partitions}"
            faults.append(fail(seen, f"kafka.partitions: {topic.partitions}", How.FILE, name))
    return faults or "as configured, and as the pipeline began"


def _begun(case: Case) -> dict[str, int]:
    """Topic -> its partitions when the pipeline began."""
    found: dict[str, int] = {}
    for position in case.found_control.positions if case.found_control else ():
        found[position.topic] = found.get(position.topic, 0) + 1
    return found


def _ids(case: Case) -> Verdict:
    known = {position.topic: position.topic_id for position in case.control.positions}
    faults = [
        fail("it was deleted and created again since the pipeline began", *start_over(case), name)
        for name, topic in case.kafka.topics.items()
        if name in known and known[name] != topic.topic_id
    ]
    return faults or "no topic was made anew"


def _positions(case: Case) -> Verdict:
    kafka, faults = case.kafka, []
    for position in case.control.positions:
        where = (position.topic, position.partition)
        low, high = kafka.low.get(where), kafka.high.get(where)
        about = f"{position.topic}[{position.partition}]"
        if low is not None and position.next_offset < low:
            seen = f"the position {position.next_offset} is before its beginning ({low}): unread events were removed"
            faults.append(fail(seen, *start_over(case), about))
        elif high is not None and position.next_offset > high:
            seen = f"the position {position.next_offset} is past its end ({high}): it is not the topic it was"
            faults.append(fail(seen, *start_over(case), about))
    return faults or f"{counted(len(case.control.positions), 'position')}, all within their partitions"


def _policy(case: Case) -> Verdict:
    faults = [
        fail(
            "cleanup.policy is " + policy + ": compaction removes events",
            *_alter(case, name, "cleanup.policy", "delete"),
            name,
        )
        for name, topic in case.kafka.topics.items()
        if "compact" in (policy := topic.settings.get("cleanup.policy", ""))
    ]
    return faults or "delete"


def _retention(case: Case) -> Verdict:
    """Longer than the configuration says, and than the backfill takes."""
    faults = []
    wanted_ms, backfill_s = _wanted_ms(case), backfill_left_s(case)
    for topic in case.kafka.topics.values():
        faults += list(_kept(case, topic, wanted_ms, backfill_s))
    estimate = f"the backfill takes about {duration(backfill_s)} more" if backfill_s else "no backfill is left"
    return faults or f"at least {duration(wanted_ms / 1000)}; {estimate}"


def _kept(case: Case, topic: TopicState, wanted_ms: int, backfill_s: float) -> Iterator[Fault]:
    kept_ms = _number(topic, "retention.ms")
    mend = _alter(case, topic.name, "retention.ms", max(wanted_ms, round(backfill_s * 1000 * BACKFILL_TIMES)))
    if kept_ms >= 0:
        seen = f"retention.ms is {kept_ms} ({duration(kept_ms / 1000)})"
        if kept_ms / 1000 < backfill_s:
            yield fail(f"{seen}, and the backfill takes about {duration(backfill_s)}", *mend, topic.name)
        elif kept_ms < wanted_ms:
            yield warn(f"{seen}, below kafka.retention_h ({wanted_ms} ms)", *mend, topic.name)
        elif kept_ms / 1000 < backfill_s * BACKFILL_TIMES:
            yield warn(f"{seen}, and the backfill takes about {duration(backfill_s)}", *mend, topic.name)


def _retention_bytes(case: Case) -> Verdict:
    faults = []
    for name, topic in case.kafka.topics.items():
        if (kept := _number(topic, "retention.bytes")) >= 0:
            seen = f"retention.bytes is {kept} ({size(kept)}): unread events may be removed whatever their age"
            faults.append(warn(seen, *_alter(case, name, "retention.bytes", -1), name))
    return faults or "no topic has one"


def _number(topic: TopicState, setting: str) -> int:
    """A topic's setting; -1 (no limit) where it is not told."""
    try:
        return int(topic.settings.get(setting, "-1"))
    except ValueError:
        return -1


def backfill_left_s(case: Case) -> float:
    """About how many seconds of backfill are left: by its own speed, else by an assumed one. 0 where none is left."""
    chunks = case.found_control.chunks if case.found_control else ()
    left = [chunk for chunk in chunks if chunk.state is not ChunkState.DONE]
    tables = case.source_tables
    total = sum(table.bytes_estimate for table in tables.values())
    rows = sum(table.rows_estimate for table in tables.values())
    share = len(left) / len(chunks) if chunks else 1.0
    limit = case.config.backfill.rows_per_second
    by_rate = rows * share / limit if limit else 0.0
    done = sum(chunk.bytes for chunk in chunks)
    took = case.found_control.backfill_s if case.found_control else 0.0
    speed = done / took if took > 1 and done and left else ASSUMED_BYTES_PER_S
    return max(total * share / speed, by_rate)


def _unread(case: Case) -> Verdict:
    """Events that wait, and how near they are to being removed."""
    faults, waiting = [], 0
    for position in case.control.positions:
        where = (position.topic, position.partition)
        high = case.kafka.high.get(where, position.next_offset)
        waiting += max(0, high - position.next_offset)
        first = case.half_old.get(where)
        if first is not None and position.next_offset < (high if first < 0 else first):
            seen = "its oldest unread event is older than half of the topic's retention"
            about = f"{position.topic}[{position.partition}]"
            faults.append(warn(seen, *_alter(case, position.topic, "retention.ms", _wanted_ms(case) * 2), about))
    return faults or f"{waiting:,} events wait, none near its removal"


def _message_size(case: Case) -> Verdict:
    faults = []
    for name, topic in case.kafka.topics.items():
        limit = _number(topic, "max.message.bytes")
        if name != heartbeat_topic(case.config.source.topic_prefix) and 0 <= limit < MESSAGE_BYTES_MAX:
            seen = f"max.message.bytes is {limit} ({size(limit)}): a larger row stops the connector"
            faults.append(warn(seen, *_alter(case, name, "max.message.bytes", MESSAGE_BYTES_MAX), name))
    return faults or f"events may have {size(MESSAGE_BYTES_MAX)}"


def _copies(case: Case) -> Verdict:
    faults = []
    for name, topic in case.kafka.topics.items():
        least = max(1, _number(topic, "min.insync.replicas"))
        if topic.leaderless:
            seen = f"nobody serves partition {', '.join(map(str, topic.leaderless))}"
            faults.append(fail(seen, "start the brokers that have its copies", How.SETTING, name))
        elif topic.in_sync < least or topic.replicas < least:
            seen = f"{topic.in_sync} of {topic.replicas} copies are in sync, min.insync.replicas is {least}: "
            mend = _alter(case, name, "min.insync.replicas", max(1, topic.replicas - 1))
            faults.append(fail(f"{seen}nothing can be written", *mend, name))
        elif topic.replicas > 1 and topic.replicas == least:
            seen = f"min.insync.replicas is {least}, of as many copies: one broker's stop stops the stream"
            faults.append(warn(seen, *_alter(case, name, "min.insync.replicas", topic.replicas - 1), name))
        elif topic.replicas == 1 and case.kafka.brokers > 1:
            seen = f"it has one copy, on a cluster of {case.kafka.brokers} brokers"
            text = "kafka-reassign-partitions, to 3 copies; and kafka.replication_factor for later topics"
            faults.append(warn(seen, text, How.SETTING, name))
        elif topic.settings.get("unclean.leader.election.enable") == "true":
            seen = "unclean.leader.election.enable is true: written events may be lost"
            faults.append(warn(seen, *_alter(case, name, "unclean.leader.election.enable", "false"), name))
    return faults or "every partition has its copies in sync"


def _registry(case: Case) -> Verdict:
    if case.config.kafka.schema_registry is None:
        return Skipped("kafka.schema_registry is not configured")
    if REGISTRY in case.errors:
        seen, mend = case.errors[REGISTRY]
        return [fail(seen, mend or "start it, or correct kafka.schema_registry", How.SETTING)]
    return case.registry_said


CHECKS = (
    Check("reachable", "a broker answers", _reachable),
    Check("topics", "every topic of the stream is there", _topics, NEED),
    Check("partitions", "as many as configured, and as the pipeline began with", _partitions, NEED),
    Check("same topics", "no topic was deleted and created again", _ids, (KAFKA, CONTROL)),
    Check("positions", "every position is within its partition", _positions, (KAFKA, CONTROL)),
    Check("cleanup policy", "no topic is compacted", _policy, NEED),
    Check("retention", "events outlive the backfill, and are kept as long as configured", _retention, (KAFKA, SOURCE)),
    Check("retention by size", "events are not removed by size", _retention_bytes, NEED),
    Check("unread events", "no unread event is near its removal", _unread, (KAFKA, CONTROL)),
    Check("message size", "large rows fit", _message_size, NEED),
    Check(
        "copies", "every partition is served, and outlives the stop of a broker where there are several", _copies, NEED
    ),
)
REGISTRY_CHECKS = (Check("reachable", "the schema registry answers, where one is configured", _registry),)
