"""Every bound of the product in one place; the relations between them are asserted.

A queue, buffer, retry or wait that is not bounded by a name in this file is a defect. The file
lives in config because every layer may import config, and a bound is part of the place's contract.
"""

from __future__ import annotations

MS = 1_000_000
S = 1_000 * MS

# --- the site -----------------------------------------------------------------------------
POINTS_MAX = 20_000
LINES_MAX = 64
DEVICES_MAX = 1_000
OUTPUTS_MAX = 256
EFFECTS_MAX = 2_000
SITE_FILE_BYTES_MAX = 8 * 1024 * 1024
PLAN_BYTES_MAX = 32 * 1024 * 1024

# --- Modbus (Modbus Application Protocol V1.1b3, clause 6) ----------------------------------
MODBUS_READ_REGISTERS_MAX = 125
MODBUS_READ_BITS_MAX = 2_000
MODBUS_GAP_REGISTERS = 8  # unwanted registers (or 16 bits each) read rather than ask twice
MODBUS_RTU_CANDIDATES_MAX = 64  # checksums tried for one reply; noise needs one or none
MODBUS_RIDE_FACTOR_MAX = 4  # a covered want may ride a request at most this many times as fast
MODBUS_ADU_RTU_BYTES_MAX = 256
MODBUS_ADU_TCP_BYTES_MAX = 260
LINK_WRITE_BYTES_MAX = 2_048  # one request, or the answers to what came in one read
LINE_BUFFER_BYTES_MAX = 4_096  # more than this without a frame is a babbling line
ORDERS_PENDING_MAX = OUTPUTS_MAX  # level-triggered: one pending order an output at most

# --- polling ------------------------------------------------------------------------------
POLL_INTERVAL_NS_MIN = 50 * MS
POLL_INTERVAL_NS_MAX = 3_600 * S
REPLY_TIMEOUT_NS_DEFAULT = 300 * MS
REPLY_TIMEOUT_NS_MAX = 2 * S
CONNECT_TIMEOUT_NS = 2 * S
TCP_UNACKNOWLEDGED_NS_MAX = 5 * S  # then the kernel gives a connection up
RECONNECT_WAIT_NS_MIN = 200 * MS
RECONNECT_WAIT_NS_MAX = 5 * S
UNIT_BACKOFF_NS_MIN = 500 * MS
UNIT_BACKOFF_NS_MAX = 7 * S  # a revived unit is polled again within this
PROBE_PAUSE_FACTOR = 3  # probes of dead units take at most one part in (1 + this) of a line's time
DAMAGED_RETRY_NS = 20 * MS  # a reply with a wrong checksum is asked for again after this
MALFORMED_RUN_MAX = 4  # replies spoiled beyond recognition, in a row, that are not yet silence
NOISY_REPLIES = 64  # of a unit, after a damaged one, that are believed only when read twice alike
RTS_DRAIN_NS_MAX = 50 * MS  # a transmitter that is not empty by then is let go all the same
DOUBT_NS_MAX = 2 * S  # a read in doubt that is older says nothing of now
DAMAGED_WAIT_NS = 20 * MS  # after such a reply, nothing better is waited for longer than this
REST_GAP_NS = 100 * MS  # the rest of a reply that is late: with no byte for so long it has stopped
JAMS_RUN_MAX = 3  # waits for silence in vain, one after the other: the line is jammed ...
JAM_CLEAR_NS = 10 * S  # ... until there were none for this long
CONFIRM_NS_MAX = (
    250 * MS
)  # the second read that confirms an alarm comes by then, or is not waited for
COUNTERS_EVENT_NS = 3_600 * S  # the counters of every line go to the record this often
FREEZE_NS_MIN = 2 * S  # a heartbeat that stands still for less than this says nothing
FREEZE_NS_MAX = 60 * S
FREEZE_POLLS = 4  # reads of a heartbeat in the time after which it counts as frozen
ORDER_RETRY_NS_MIN = 100 * MS  # a siren order that failed is tried again after this ...
ORDER_RETRY_NS_MAX = 1 * S  # ... doubling up to this, for ever
REFRESH_PARTS = 3  # writes of a standing coil in the time after which its board would let go
ALARM_POLLS_RUN_MAX = 3  # alarm polls in a row while another poll waits
POLL_PHASES = 4  # devices are spread over so many phases: a burst is this part of them
PHASE_SPREAD_NS = 1 * S  # the time that the phases divide ...
FIRST_ROUND_NS = 250 * MS  # ... and the shorter one for the first polls
MASTER_IDLE_NS_MAX = 1 * S  # an idle bus master shows the watchdog that it lives
LINK_SILENCE_NS_MAX = 8 * S  # a connection on which every request goes unanswered is renewed
STALE_INTERVALS = 3  # a point is stale after this many missed polls ...
STALE_NS_MIN = 2 * S  # ... but never sooner than this
STALE_NS_MAX = 90 * S  # loss of a panel link is a fault within 100 s (GB 4717, EN 54-2)

