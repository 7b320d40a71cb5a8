"""What people and programs do by hand to a machine in IPVS mode, as command lines.

V is the Service's virtual server, ONE one of its real servers, NEW a place that is none, A its
address and L the length of its prefix, F what the names of sets begin with, R the sets' family and
OTHER the other one, T iptables. `remake SET …` makes a set anew under the rules that name it.
"""

from __future__ import annotations

from typing import NamedTuple

WORDS = {
    "IPv4": (
        "V=10.96.0.10:80 ONE=10.244.1.5:8080 NEW=10.244.1.9:8080 A=10.96.0.10 L=32 "
        "F=KUBE- R=inet OTHER=inet6 T=iptables-legacy D=SVCNET-DRAINING MASK=255.255.255.0"
    ),
    "IPv6": (
        "V=[fd00:96::10]:80 ONE=[fd00:244:1::5]:8080 NEW=[fd00:244:1::9]:8080 A=fd00:96::10 L=128 "
        "F=KUBE-6- R=inet6 OTHER=inet T=ip6tables-legacy D=SVCNET-6-DRAINING MASK=64"
    ),
}
FUNCTIONS = """
remake() {
    rules=$($T-save; echo .)
    $T -F; $T -t nat -F
    ipset destroy $1
    ipset create "$@"
    printf %s "${rules%.}" | $T-restore
}
"""

DAMAGES = {
    "a virtual server deleted": "ipvsadm -D -t $V",
    "every virtual server deleted": "ipvsadm -C",
    "its scheduler changed": "ipvsadm -E -t $V -s wlc",
    "its clients kept for a while": "ipvsadm -E -t $V -s rr -p 60",
    "its clients kept by networks": "ipvsadm -E -t $V -s rr -p 60 -M $MASK",
    "a real server deleted": "ipvsadm -d -t $V -r $ONE",
    "a weight changed": "ipvsadm -e -t $V -r $ONE -m -w 7",
    "a real server in a tunnel": "ipvsadm -a -t $V -r $ONE -i",
    "a real server of the other family": (
        "ipvsadm -a -t $V -r $([ $L = 128 ] && echo 10.9.9.9:80 || echo [fd00::9]:80) -i"
    ),
    "a real server with a limit": "ipvsadm -e -t $V -r $ONE -m -x 1 -y 0",
    "a real server with two limits": "ipvsadm -e -t $V -r $ONE -m -x 9 -y 4",
    "an own server edited and its entry deleted": (
        "ipvsadm -d -t $V -r $ONE; ipset del ${F}CLUSTER-IP $A,tcp:80"
    ),
    "every set flushed": "ipset flush",
    "an entry deleted": "ipset del ${F}CLUSTER-IP $A,tcp:80",
    "an entry too many": "ipset add ${F}CLUSTER-IP $A,tcp:81",
    "a set of networks": "remake ${F}CLUSTER-IP hash:net family $R",
    "a set of the other family": "remake ${F}CLUSTER-IP hash:ip,port family $OTHER || :",
    "a set of ports": "remake ${F}CLUSTER-IP bitmap:port range 0-65535",
    "a set of sets": "remake ${F}CLUSTER-IP list:set",
    "the set of addresses of another kind": "remake ${F}IPVS-IPS hash:net family $R",
    "two sets of another kind": (
        "remake ${F}LOAD-BALANCER list:set; remake ${F}NODE-PORT-TCP hash:ip family $R"
    ),
    "a set whose entries end": (
        "ipset create X hash:ip,port family $R timeout 3; ipset swap X ${F}CLUSTER-IP;"
        "ipset destroy X"
    ),
    "a set for one entry": (
        "ipset create X hash:ip,port family $R maxelem 1; ipset swap X ${F}CLUSTER-IP;"
        "ipset destroy X"
    ),
    "a set that forgets": (
        "ipset create X hash:ip,port family $R forceadd; ipset swap X ${F}CLUSTER-IP;"
        "ipset destroy X"
    ),
    "a set of a few ports": (
        "ipset create X bitmap:port range 0-99; ipset swap X ${F}NODE-PORT-TCP; ipset destroy X"
    ),
    "a set whose comments look like lines": (
        "ipset create X hash:ip,port family $R comment;"
        "ipset add X $A,tcp:80 comment \"$(printf 'x\\nadd %sCLUSTER-IP 1,2\\n\\351' $F)\";"
        "ipset swap X ${F}CLUSTER-IP; ipset destroy X"
    ),
    "the set of those that drain destroyed": "ipset destroy $D",
    "the set of those that drain of another kind": "ipset destroy $D; ipset create $D hash:ip",
    "the set of those that drain without an end": (
        "ipset destroy $D; ipset create $D hash:ip,port,ip family $R"
    ),
    "a set that svcnet left half-way": "ipset create SVCNET-RESIZED list:set",
    "an address taken": "ip address del $A/$L dev kube-ipvs0",
    "an address of a network": (
        "ip address del $A/$L dev kube-ipvs0; ip address add $A/$((L - 8)) dev kube-ipvs0"
    ),
    "an address for a while": (
        "ip address change $A/$L dev kube-ipvs0 valid_lft 100 preferred_lft 100"
    ),
    "an address with another end": (
        "ip address del $A/$L dev kube-ipvs0;"
        "[ $L = 128 ] || ip address add $A peer 10.9.9.9/32 dev kube-ipvs0"
    ),
    "an address for the host": (
        "ip address del $A/$L dev kube-ipvs0; ip address add $A/$L dev kube-ipvs0 scope host"
    ),
    "an address twice": "[ $L = 128 ] || ip address add $A/24 dev kube-ipvs0",
    "the device deleted": "ip link del kube-ipvs0",
    "the device without its alias": "ip link set kube-ipvs0 alias ''",
    "the device with another alias": "ip link set kube-ipvs0 alias \"$(printf 'caf\\351')\"",
    "nat flushed": "$T -t nat -F",
    "filter flushed": "$T -F",
    "a rule deleted": "$T -t nat -D KUBE-POSTROUTING 1",
    "a rule of bytes in a chain of svcnet's": (
        "$T -A KUBE-FORWARD -m comment --comment \"$(printf 'caf\\351')\" -j ACCEPT"
    ),
    "a setting of IPVS": "echo 0 >/proc/sys/net/ipv4/vs/conntrack",
}
"""What an apply repairs."""


