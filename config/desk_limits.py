"""Every bound of what runs on a desk or for a day on site: simulator, trial, evaluation, tools."""

from __future__ import annotations

from config.limits import MS, POINTS_MAX, S

# --- the simulator --------------------------------------------------------------------------
SIMULATOR_CLIENTS_MAX = 64  # of one simulated line
SIMULATOR_DELAY_NS_MAX = 60 * S
SIMULATOR_NOISE_BYTES_MAX = 256
SIMULATOR_FRAME_GAP_NS = 100 * MS  # the rest of an RTU request that is later than this is lost
SIMULATOR_CONTROL_LINE_BYTES_MAX = 65_536
SIMULATOR_WRITES_KEPT = 1_024
SIMULATOR_CENTRE_FRAMES_KEPT = 10_000
SIMULATOR_SETS_PENDING_MAX = 256
SIMULATOR_TICK_NS_MIN = 10 * MS
RECORDING_ROWS_MAX = 1_000_000
RECORDING_COLUMNS_MAX = 4_096
RECORDING_BYTES_MAX = 256 * 1024 * 1024  # decompressed

# --- a trial's supervisor (embergate run); in the building systemd does it -----------------------
SUPERVISE_RESTART_NS = 200 * MS
NOTIFY_BYTES_MAX = 4096
SUPERVISE_READY_NS = 60 * S  # a simulated building loads what the gateway does not
SUPERVISE_STOP_NS = 5 * S
DEMO_TEND_NS = 50 * MS

# --- evaluation of recordings ------------------------------------------------------------------
EVALUATE_FILES_MAX = 10_000
EVALUATE_ROWS_MAX = 50_000_000  # of one recording; rows are streamed
EVALUATE_BYTES_MAX = 8 * 1024 * 1024 * 1024  # decompressed
EVALUATE_LINE_CHARS_MAX = 1024 * 1024
EVALUATE_INDEX_BYTES_MAX = 16 * 1024 * 1024
EVALUATE_BACK_NS_MAX = 3_600 * S  # a clock put back an hour; more is another time base
EVALUATE_AHEAD_NS_MAX = 400 * 24 * 3_600 * S  # a longer gap is another time base
EVALUATE_GAP_TICKS_MAX = 64  # cycles run without samples in one gap
EVALUATE_LEAD_NS_MAX = 366 * 24 * 3_600 * S
EVALUATE_RESET_NS_MIN = 1 * S
EVALUATE_RESET_NS_MAX = 24 * 3_600 * S
EVALUATE_GOALS_MAX = 100
EVALUATE_MARKS_KEPT = 200  # transitions listed of one recording; the counts say how many
EVALUATE_SWEEP_VALUES_MAX = 100  # combinations of one sweep
EVALUATE_SWEEPS_MAX = 20
EVALUATE_RESAMPLES = 2_000  # of the bootstrap
EVALUATE_PLOTS_MAX = 200
EVALUATE_LINES_PLOTTED_MAX = 8
EVALUATE_PLOT_BINS = 300

# --- profiles and commissioning -------------------------------------------------------------
PROFILE_EXAMPLES_MAX = 1_000
PROFILE_PROOF_POINTS_MAX = 400  # of one profile: the corners of its families, and all other points
PROFILE_PROOF_STEP_NS = 5 * S  # one word through the whole path
PROFILE_PROOF_POLL_NS = 2 * MS
LISTEN_FRAME_GAP_NS = 50 * MS  # the rest of an overheard frame that is later than this is lost
LINE_RECORDING_BYTES_MAX = 256 * 1024 * 1024
LINE_RECORDING_CHUNKS_MAX = 2_000_000
SCAN_LISTEN_NS = 2 * S  # a line on which anything is heard in this time has another master
SCAN_WAIT_NS = 100 * MS  # for each unit
SCAN_PAUSE_NS = 20 * MS  # between requests
PROBE_WAIT_NS = 500 * MS
PROBE_REGISTERS_MAX = 2_000
TOOL_TIME_NS_MAX = 7 * 24 * 3_600 * S  # of watch, listen and record-line
TABLE_FILE_BYTES_MAX = 16 * 1024 * 1024
TABLE_UNPACKED_BYTES_MAX = 128 * 1024 * 1024
TABLE_ROWS_MAX = POINTS_MAX + 1  # and the header
TABLE_COLUMNS_MAX = 64
TABLE_CELL_CHARS_MAX = 4_096
TABLE_PROBLEMS_MAX = 100

# --- words for people -----------------------------------------------------------------------
TOLD_CHARS_MAX = 2_000  # of a text of the gateway that is translated; a longer one stays as it is
TOLD_DEPTH_MAX = 4  # of texts within texts
RUN_LINE_CHARS_MAX = 8_192  # of what a process writes in a trial; the rest is a line of its own
TOLD_KEPT_MAX = 1_024  # translated texts that are remembered
