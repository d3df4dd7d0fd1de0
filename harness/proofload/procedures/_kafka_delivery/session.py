"""For how long a group of workers keeps the share of a silent member: as asked, or the least that its broker takes."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported, not declared

SESSION = "{session_s}"
"""In values of a scenario's `env`: that time, in seconds."""
LEAST_S = 6.0
"""Kafka's own, where nobody changed it: supposed of a broker that does not tell."""
_SETTING = "group.min.session.timeout.ms"
_ASKING_S = 5.0


def session_told(env: Mapping[str, str], asked_s: float, bootstrap: str, *, embedded: bool) -> float | None:
    """What workers with this environment are told; None where it tells them nothing. The embedded broker takes all."""
    if not any(SESSION in value for value in env.values()):
        return None
    return asked_s if embedded else max(asked_s, least_session_s(bootstrap))


def least_session_s(bootstrap: str) -> float:
    """What the broker has for `group.min.session.timeout.ms`: it refuses members that ask for less."""
    asker = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        node = next(iter(asker.list_topics(timeout=_ASKING_S).brokers))
        asked = ConfigResource(ConfigResource.Type.BROKER, str(node))
        told = asker.describe_configs([asked], request_timeout=_ASKING_S)[asked].result()
    except KafkaException:
        return LEAST_S
    found = told.get(_SETTING)
    return LEAST_S if found is None or found.value is None else float(found.value) / 1000