# --- commands of a platform --------------------------------------------------------------------
COMMAND_BYTES_MAX = 65_536
COMMAND_LIFE_NS_MAX = 600 * S  # from issued to expires
COMMAND_EARLY_NS_MAX = 120 * S  # a platform's clock may be ahead of ours by so much
COMMANDS_PENDING_MAX = 8  # in a courier, until the record took them
COMMAND_OUTCOMES_WAITING_MAX = 64  # that wait for room to be put on record
DUTY_MINUTES_MAX = 10  # as long as the site waits for an answer, see DUTY_WAIT_NS
PROPOSAL_BYTES_MAX = 49_152
PROPOSALS_MAX = 8  # that are kept for somebody on the site; the oldest goes
RESEND_MAX = 10_000  # batches of one order
RESENDS_WAITING_MAX = 4  # orders of a courier

# --- panels on ports of their own ------------------------------------------------------------
PANEL_RECORD_BYTES_MAX = 1_024  # one printed event, one frame
PANEL_GAP_NS = 2 * S  # half a line is taken as a whole after this much silence
PANEL_SILENCE_NS = 60 * S  # a panel that polls and is not heard for so long is lost
PANEL_TICK_NS = 250 * MS
PANEL_ASK_NS = 25 * S  # a device that speaks GB/T 26875.3 is asked for its status this often
PANEL_REPLIES_MAX = 48  # to what came in one read
LISTEN_BACKLOG = 2  # connections of a device that wait; the newest counts
LISTEN_PAUSE_NS = 1 * S  # after no descriptor was left for a connection
PANEL_SKEW_S = 150  # printed times have whole minutes; a panel's clock may be off this far
ESPA_SELECT_NS = 2_500 * MS  # from the first ENQ of a poll to the second (ESPA 4.4.4)
ESPA_BLOCK_NS = 15 * S  # from our ACK to the end of the block
DIALECT_RULES_MAX = 1_024
DIALECT_PATTERN_CHARS_MAX = 300
DIALECT_REPEAT_MAX = 64  # of one character or class in a pattern

# --- the cycle ------------------------------------------------------------------------------
CYCLE_TICK_NS = 250 * MS
BLOCKS_PER_CYCLE_MAX = 64
COMMANDS_PER_CYCLE_MAX = 16
INPUTS_PER_CYCLE_MAX = 1_024  # failures, read-backs, line changes
RECORDS_PER_CYCLE_MAX = 4 * POINTS_MAX
CYCLE_LATE_NS_MAX = 2 * S  # a cycle later than this is not on time: no watchdog beat
BUS_ATTEMPT_NS_MAX = 10 * S  # a master without a finished or timed-out attempt for this long hangs
SAFE_MODE_CRASHES = 3
SAFE_MODE_WINDOW_NS = 60 * S
STALE_EACH_MAX = 4  # more points of one device stale in one pass are one fault of the device
LOST_TOGETHER_NS = 60 * S  # neighbours lost within this of each other were lost together
NOTICES_MAX = 256  # sources of notices remembered; one more is a programmer's error
PANEL_ADDRESS_CHARS_MAX = 64
PANEL_ALARMS_MAX = 1_024  # events a panel told and not yet took back, all panels
PANEL_TEXT_CHARS_MAX = 160  # of an event in the panel's own words
STATUS_ACTIVE_MAX = 200  # points listed in a status; the counts say how many there are
FAULT_NAMES_MAX = 16  # names listed in one record of a fault; the count says how many there are
# cause and effect
EFFECT_AFTER_NS_MAX = 600 * S  # outputs wait for at most 10 min (GB 4717, EN 54-2)
EFFECT_DEPTH_MAX = 4  # any, all and at_least within each other
EFFECT_INPUTS_MAX = 20_000  # inputs of all rows, ranges spread
EFFECT_TEXT_CHARS_MAX = 200  # of a cause in words, of a message
TEST_PULSE_NS = 2 * S  # how long a siren sounds for a detector in a walk test
READBACK_WAIT_NS = 2 * S  # an output that does not read back as ordered by then is a fault

