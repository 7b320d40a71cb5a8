"""IPVS mode: virtual servers, sets, addresses and a few rules."""
