"""Bounds of the couriers to centres that config/limits.py has no room for."""

from __future__ import annotations

from config.limits import GB26875_ROUND_NS_MAX, POST_CONNECT_NS, POST_RECONNECT_NS_MIN, S

POST_GRACE_NS = 2 * S  # a path that was good and is back by then was never lost: no sound for it
DC09_FIRES_IN_ROW_MAX = 16  # then something else has a turn, where a receiver takes one by one
POST_FIRE_RECONNECT_NS = 1 * S  # between attempts to connect while a fire waits

assert POST_RECONNECT_NS_MIN <= POST_FIRE_RECONNECT_NS
assert POST_FIRE_RECONNECT_NS + POST_CONNECT_NS < GB26875_ROUND_NS_MAX, "a fire is at it by then"
