"""IPVS: virtual servers and what is said of them, as netlink messages and as lines of ipvsadm."""
