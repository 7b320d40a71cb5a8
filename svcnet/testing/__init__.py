"""Fakes and builders for tests, svcnet's own and its users'.

:class:`FakeIPTables` loads restore text, :class:`FakeNFT` lines of nft, and :class:`FakeIPVS`
carries out the steps of a plan the way a kernel would, without one: enough to see that they are
well formed, and what they leave behind. :class:`FakeAPIServer` is an API server that can be
listed, watched and made to fail, and :class:`FakeProxy` stands before it as a bad load balancer
does. :func:`run_in_fake_time` runs them without waiting. :func:`check_mode` holds a mode, of
whichever package, to what all modes keep.

:class:`ServiceGraph` is for tests of manifests: who reaches what, and whether rules stay what they
were. The fixture ``svcnet_graph`` of svcnet's pytest plugin makes one.
"""

from svcnet.netfilter import BUILT_IN
from svcnet.testing.builders import make_node, make_pod, make_service, make_slice
from svcnet.testing.fake_api import FakeAPIServer
from svcnet.testing.fake_faults import Fault
from svcnet.testing.fake_iptables import SHARED, FakeIPTables, FakeRestoreError
from svcnet.testing.fake_ipvs import FakeIPVS
from svcnet.testing.fake_ipvs_kernel import FakeIPVSKernel
from svcnet.testing.fake_kernel import FakeKernel
from svcnet.testing.fake_machine import FakeMachine
from svcnet.testing.fake_nft import FakeNFT
from svcnet.testing.fake_proxy import FakeProxy
from svcnet.testing.fake_time import FakeTimeLoop, run_in_fake_time
from svcnet.testing.mode_kit import check_mode
from svcnet.testing.service_graph import ServiceGraph, read_services

__all__ = [
    "BUILT_IN",
    "SHARED",
    "FakeAPIServer",
    "FakeIPTables",
    "FakeIPVS",
    "FakeIPVSKernel",
    "FakeKernel",
    "FakeMachine",
    "FakeNFT",
    "FakeProxy",
    "FakeRestoreError",
    "FakeTimeLoop",
    "Fault",
    "ServiceGraph",
    "check_mode",
    "make_node",
    "make_pod",
    "make_service",
    "make_slice",
    "read_services",
    "run_in_fake_time",
]
