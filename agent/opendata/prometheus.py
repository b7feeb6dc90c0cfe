"""`embergate courier NAME` of kind prometheus: metrics for this machine, over HTTP on loopback.

The text is made when somebody asks, at most once a second, and all who ask get the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from pathlib import Path
from typing import Any

from agent.courier.until_told import until_told
from agent.notify import Notifier
from agent.opendata.exposition import CONTENT_TYPE, Exposition, labels
from agent.opendata.http import HttpServer, Request
from agent.opendata.known import Known, read_known, status_of
from agent.opendata.metrics import tell_field, tell_gateway, tell_record
from agent.opendata.picture import Picture, Watch
from agent.opendata.point_metrics import PointMetrics
from config.limits import CONTROL_RETRY_NS, COURIER_TICK_NS, S
from config.opendata_limits import OPENDATA_ASK_NS, SCRAPE_EVERY_NS

log = logging.getLogger("embergate.opendata")


def read_task(plan: Path, name: str) -> Known:
    """This courier's lines of the plan. Raises PlanError, SettingsProblem."""
    return read_known(plan, name, "prometheus")


async def run(known: Known, record_socket: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    exporter = Exporter(known, record_socket, random.Random())  # noqa: S311 -- jitter, not a secret
    await until_told(exporter.run)


class Exporter:
    """The picture, what the processes say of themselves, and the text of both."""

    def __init__(self, known: Known, record_socket: Path, rng: random.Random) -> None:
        self._known = known
        self._sockets = {"field": record_socket.with_name("field.sock"), "record": record_socket}
        self._watch = Watch(self._sockets["field"], known.points, rng, self._shown)
        self._server = HttpServer(self._page)
        self._picture: Picture | None = None
        self._points: PointMetrics | None = None
        self._said: dict[str, dict[str, Any] | None] = {"field": None, "record": None}
        self._asked_ns = 0
        self._text = b""
        self._text_ns = 0
        self._making = asyncio.Lock()
        self._scrapes = 0
        self._notifier = Notifier()

    async def run(self, stop: asyncio.Event) -> None:
        """All loops until `stop`."""
        self._notifier.ready("started")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._watch.run()),
                group.create_task(self._listen()),
                group.create_task(self._ticks()),
            ]
            await stop.wait()
            self._notifier.stopping()
            for task in tasks:
                task.cancel()
        await self._server.stop()

    async def _listen(self) -> None:
        host, port = self._known.settings["host"], self._known.settings["port"]
        told = ""
        while True:
            try:
                await self._server.start(host, port)
            except OSError as e:
                if str(e) != told:  # perhaps another program has the port
                    told = str(e)
                    log.warning("cannot listen on %s port %d: %s", host, port, e.strerror)
                await asyncio.sleep(CONTROL_RETRY_NS / S)
            else:
                log.info("metrics on %s port %d", host, port)
                return

    async def _ticks(self) -> None:
        while True:
            self._notifier.watchdog()
            await asyncio.sleep(COURIER_TICK_NS / S)

    def _shown(self, picture: Picture | None) -> None:
        if picture is not None:
            picture.forget_moves()
            if picture is not self._picture:
                self._points = PointMetrics(self._known, picture.units)
        self._picture = picture

    async def _page(self, request: Request) -> tuple[int, str, bytes]:
        if request.path != "/metrics":
            return 404, "text/plain; charset=utf-8", b"metrics are at /metrics\n"
        self._scrapes += 1
        async with self._making:
            now_ns = time.monotonic_ns()
            if not self._text or now_ns - self._text_ns >= SCRAPE_EVERY_NS:
                await self._ask(now_ns)
                self._text = self._make()
                self._text_ns = time.monotonic_ns()
        return 200, CONTENT_TYPE, self._text

    async def _ask(self, now_ns: int) -> None:
        if self._asked_ns and now_ns - self._asked_ns < OPENDATA_ASK_NS:
            return
        replies = await asyncio.gather(*(status_of(path) for path in self._sockets.values()))
        self._said = dict(zip(self._sockets, replies, strict=True))
        self._asked_ns = now_ns

    def _make(self) -> bytes:
        began_ns = time.monotonic_ns()
        out = Exposition()
        known, picture = self._known, self._picture
        field, record = self._said["field"], self._said["record"]
        of = labels({"site": known.site, "name": known.site_name})
        out.add("embergate_site_info", "gauge", "which site this is", [(of, 1)])
        out.gauge("embergate_field_up", "1 when the field process shows its points",
                  picture is not None)  # fmt: skip
        out.gauge("embergate_record_up", "1 when the record process answers", record is not None)
        if picture is not None and self._points is not None:
            tell_gateway(out, picture)
            self._points.tell(out, picture)
        if field is not None:
            tell_field(out, field)
        if record is not None:
            tell_record(out, record)
        out.counter("embergate_metrics_scrapes_total", "requests for this text", self._scrapes)
        out.counter("embergate_metrics_refused_total", "requests that were refused or cut off",
                    self._server.refused)  # fmt: skip
        taken_s = (time.monotonic_ns() - began_ns) / S
        out.gauge("embergate_metrics_make_seconds", "what making this text took", taken_s)
        return out.data()
