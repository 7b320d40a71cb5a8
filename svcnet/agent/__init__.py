"""What ``svcnet run`` is: a machine that is kept true to its input until it is told to end.

Input comes from files or an API server; the loop follows it; log, health, metrics, status and
systemd are told. It prints nothing, and it changes nothing of a process that it has not for itself.
"""

from svcnet.agent.agent import Agent
from svcnet.agent.log import Log
from svcnet.agent.proxy import Show
from svcnet.agent.request import Cluster
from svcnet.agent.run import Listen

__all__ = ["Agent", "Cluster", "Listen", "Log", "Show"]