# --- outputs, lamps and inputs of the gateway itself ------------------------------------------
INPUTS_MAX = 64
GPIO_LINE_MAX = 1_023  # offset on its chip
GPIO_RETRY_NS = 1 * S  # a line that cannot be had is asked for again this often, for ever
GPIO_EVENTS_MAX = 16  # edges of one line kept by the kernel
DEBOUNCE_NS_DEFAULT = 50 * MS
DEBOUNCE_NS_MAX = 10 * S
INPUT_STUCK_NS = 30 * S  # a button held for longer is stuck
INPUT_LOOK_NS = 1 * S  # a line is read this often, whatever edges it told
PATTERN_LINE_FACTOR = 2  # the shortest part of a pattern is so many rounds of its line's coils
OUTPUT_TIMEOUT_FACTOR = 2  # a board with a timeout is spoken to so many times within it
LAMP_HOLD_NS = 300 * S  # the lamps of a fire's call stay so long (GB 26875.1: at least 5 minutes)
CALL_FAILED_NS = 10 * S  # a fire that is not at its centre by then failed (GB 26875.1)
DUTY_WAIT_NS = 600 * S  # a duty check that nobody answers ends then (GB 26875.1)
DUTY_CHECKS_MAX = LINES_MAX
RELEASE_WAIT_NS = 300 * MS  # a stop waits so long for its fault outputs to be let go
TEST_NS_DEFAULT = 10 * S  # of sirens and lamps
TEST_NS_MAX = 60 * S
TEST_READ_NS = 10 * S  # an output that did not read back as tested by then failed
SELF_TEST_NS_MIN = 3_600 * S
SELF_TEST_NS_MAX = 31 * 24 * 3_600 * S
SELF_TEST_LATE_MIN = 10  # minutes: a scheduled test later than this waits for the next week
DAY_BEGINS_MIN = 8 * 60  # nothing scheduled sounds before ...
DAY_ENDS_MIN = 20 * 60  # ... or after

# --- between processes ----------------------------------------------------------------------
IPC_MESSAGE_BYTES_MAX = 2 * 1024 * 1024
IPC_CLIENTS_MAX = 32
IPC_CLIENTS_RESERVED = 12  # of these, for the field process and couriers
IPC_PENDING_REQUESTS_MAX = 64
POINTS_PAGE_MAX = 250  # made in one go, in about 2 ms
IPC_REQUEST_WAIT_NS = 5 * S
IPC_SEND_BUFFER_BYTES_MAX = 8 * 1024 * 1024
IPC_CLIENTS_OF_USER_MAX = 12  # people's, of one user id
IPC_ARRIVALS_PER_S = 100  # connections of one user id, with ...
IPC_ARRIVALS_BURST = 100  # ... so many at once; more are told so and closed
IPC_USERS_MAX = 256  # user ids whose connections and orders are counted
IPC_LET_IN_AT_ONCE = 4  # a connection costs the loop about 0.2 ms
IPC_BACKLOG = 256
IPC_CONNECT_RETRY_NS = 10 * MS
IPC_LAST_WORD_BYTES_MAX = 64 * 1024
IPC_NO_FILES_RETRY_NS = 1 * S
IPC_REQUEST_BYTES_MAX = 16 * 1024  # of people's clients
IPC_REQUEST_ITEMS_MAX = 256
IPC_REQUEST_DEPTH_MAX = 4
IPC_PARTIAL_NS_MAX = 10 * S  # a request must be whole so long after its first byte
IPC_TURN_NS = 2 * MS  # of people's connections and requests; then as long for everything else
# --- people and their orders
PEOPLE_MAX = 64
PIN_DIGITS_MIN = 6
PIN_CHARS_MAX = 64
PIN_LOG2_N_MAX = 16  # of scrypt: 64 MB for a check
PIN_PARALLEL_MAX = 16
PIN_TRIES_FREE = 3  # wrong in a row; then each one locks out, twice as long each time ...
PIN_LOCK_NS_MIN = 30 * S
PIN_LOCK_NS_MAX = 900 * S  # ... up to this
PIN_CHECKS_WAITING_MAX = 4
PIN_FILE_BYTES_MAX = 32 * 1024  # PEOPLE_MAX names and hashes
PIN_USERS_MAX = 256  # user ids whose wrong tries are remembered
REFUSED_ORDER_EVENT_NS = 10 * S  # refusals become one event in this time
REFUSED_ORDER_KINDS_MAX = 64  # of who and from where, told apart in that time
ORDERS_PER_S = 5  # of one user id, with ...
ORDERS_BURST = 20  # ... so many at once
ORDER_TARGETS_TOLD = 12  # names listed when none is the one that was meant
ORDER_WHY_CHARS_MAX = 200
ORDER_NAMES_COMPARED = 100  # for a did-you-mean
ORDER_DURATION_NS_MAX = 366 * 24 * 3_600 * S
FANOUT_NS = 1 * S  # one picture for all viewers
FANOUT_PAGE = 2_000  # points of one page
FANOUT_UNSENT_BYTES_MAX = 1024 * 1024  # a viewer that does not read so much is dropped
TOP_DRAW_NS = 500 * MS  # embergate top draws no more often
TOP_RETRY_NS = 1 * S
TOP_POINTS_MAX = 100
TOP_TREND_SAMPLES = 30
LATENESS_KEPT = 256  # ticks, for the percentiles in status
OUTBOX_PER_SOURCE = 4  # transitions kept for each source before they coalesce
OUTBOX_SUBMIT_EVENTS_MAX = 256
OUTBOX_TELEMETRY_BYTES_MAX = 8 * 1024 * 1024
TELEMETRY_FLUSH_NS = 1 * S
TELEMETRY_MESSAGE_BYTES_MAX = 512 * 1024
SUBMIT_UNSENT_BYTES_MAX = 1024 * 1024  # more than this not taken: the record hangs; keep the rest
RECORD_RETRY_NS = 250 * MS
RECORD_LOST_NS = 10 * S  # without the record for this long is a fault
DURABLE_WAITS_KEPT = 4_096  # for the percentiles in status
LATCH_BYTES_MAX = 128 * 1024
CONTROL_RETRY_NS = 5 * S
WARM_UP_NS_MAX = 600 * S  # a point that is not ready for longer than this is faulty

