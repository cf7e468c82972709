"""What the exit codes of every command mean."""

WORKED = 0
BUG = 1  # Python's own for an exception that nobody caught
USER_CAN_FIX = 2  # the message says how
CHECK_FAILED = 3
INTERRUPTED = 130  # Ctrl-C
BROKEN_PIPE = 141  # the reader of the output left
TERMINATED = 143
