"""One MQTT connection: paho's packets over our own wire, from CONNECT to its end.

Every connection is a fresh client object. The library's own memory of messages, its reconnecting
and its queue are not used: on a reconnect it would send everything it remembers at once, whatever
was set as its limit, and it counts a refused message as published.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.courier.broker import Address
from agent.courier.wire import Wire
from config.limits import (
    COURIER_FIRE_WINDOW,
    COURIER_WINDOW,
    MQTT_CONNACK_WAIT_NS,
    MQTT_CONNECT_WAIT_NS,
    MQTT_KEEPALIVE_S,
    MQTT_LEGACY_NS,
    S,
)
from config.system_error import reason

V5 = MQTTProtocolVersion.MQTTv5
V311 = MQTTProtocolVersion.MQTTv311

_VERSION_REFUSED = 0x84  # "Unsupported Protocol Version", 3.2.2.2; paho maps 3.1.1's code 1 to it
NO_SUBSCRIBER = 0x10  # "No matching subscribers", 3.4.2.1: taken, and nobody is there
FAILED = 0x80  # this and above: not taken
_RETAIN_REFUSED = 0x9A  # "Retain not supported", 3.2.2.2: of a will that is to be retained
RECEIVE_MAX_DEFAULT = 65_535
_INFLIGHT = COURIER_WINDOW + COURIER_FIRE_WINDOW + 1
_PUBLISH_OVERHEAD = 16  # fixed header, topic length, message id, properties


class LinkError(Exception):
    """A connection that did not come about, or ended. `version`: the broker has no such version;
    `retain`: it retains nothing, and so refuses our will."""

    def __init__(self, text: str, *, version: bool = False, retain: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.version = version
        self.retain = retain


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says of us when we vanish. A hint, never evidence."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Dial:
    """How to connect. `topics` are subscribed before the connection counts as up; `wanted` too, and
    a broker that refuses one of these is used all the same: a fire does not wait for a listener."""

    address: Address
    client_id: str
    topics: tuple[str, ...]
    packet_bytes_max: int  # larger packets from the broker end the connection
    will: Will | None = None
    receive_max: int = _INFLIGHT  # messages that the broker may send ahead of our PUBACK
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told. Called in the loop, never after `ended`."""

    message: Callable[[str, bytes], None]
    puback: Callable[[int, int], None]  # (message id, reason code; 0 for 3.1.1)
    room: Callable[[], None]  # something moved: more can perhaps be published
    ended: Callable[[str], None]


