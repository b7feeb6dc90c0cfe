"""What a signature is over: the content type in the protected header keeps kinds apart."""

from __future__ import annotations

BATCH_TYPE = "application/vnd.embergate.batch+cbor"
ACK_TYPE = "application/vnd.embergate.ack+cbor"
COMMAND_TYPE = "application/vnd.embergate.command+cbor"
HEARTBEAT_TYPE = "application/vnd.embergate.heartbeat+cbor"