# --- the journal ---------------------------------------------------------------------------
JOURNAL_TEXT_BYTES_MAX = 4_096

# --- the record -----------------------------------------------------------------------------
BATCH_BYTES_MAX = 1024 * 1024
BATCH_DATA_BYTES_MAX = 16 * 1024 * 1024  # decompressed; a decoder stops here
BATCH_EVENTS_MAX = 512
TELEMETRY_BATCH_NS = 10 * S
SUMMARY_NS = 55 * S  # between first and last sample: six batches of telemetry are a minute
SUMMARY_SAMPLES_MAX = 2**32 - 1  # of one poll in one summary
RING_BYTES_MAX = 16 * 1024 * 1024
OFFER_WAIT_NS = 500 * MS  # what is not durable by then is offered from the ring, and says so
EVENTS_DB_BYTES_MAX = 512 * 1024 * 1024
TELEMETRY_DB_BYTES_MAX = 2 * 1024 * 1024 * 1024
EVENT_AGE_NS_MIN = 366 * 24 * 3_600 * S  # at least a year (GB 50440)
EVENT_ROWS_MIN = 10_000  # at least 10,000 entries (GB 25506)
ALARM_STATE_BYTES_MAX = 1024 * 1024
WRITER_QUEUE_MAX = 64  # jobs of one file; when it is full the disk is behind
CBOR_DEPTH_MAX = 8
CBOR_ITEMS_MAX = 400_000  # a table of POINTS_MAX points has 5 items a point, and its polls
TABLE_PART_BYTES_MAX = 512 * 1024  # a table that compresses to more travels in parts
TABLE_PARTS_MAX = 64
TELEMETRY_READINGS_MAX = 120_000  # a batch; as float64 that do not compress it still fits
TELEMETRY_SAMPLES_MAX = 65_535  # of one poll in one batch
HISTORY_PENDING_MAX = 4_096  # batches of a lane held while one before them is missing
LOSSES_MAX = 256  # declared in one batch
RING_DURABLE_BYTES_MAX = 256 * 1024  # what is on disk stays in memory this far, for couriers
DISK_HUNG_NS = 3 * S  # a write that takes longer is a fault
DISK_RETRY_NS = 1 * S
WAL_BYTES_MAX = 4 * 1024 * 1024
RESERVE_BYTES = 16 * 1024 * 1024  # of the disk, for events when nothing else fits any more
RESERVE_LOW_BYTES = 1024 * 1024  # less than this free: as good as full
RESERVE_PROBE_BYTES = 64 * 1024  # room that is asked for to learn of a quota
RESERVE_LOOK_NS = 30 * S  # whether there is room again
WEAR_LOOK_NS = 600 * S  # what was written is looked at this often, ...
WEAR_LOOKS_KEPT = 145  # ... for a day
SCRUB_NS = 10 * S  # what is stored is read again, so many rows of each file at a time
SCRUB_ROWS = 32
FETCH_BYTES_MAX = 2 * 1024 * 1024  # read from the store for one courier at a time
LOG_ROWS_MAX = 500
LOG_BYTES_MAX = 1024 * 1024  # of a page: twice its batches
LOG_REORDER_MAX = 8_192  # records that an export holds to put them in order
LOG_SHOWN_MAX = 100_000  # newest records held at once; an export streams any number
FINDINGS_MAX = 1_000  # notes of one verification; errors are all kept
VERIFY_FILE_BYTES_MAX = 512 * 1024 * 1024
RING_TELEMETRY_BYTES_MAX = 8 * 1024 * 1024  # not yet durable; more is dropped and counted
RING_FIRE_RESERVE_BYTES = 2 * 1024 * 1024  # of the ring, for fire alone
RING_SUMMARY_RESERVE_BYTES = 1024 * 1024  # summaries go on when telemetry has to be dropped
COMMIT_BYTES_MAX = 2 * 1024 * 1024  # one transaction
DISK_OPEN_WAIT_NS = 30 * S  # a store that does not open by then: memory only
DISK_OPEN_HURRY_NS = 500 * MS  # the same when a fire waits
DISK_OPEN_LOOK_NS = 2 * S  # a person is told after this that the disk has not answered
RECORD_FOLLOW_WAIT_NS = DISK_OPEN_WAIT_NS + 5 * S  # a courier waits for it as well
assert max(DISK_OPEN_HURRY_NS, RECORD_RETRY_NS) + RECORD_RETRY_NS < S  # a fire leaves in time
STORE_CHECK_BYTES_MAX = 128 * 1024 * 1024  # a larger file is not read through at start
DAMAGED_FILES_KEPT = 4
EVICT_PART = 64  # a 64th of the store goes at once, and is declared at once
PLACES_WRITE_NS = 60 * S  # a place lost in a crash costs a resend, not a record
COURIER_BULK_WINDOW = 12  # of COURIER_WINDOW, for telemetry and summaries: events get through
REFUSAL_EVENT_NS = 10 * S  # refused acknowledgements become one event in this time
WALL_JUMP_NS = 100 * MS  # a telemetry batch ends when the wall clock jumps this far
RECORD_TICK_NS = 250 * MS
COURIER_UNSENT_BYTES_MAX = 2 * 1024 * 1024  # not yet taken by a courier: offer no more
RECORD_STOP_NS = 5 * S
COURIER_ABSENT_NS = 30 * S  # a courier of the plan that has not come by then is a fault
EVICT_LOOK_NS = 30 * S
HEARTBEAT_NS = 60 * S  # signed heads of all lanes, to every courier that is connected
RECORD_KEEP_BYTES = 64 * 1024  # a free block larger than this goes back to the system
KEY_FILE_BYTES_MAX = 8_192