class Foreign(NamedTuple):
    """What somebody does who has nothing to do with svcnet, and how it is undone."""

    do: str
    undo: str


FOREIGN = {
    "virtual servers": Foreign(
        "ipvsadm -A -t 192.0.2.77:80 -s wlc; ipvsadm -a -t 192.0.2.77:80 -r 192.0.2.78:80 -i;"
        "ipvsadm -A -f 7; ipvsadm -A -t [2001:db8::77]:80 -s sh",
        "ipvsadm -D -t 192.0.2.77:80; ipvsadm -D -f 7; ipvsadm -D -t [2001:db8::77]:80",
    ),
    "sets with names like lines": Foreign(
        'ipset create "x ${F}CLUSTER-IP" hash:ip;'
        "ipset create \"$(printf 'a\\n%sIPVS' $F)\" hash:ip;"
        "ipset create \"$(printf 'caf\\351')\" hash:ip",
        'ipset destroy "x ${F}CLUSTER-IP"; ipset destroy "$(printf \'a\\n%sIPVS\' $F)";'
        "ipset destroy \"$(printf 'caf\\351')\"",
    ),
    "rules of bytes": Foreign(
        "$T -t mangle -A PREROUTING -j LOG --log-prefix \"$(printf 'caf\\351 ')\";"
        "$T -A INPUT -m comment --comment \"$(printf 'caf\\351\\n-A KUBE-SERVICES x')\" -j ACCEPT",
        "$T -t mangle -D PREROUTING 1;"
        "$T -D INPUT -m comment --comment \"$(printf 'caf\\351\\n-A KUBE-SERVICES x')\" -j ACCEPT",
    ),
    "an address on the device": Foreign(
        "ip address add 10.1.1.1/24 dev kube-ipvs0", "ip address del 10.1.1.1/24 dev kube-ipvs0"
    ),
    "a set of sets that has svcnet's": Foreign(
        "ipset create MINE list:set; ipset add MINE ${F}CLUSTER-IP", "ipset destroy MINE"
    ),
}
"""What an apply and a cleanup leave as it is."""
