"""Every bound of open data; a part of config.limits that outgrew its file."""

from __future__ import annotations

from config.limits import COURIER_WINDOW, FANOUT_NS, MS, S

OPENDATA_THINGS_MAX = 2_000  # zones, points and outputs with a topic of their own
OPENDATA_EVERY_NS_DEFAULT = 10 * S  # a value that moves is told at most so often
OPENDATA_EVERY_NS_MIN = 1 * S
OPENDATA_EVERY_NS_MAX = 3_600 * S
OPENDATA_SILENT_NS = 10 * S  # a field process without a picture for so long is asked anew
OPENDATA_ASK_NS = 5 * S  # how often the status of field and record is asked for
OPENDATA_WINDOW = 12  # messages on their way to the broker
OPENDATA_TICK_NS = 100 * MS
OPENDATA_TICK_MESSAGES = 40  # at most 400 messages a second, whatever the broker takes
OPENDATA_REFUSED_NS = 10 * S  # what the broker refused is tried again so often
OPENDATA_STALL_NS = 30 * S  # a broker that acknowledges nothing for so long is left
OPENDATA_LIST_WAIT_NS = 1 * S  # what was announced before comes in this time, or there is none
OPENDATA_LIST_BYTES_MAX = 256 * 1024
OPENDATA_BIRTH_NS_MIN = 1 * S  # after a birth message: not all gateways of a city at once
OPENDATA_BIRTH_NS_MAX = 10 * S
OPENDATA_BIRTH_EVERY_NS = 60 * S  # and not again before
OPENDATA_FAULTS_MAX = 20  # texts of faults that are told; the count says how many there are
SCRAPE_REQUEST_BYTES_MAX = 8 * 1024
SCRAPE_HEADERS_MAX = 64
SCRAPE_CONNECTIONS_MAX = 8
SCRAPE_READ_NS = 5 * S  # the whole request
SCRAPE_WRITE_NS = 10 * S  # the whole answer
SCRAPE_EVERY_NS = 1 * S  # the text is made at most so often, however many ask
SCRAPE_LABEL_CHARS_MAX = 200
SCRAPE_FAULTS_MAX = 200

assert OPENDATA_SILENT_NS > 2 * FANOUT_NS
assert OPENDATA_WINDOW <= COURIER_WINDOW, "the slots of the connection"
