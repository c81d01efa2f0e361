"""`GET /metrics` for those who read JSON: what one gateway does, in the shape that clients of `team.md` know.

Its server had queues of jobs; what corresponds to them here are the commands that this process sends to the services.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from services.gateway.hub import Hub
from services.gateway.rest import json_response
from shared.bus.codec import JSON
from shared.bus.requests import Requests
from shared.contracts import messages, presence

STATUS = Path("/proc/self/status")


class Figures:
    """Tells how a gateway is doing."""

    def __init__(self, hub: Hub, requests: Requests) -> None:
        self._hub = hub
        self._requests = requests
        self._began = time.monotonic()

    async def answer(self, _request: web.Request) -> web.Response:
        """The figures of this moment."""
        return json_response(
            {
                "connections": len(self._hub.connections),
                "messageQueueJobs": self._jobs(messages.COMMANDS),
                "presenceQueueJobs": self._jobs(presence.COMMANDS),
                "memoryUsage": self._memory(),
                "uptime": round(time.monotonic() - self._began, 3),
            }
        )

    def _jobs(self, kinds: Iterable[str]) -> JSON:
        jobs = [self._requests.jobs[kind] for kind in kinds]
        unanswered = sum(job.unanswered for job in jobs)
        waiting = min(unanswered, sum(job.unconfirmed for job in jobs))
        return {
            "waiting": waiting,
            "active": unanswered - waiting,
            "completed": sum(job.completed for job in jobs),
            "failed": sum(job.failed for job in jobs),
        }

    def _memory(self) -> JSON:
        """Bytes: as far as they go, in the terms of the document."""
        own = _status()
        unsent = sum(connection.transport.get_write_buffer_size() for connection in self._hub.connections.values())
        return {
            "rss": own.get("VmRSS", 0),
            "heapUsed": own.get("RssAnon", 0),
            "heapTotal": own.get("VmData", 0),
            "external": own.get("RssFile", 0) + own.get("RssShmem", 0),
            "arrayBuffers": unsent,
        }


def _status() -> dict[str, int]:
    """What the kernel says of this process's memory (proc_pid_status(5)); nothing where there is no such kernel."""
    if not STATUS.exists():
        return {}
    lines = (line.split() for line in STATUS.read_text(encoding="utf-8").splitlines())
    return {words[0][:-1]: int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
