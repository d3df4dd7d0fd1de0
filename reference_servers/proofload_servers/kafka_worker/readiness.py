"""A service that is ready only when messages reach it."""

from __future__ import annotations

from typing import Any

from proofload_servers.serving import Service


class StreamService(Service):
    """As Service; `ready` holds only while `reading` is set: the group has given this worker its share."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.reading = False

    @property
    def ready(self) -> bool:
        return super().ready and self.reading
