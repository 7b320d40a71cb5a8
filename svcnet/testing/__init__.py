"""Fakes and builders for tests, svcnet's own and its users'.

:class:`FakeIPTables` loads restore text and :class:`FakeIPVS` carries out the steps of a
plan the way a kernel would, without one: enough to see that they are well formed, and what
they leave behind.
"""

from svcnet.testing.builders import make_node, make_pod, make_service, make_slice
from svcnet.testing.fake_iptables import BUILT_IN, SHARED, FakeIPTables, RestoreError
from svcnet.testing.fake_ipvs import FakeIPVS

__all__ = [
    "BUILT_IN",
    "SHARED",
    "FakeIPTables",
    "FakeIPVS",
    "RestoreError",
    "make_node",
    "make_pod",
    "make_service",
    "make_slice",
]
