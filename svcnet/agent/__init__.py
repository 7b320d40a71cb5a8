"""What `svcnet run` is: a machine that is kept true to its input until it is told to end.

Input comes from feeds; the loop follows it; log, health, metrics, status and systemd are told.
"""