# --- couriers -------------------------------------------------------------------------------
COURIER_WINDOW = 16  # below mosquitto's default receive maximum of 20
COURIER_WINDOW_MAX = 256  # under way to a platform that acknowledges: one more for each that it did
COURIER_FLIGHT_BYTES_MAX = 4 * 1024 * 1024  # under way at once; below it one more may begin
COURIER_FIRE_WINDOW = 3  # fire has slots of its own
COURIER_ACK_WAIT_NS = 10 * S
COURIER_FIRE_ACK_WAIT_NS = 3 * S  # a fire is sent again sooner, and ...
COURIER_FIRE_RESEND_NS_MAX = 10 * S  # ... its waits grow to no more than this (GB 26875.1)
COURIER_RECONNECT_NS_MIN = 1 * S
COURIER_RECONNECT_NS_MAX = 60 * S
MQTT_KEEPALIVE_S = 20
COURIER_RESEND_NS_MAX = 60 * S  # a resend that is not acknowledged waits longer each time
COURIER_PROGRESS_NS = 45 * S  # no acknowledgement for so long, with something to say: a fault
COURIER_TICK_NS = 1 * S
COURIER_ACKS_PENDING_MAX = 512  # more are dropped: a resend brings the acknowledgement again
COURIER_EPOCH_ACKS_NS = 1 * S  # of epochs that nobody asked for, one is handed on in so long
COURIER_STATE_TEXT_MAX = 300
MQTT_CONNECT_WAIT_NS = 10 * S  # name, TCP, TLS and CONNACK together
MQTT_CLOSE_NS = 5 * S  # to flush a connection that is over
MQTT_CONNACK_WAIT_NS = 3 * S  # silence after CONNECT: perhaps a broker of 3.1.1 only
MQTT_LEGACY_NS = 3_600 * S  # for so long such a broker is not asked for version 5 again
MQTT_ACK_BYTES_MAX = 4_096
MQTT_PACKET_BYTES_MAX = BATCH_BYTES_MAX + 65_536
MQTT_UNSENT_BYTES_MAX = 24 * 1024 * 1024  # not yet taken by the network

