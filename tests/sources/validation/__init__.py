"""Tables of what Kubernetes takes and refuses, a module a kind."""
