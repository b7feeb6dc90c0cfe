"""Bounds of the couriers to centres that config/limits.py has no room for."""

from __future__ import annotations

from config.limits import GB26875_ROUND_NS_MAX, POST_CONNECT_NS, POST_RECONNECT_NS_MIN, S

POST_GRACE_NS = 2 * S  # a path that was good and is back by then was never lost: no sound for it
POST_FIRE_RECONNECT_NS = 1 * S  # between attempts to connect while a fire waits
GB26875_ORDER_AGAIN_NS = 40 * S  # the very same order within it is a resend of it (6.5: 4 x 10 s)

assert POST_RECONNECT_NS_MIN <= POST_FIRE_RECONNECT_NS
assert POST_FIRE_RECONNECT_NS + POST_CONNECT_NS < GB26875_ROUND_NS_MAX, "a fire is at it by then"
