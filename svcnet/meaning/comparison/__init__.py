"""Whether two things mean the same for every packet.

`cells` has the destinations to look at, `intent` what a graph wants of each, `spread` compares two
ends with their chances, and `verify` tells each cause of a difference once.
"""
