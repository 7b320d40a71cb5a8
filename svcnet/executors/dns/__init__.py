"""DNS on real servers and sockets."""
