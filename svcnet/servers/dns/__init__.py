"""The DNS server of a cluster's names."""
