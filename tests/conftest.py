"""For all tests: the programs that they start can be interrupted, whoever started pytest."""

import signal

# A shell that starts pytest in the background lets it ignore SIGINT, nohup SIGHUP, and every program that it starts
# would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