# --- monitoring centres (GB/T 26875.3-2011) ---------------------------------------------------
COURIER_EVENT_WORDS_MAX = 16  # kinds of events of one courier that wait to be put on record
COURIER_EVENTS_WAITING_MAX = 64  # what a destination did while the record is away
COURIER_LATEST_POLLS_MAX = 128  # of one request for values: more than a frame can ask for
COURIER_LATEST_WAIT_NS = 500 * MS  # then the value of the last transition has to do
COURIER_EVENT_FIELDS_MAX = 8
COURIER_SEEN_MAX = 4_096  # events remembered, so that one that is sealed twice is told once
GB26875_OPERATIONS_MAX = 102  # of an operation log that a centre may ask for (types 64, 84)
GB26875_ROUND_NS_MAX = 10 * S  # all tries of one exchange (6.5; GB 26875.1: at the centre by then)
GB26875_REPLY_NS_MIN = 1 * S
GB26875_RESENDS_MAX = 9
GB26875_BEAT_NS_MIN = 5 * S
GB26875_BEAT_NS_MAX = 3_600 * S
GB26875_BEAT_FAST_NS = 5 * S  # after a heartbeat that nobody answered
GB26875_RECONNECT_TRIES = 2  # unanswered in a row: the next try goes over a new connection
GB26875_DENIED_WAIT_NS = 10 * S  # before a fire that was denied a whole round is sent again
GB26875_FALSE_START_NS = 2 * S  # a frame that does not end by then is none
GB26875_ASKS_MAX = 8  # requests for values under way at once
GB26875_ERRORS_MAX = 32  # in a row without a frame: the other end speaks something else
POST_UNSENT_BYTES_MAX = 65_536  # more not taken by the network: the connection is dead
POST_TICK_NS = 100 * MS
POST_CONNECT_NS = 2 * S  # the next try of a fire must not wait longer for a connection
POST_RECONNECT_NS_MIN = 200 * MS
POST_RECONNECT_NS_MAX = 10 * S
GB26875_ADDRESSES_MAX = 20_000
GB26875_DATA_BYTES_MAX = 1_024  # application data of one frame (clause 8)
DC09_FRAME_BYTES_MAX = 1_024
DC09_REPLY_NS_MIN = 1 * S
DC09_TRIES_MAX = 4
DC09_ROUND_NS_MAX = 10 * S  # all tries at both receivers: a fire has to be at one by then
DC09_SUPERVISE_NS_MIN = 10 * S
DC09_SUPERVISE_NS_MAX = 25 * 3_600 * S
DC09_ERRORS_MAX = 16  # in a row without a reply: the other end speaks something else
DC09_LATE_NS = 5 * S  # an event that is older carries the time when it happened
DC09_REFUSED_WAIT_NS = 10 * S  # before a fire that was not understood is sent again
DC09_RETURN_NS = 300 * S  # on the stand-by receiver, before the main one is tried again
DC09_SKEW_NS_MAX = 120 * S  # of an encrypted reply: an older one may be a recording
DC09_RECEIVERS_MAX = 2
DC09_KEY_FILE_BYTES_MAX = 256

