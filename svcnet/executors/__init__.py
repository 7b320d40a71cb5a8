"""Executors put an artifact on a machine. The only place with processes, sockets and sysctls."""
