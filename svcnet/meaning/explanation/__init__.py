"""Why a packet ends where it does: the way through the graph, each step with its field and rules.

`question` has what is asked, `explain` answers it, `proposals` looks for what would let the packet
through, and `text`, `dot` and `overview` tell the answer. A mode says which of its lines carry out
a step with an `account`.
"""