# --- the receiver ---------------------------------------------------------------------------
RECEIVER_GROUP_MAX = 256  # batches in one transaction
RECEIVER_GROUP_NS = 4 * MS  # a group that is not full waits so long for more; with a fire never
RECEIVER_RECEIVE_MAX = 1_024  # messages that a broker may send ahead of our PUBACK
RECEIVER_QUEUE_BYTES_MAX = 64 * 1024 * 1024  # more is dropped: it comes again, not acknowledged
RECEIVER_ACKS_SENT_MAX = 16  # acknowledgements without their PUBACK
RECEIVER_EVIDENCE_MAX = 256  # of a gateway: signed batches that contradict what is held
RECEIVER_FINDINGS_MAX = 10_000  # of a gateway
RECEIVER_GATEWAYS_CACHED = 20_000  # histories in memory; of others they are read again
RECEIVER_EXPORT_ROWS = 50_000  # of a Parquet file in memory at once
RECEIVER_TABLES_CACHED = 64  # point tables, ready for decoding
RECEIVER_CONNECT_NS = 10 * S  # to PostgreSQL
RECEIVER_LOCK_NS = 30 * S  # another receiver has the gateway's row so long: the group comes again
RECEIVER_PARTITION_BULK_NS = 24 * 3_600 * S  # of telemetry and summaries
RECEIVER_PARTITION_NS = 30 * 24 * 3_600 * S  # of everything else
TAIL_PATIENCE_NS = 110 * S  # a lane that stands still while two heartbeats say that there is more
TRUST_FILE_BYTES_MAX = 64 * 1024 * 1024

assert COURIER_WINDOW + COURIER_FIRE_WINDOW < 20, "mosquitto drops a client that exceeds it"
assert MQTT_CONNACK_WAIT_NS < MQTT_CONNECT_WAIT_NS
assert (COURIER_WINDOW + COURIER_FIRE_WINDOW) * MQTT_PACKET_BYTES_MAX < MQTT_UNSENT_BYTES_MAX
assert COURIER_ACK_WAIT_NS < COURIER_PROGRESS_NS, "a resend comes before the fault"
assert MODBUS_READ_REGISTERS_MAX * 2 + 5 <= MODBUS_ADU_RTU_BYTES_MAX
assert LINE_BUFFER_BYTES_MAX > MODBUS_ADU_TCP_BYTES_MAX
assert max(MODBUS_ADU_TCP_BYTES_MAX, PANEL_REPLIES_MAX * 40) <= LINK_WRITE_BYTES_MAX
assert BATCH_BYTES_MAX + 65_536 <= IPC_MESSAGE_BYTES_MAX, "a batch travels in one message"
assert ALARM_STATE_BYTES_MAX < IPC_MESSAGE_BYTES_MAX
assert TELEMETRY_READINGS_MAX * 8 + 65_536 <= BATCH_BYTES_MAX, "the worst batch fits"
assert (
    RING_TELEMETRY_BYTES_MAX + RING_SUMMARY_RESERVE_BYTES + RING_FIRE_RESERVE_BYTES < RING_BYTES_MAX
)
assert SUMMARY_NS % TELEMETRY_BATCH_NS == TELEMETRY_BATCH_NS // 2, "jitter moves no boundary"
assert COURIER_UNSENT_BYTES_MAX + BATCH_BYTES_MAX < IPC_SEND_BUFFER_BYTES_MAX
assert RESERVE_BYTES >= 4 * WAL_BYTES_MAX, "a WAL and what it is moved into, twice"
assert COURIER_ACKS_PENDING_MAX > COURIER_WINDOW_MAX, "a platform may answer each batch"
assert COURIER_BULK_WINDOW < COURIER_WINDOW <= COURIER_WINDOW_MAX
assert HEARTBEAT_NS < TAIL_PATIENCE_NS < 3 * HEARTBEAT_NS
assert CBOR_ITEMS_MAX >= 16 * POINTS_MAX
assert STALE_NS_MAX < 100 * S
assert PANEL_SILENCE_NS + CONNECT_TIMEOUT_NS + RECONNECT_WAIT_NS_MAX < 100 * S
assert RECONNECT_WAIT_NS_MAX <= UNIT_BACKOFF_NS_MAX <= 10 * S
assert TELEMETRY_MESSAGE_BYTES_MAX + 65_536 < IPC_MESSAGE_BYTES_MAX
assert BUS_ATTEMPT_NS_MAX > REPLY_TIMEOUT_NS_MAX + UNIT_BACKOFF_NS_MAX
assert CONNECT_TIMEOUT_NS + RECONNECT_WAIT_NS_MAX < BUS_ATTEMPT_NS_MAX