class Link:
    """A connection that is up. Made by `connect`."""

    def __init__(self, dial: Dial, version: MQTTProtocolVersion, listener: Listener) -> None:
        self._listener = listener
        self._dial = dial
        self.version = version
        self.receive_max = RECEIVE_MAX_DEFAULT
        self.packet_max = 0xFFFF_FFFF
        self.retains = True
        self.refused: dict[str, str] = {}  # of the topics that were wanted: why not
        self._loop = asyncio.get_running_loop()
        self._wire = Wire(dial.packet_bytes_max)
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._live = False  # handed out: `ended` will be called once
        self._over = False
        self._why = ""
        self._misc: asyncio.TimerHandle | None = None
        self._client = self._make_client()

    @property
    def is_up(self) -> bool:
        """Handed out and not ended."""
        return self._live and not self._over

    @property
    def writable(self) -> bool:
        """The network takes more."""
        return self._wire.writable

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        """Publish at QoS 1; the message id, or None when it cannot go now."""
        if self._over:
            return None
        info = self._client.publish(topic, payload, qos=1, retain=retain and self.retains)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(f"could not publish: {paho.error_string(info.rc)}")
            return None
        return info.mid

    def publish_once(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 0: it arrives once or not at all, and takes no slot.

        Not at all where the broker takes no packet of that size: it would end the connection.
        """
        if not self._over and self.takes(topic, payload):
            self._client.publish(topic, payload, qos=0, retain=retain and self.retains)

    def takes(self, topic: str, payload: bytes) -> bool:
        """Whether the broker takes a packet of that size (MQTT 5, 3.2.2.3.6)."""
        return len(payload) + len(topic.encode()) + _PUBLISH_OVERHEAD <= self.packet_max

    def close(self) -> None:
        """DISCONNECT and end; `ended` is not called. What was published before still goes out."""
        self._over = True
        self._stop_misc()
        try:
            self._client.disconnect()
            self._client.loop_write()
        except Exception:  # noqa: BLE001 -- on the way out; the wire is closed in any case
            self._wire.close()
        self._wire.close()

    async def gone(self) -> None:
        """Wait until a closed connection is flushed and gone; bounded by the caller."""
        await self._wire.gone.wait()

    # --- coming up ---

    async def open(self) -> None:
        """Connect, CONNECT, SUBSCRIBE. Raises LinkError."""
        address = self._dial.address
        try:
            async with asyncio.timeout(MQTT_CONNECT_WAIT_NS / S):
                await self._loop.create_connection(
                    lambda: self._wire,
                    address.host,
                    address.port,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls else None,
                )
                self._wire.on_bytes = self._readable
                self._wire.on_lost = self._end
                self._say_hello()
                self._readable()
                await self._welcomed()
                self._subscribe()
                await self._subscribed
        except ssl.SSLCertVerificationError as e:
            raise LinkError(
                f"the broker's certificate is not to be trusted: {e.verify_message}"
            ) from e
        except TimeoutError:
            raise LinkError(f"no answer within {MQTT_CONNECT_WAIT_NS // S} s") from None
        except OSError as e:
            raise LinkError(reason(e)) from e
        else:
            if self._over:  # it came up and went in the same turn of the loop
                raise LinkError(self._why)
            self._live = True
        finally:
            if not self._live:
                self.close()
        self._schedule_misc()

    async def _welcomed(self) -> None:
        """Wait for CONNACK. Raises LinkError.

        A broker that takes version 5 for 3.1.1 reads a client id out of the properties and waits
        for the rest of it: silence is one way of having no version 5.
        """
        try:
            async with asyncio.timeout(MQTT_CONNACK_WAIT_NS / S):
                await self._up
        except TimeoutError:
            text = f"no CONNACK within {MQTT_CONNACK_WAIT_NS / S:g} s"
            raise LinkError(text, version=self.version == V5) from None

    def _make_client(self) -> paho.Client:
        dial = self._dial
        client = _Client(self._wire, dial.client_id, self.version)
        client.max_inflight_messages_set(_INFLIGHT)
        client.max_queued_messages_set(_INFLIGHT)
        if dial.address.username is not None:
            client.username_pw_set(dial.address.username, dial.address.password)
        if dial.will is not None:
            client.will_set(dial.will.topic, dial.will.payload, qos=1, retain=dial.will.retain)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _say_hello(self) -> None:
        address = self._dial.address
        if self.version != V5:
            self._client.connect(address.host, address.port, MQTT_KEEPALIVE_S)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # -- paho left it untyped
        properties.ReceiveMaximum = self._dial.receive_max
        properties.MaximumPacketSize = self._dial.packet_bytes_max
        self._client.connect(
            address.host, address.port, MQTT_KEEPALIVE_S, clean_start=True, properties=properties
        )

    def _subscribe(self) -> None:
        topics = (*self._dial.topics, *self._dial.wanted)
        self._client.subscribe([(topic, 1) for topic in topics])

    # --- the library's callbacks ---

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if self._up.done():
            self._end("a second CONNACK")
            return
        if reason.is_failure:
            self._up.set_exception(
                LinkError(
                    f"the broker refused: {reason.getName()}",
                    version=self.version == V5 and reason.value == _VERSION_REFUSED,
                    retain=reason.value == _RETAIN_REFUSED,
                )
            )
            return
        self.receive_max = getattr(properties, "ReceiveMaximum", RECEIVE_MAX_DEFAULT)
        self.packet_max = getattr(properties, "MaximumPacketSize", self.packet_max)
        self.retains = bool(getattr(properties, "RetainAvailable", 1))
        self._up.set_result(None)

    def _on_subscribe(
        self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if self._subscribed.done():
            return
        needed, wanted = len(self._dial.topics), self._dial.wanted
        bad = [reason for reason in reasons[:needed] if reason.is_failure]
        self.refused = {
            topic: reason.getName()
            for topic, reason in zip(wanted, reasons[needed:], strict=False)
            if reason.is_failure
        }
        if bad:
            self._subscribed.set_exception(
                LinkError(f"the broker refused to subscribe: {bad[0].getName()}")
            )
        else:
            self._subscribed.set_result(None)

    def _on_publish(
        self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if not self._over:
            self._listener.puback(mid, reason.value)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours: not even text
        if not self._over:
            self._listener.message(topic, bytes(message.payload))

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._end(f"the connection ended: {reason.getName()}")

    # --- between wire and library ---

    def _readable(self) -> None:
        try:
            while self._wire.pending and not self._over:
                before = self._wire.pending
                rc = self._client.loop_read()
                if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or self._wire.pending == before:
                    self._end(f"the broker broke the protocol: {paho.error_string(rc)}")
                    return
            while self._client.want_write() and not self._over:
                if self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    self._end("could not write")
                    return
        except Exception as e:  # noqa: BLE001 -- the library raises many types on odd packets
            self._end(f"the broker broke the protocol: {type(e).__name__}")
            return
        if self.is_up:
            self._listener.room()

    def _schedule_misc(self) -> None:
        self._misc = self._loop.call_later(1.0, self._misc_now)

    def _misc_now(self) -> None:
        if self._over:
            return
        try:
            self._client.loop_misc()  # keep-alive: PINGREQ, and the end when none is answered
        except Exception as e:  # noqa: BLE001 -- or nobody would look after the connection any more
            self._end(f"the connection ended: {type(e).__name__}")
        if not self._over:
            self._schedule_misc()

    def _stop_misc(self) -> None:
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None

    def _end(self, why: str) -> None:
        if self._over:
            return
        self._over = True
        self._why = why
        self._stop_misc()
        self._wire.close()
        # A broker that only knows 3.1.1 may close without a word instead of a CONNACK.
        before_connack = not self._up.done()
        error = LinkError(why, version=self.version == V5 and before_connack)
        for future in (self._up, self._subscribed):
            if not future.done():
                future.set_exception(error)
                future.exception()  # perhaps nobody waits for it any more
        if self._live:
            self._listener.ended(why)


class _Client(paho.Client):
    """paho's client on a connection that asyncio has made."""

    def __init__(self, wire: Wire, client_id: str, version: MQTTProtocolVersion) -> None:
        super().__init__(
            callback_api_version=CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if version == V5 else True,
            protocol=version,
            reconnect_on_failure=False,
        )
        self._wire = wire

    def _create_socket(self) -> Any:
        return self._wire


async def connect(dial: Dial, listener: Listener, *, legacy: bool = False) -> Link:
    """A connection that is up and subscribed: version 5, or 3.1.1 where the broker has no more.

    The older protocol goes to the same address with the same TLS, and only after version 5 was
    refused, or at once when that is known (`legacy`). A broker that retains nothing gets a will
    that is not retained. Raises LinkError.
    """
    try:
        return await _connect(dial, listener, legacy=legacy)
    except LinkError as e:
        if not e.retain or dial.will is None:
            raise
    dial = replace(dial, will=replace(dial.will, retain=False))
    return await _connect(dial, listener, legacy=legacy)


async def _connect(dial: Dial, listener: Listener, *, legacy: bool) -> Link:
    if not legacy:
        link = Link(dial, V5, listener)
        try:
            await link.open()
        except LinkError as e:
            if not e.version:
                raise
        else:
            return link
    link = Link(dial, V311, listener)
    await link.open()
    return link


class Dialer:
    """Connects, and remembers for a while that a broker has no version 5: finding out takes time.

    Only for a while, so that a broker that was updated is spoken to in version 5 in the end.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._legacy_until_ns = now_ns()

    async def connect(self, dial: Dial, listener: Listener) -> Link:
        """As the function of this name. Raises LinkError."""
        legacy = self._now_ns() < self._legacy_until_ns
        link = await connect(dial, listener, legacy=legacy)
        if link.version == V311 and not legacy:
            self._legacy_until_ns = self._now_ns() + MQTT_LEGACY_NS
        return link
