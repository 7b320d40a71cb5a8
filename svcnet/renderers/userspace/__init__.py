"""Userspace mode: the proxy table, and the rules that bring traffic to the proxy."""