# --- the site file's readers ------------------------------------------------------------------
SITE_DEPTH_MAX = 24  # nesting of maps and lists in a YAML file
SITE_NODES_MAX = 1_000_000
PROBLEMS_MAX = 500  # shown of one pass; the rest are counted
SUGGESTIONS_MAX = 100  # did-you-mean searches of one pass
NAME_CHARS_MAX = 64
PROBLEM_TEXT_CHARS_MAX = 200  # of a foreign word in a message
PROBLEM_LINE_CHARS_MAX = 160  # of a line of the file under a message
RULE_CASES_MAX = 512  # of one state word
TURNAROUND_NS_MAX = 1 * S
READ_BACK_NS_MIN = 100 * MS
READ_BACK_NS_DEFAULT = 1 * S
READ_BACK_NS_MAX = 60 * S
LEDGER_ENTRIES_MAX = 8 * POINTS_MAX  # living and retired
LEDGER_BYTES_MAX = 32 * 1024 * 1024
# Detectors that a site sets: what chatter may add to a true alarm, delays of a level, memories.
CHATTER_HOLD_NS_MAX = 10 * S
CHATTER_COUNT_MAX = 1_000
LEVEL_DELAY_NS_MAX = 600 * S
DETECTOR_NS_MAX = 366 * 86_400 * S
RECALL_WAIT_NS = 100 * MS  # after a restart, before the first poll: what the record has kept
LAST_WORD_NS_MAX = 1 * S  # at a stop, the record is given this long to keep the alarm state
BASELINES_EVERY_NS = 3_600 * S  # compensated baselines go to the disk this often
ALARM_POLL_NS_MAX = STALE_NS_MAX // STALE_INTERVALS  # a lost alarm point is a fault in time

assert LEDGER_ENTRIES_MAX > POINTS_MAX
assert RECALL_WAIT_NS < CYCLE_TICK_NS, "no fire waits for longer than a cycle"
assert OUTPUTS_MAX * (4 * NAME_CHARS_MAX + 64) + 256 <= LATCH_BYTES_MAX, "all sirens at once"
assert ALARM_POLL_NS_MAX * STALE_INTERVALS <= STALE_NS_MAX

# --- the clock ------------------------------------------------------------------------------
CLOCK_STATE_EVERY_NS = 1 * S
CLOCK_STEP_NS = 1 * S  # a wall clock that goes this far at once was set: that is put on record
WALL_NS_MIN = 1_767_225_600 * S  # 2026-01-01: an earlier wall clock was never set

# --- texts of devices -----------------------------------------------------------------------
TEXTS_MAX = 500  # of a site
TEXT_REGISTERS_MAX = 64  # of one text; the gateway keeps no more than its last reading
TEXT_POLL_NS_DEFAULT = 10 * S
TEXT_POLL_NS_MIN = 1 * S
TEXT_EVENT_NS_MIN = 60 * S  # one that changes without end is recorded so often, and no more
TEXT_READS_MAX = 3  # on a noisy line, until two agree
# --- zones ----------------------------------------------------------------------------------
ZONE_WINDOW_NS_MIN = 1 * S  # of a double knock
ZONE_WINDOW_NS_MAX = 600 * S

# --- alarm management -------------------------------------------------------------------------
PAST_ALARMS_MAX = 100  # kept to be classified
RESOUND_NS = 60 * S  # a silenced fire that was gone for so long and rises again is a new alarm
DISABLEMENTS_MAX = 256  # standing at a time; whole zones are disabled as zones
DISABLE_NS_DEFAULT = 8 * 3_600 * S  # a shift
DISABLE_NS_MIN = 60 * S
DISABLE_NS_MAX = 30 * 24 * 3_600 * S  # what stands for longer is not a disablement: change the site
DISABLE_REMIND_NS = 24 * 3_600 * S
ORDER_TEXT_CHARS_MAX = 200  # of an operator's reason
WALK_POINTS_MAX = 1_000  # of one group: its lists of names go into one record
WALK_GROUPS_MAX = 1_000
WALK_RESET_NS = 15 * S  # a test alarm is reset by itself after this ...
WALK_OUTLAST_NS = 60 * S  # ... and is real when it stands for so long after that
WALK_IDLE_NS = 1_800 * S  # a test in which nothing happens for so long ends
WALK_NS_DEFAULT = 8 * 3_600 * S  # and every test ends after this
WALK_NS_MAX = 12 * 3_600 * S
DELAY_NS_MIN = 10 * S
DELAY_NS_MAX = 600 * S  # T1 and T2 together (EN 54-2, 7.11; GB 4717)
