"""Numbers of the kernel, as its headers name them.

All but the last few are of Linux ``include/uapi/linux/netfilter/nf_tables.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from svcnet.netfilter.nft.families import NFTFamily

# enum nf_tables_msg_types
NFT_MSG_GETTABLE: Final = 1
NFT_MSG_DELTABLE: Final = 2
NFT_MSG_NEWCHAIN: Final = 3
NFT_MSG_GETCHAIN: Final = 4
NFT_MSG_DELCHAIN: Final = 5
NFT_MSG_NEWRULE: Final = 6
NFT_MSG_GETRULE: Final = 7
NFT_MSG_DELRULE: Final = 8
NFT_MSG_NEWSET: Final = 9
NFT_MSG_GETSET: Final = 10
NFT_MSG_DELSET: Final = 11
NFT_MSG_NEWSETELEM: Final = 12
NFT_MSG_GETSETELEM: Final = 13
NFT_MSG_DELSETELEM: Final = 14
NFT_MSG_GETOBJ: Final = 19
NFT_MSG_GETFLOWTABLE: Final = 23

# enum nft_list_attributes
NFTA_LIST_ELEM: Final = 1

NFTA_TABLE_NAME: Final = 1
"""The table's name has this number in the messages of all kinds of objects."""
NFTA_TABLE_FLAGS: Final = 2
NFT_TABLE_F_DORMANT: Final = 1

# enum nft_chain_attributes and nft_hook_attributes
NFTA_CHAIN_HANDLE: Final = 2
NFTA_CHAIN_NAME: Final = 3
NFTA_CHAIN_HOOK: Final = 4
NFTA_CHAIN_POLICY: Final = 5
NFTA_CHAIN_TYPE: Final = 7
NFTA_HOOK_HOOKNUM: Final = 1
NFTA_HOOK_PRIORITY: Final = 2

# enum nft_rule_attributes
NFTA_RULE_CHAIN: Final = 2
NFTA_RULE_HANDLE: Final = 3
NFTA_RULE_EXPRESSIONS: Final = 4
NFTA_RULE_USERDATA: Final = 7

# enum nft_set_flags, nft_set_attributes and nft_set_desc_attributes
NFT_SET_ANONYMOUS: Final = 0x1
NFT_SET_CONSTANT: Final = 0x2
NFT_SET_INTERVAL: Final = 0x4
NFT_SET_MAP: Final = 0x8
NFT_SET_TIMEOUT: Final = 0x10
NFT_SET_EVAL: Final = 0x20
NFTA_SET_NAME: Final = 2
NFTA_SET_FLAGS: Final = 3
NFTA_SET_KEY_TYPE: Final = 4
NFTA_SET_KEY_LEN: Final = 5
NFTA_SET_DATA_TYPE: Final = 6
NFTA_SET_DATA_LEN: Final = 7
NFTA_SET_DESC: Final = 9
NFTA_SET_ID: Final = 10
NFTA_SET_TIMEOUT: Final = 11
NFTA_SET_USERDATA: Final = 13
NFTA_SET_HANDLE: Final = 16
NFTA_SET_COUNT: Final = 20
"""How many elements it has; from Linux 6.16 on."""
NFTA_SET_DESC_SIZE: Final = 1

# enum nft_set_elem_list_attributes and nft_set_elem_attributes
NFTA_SET_ELEM_LIST_SET: Final = 2
NFTA_SET_ELEM_LIST_ELEMENTS: Final = 3
NFTA_SET_ELEM_LIST_SET_ID: Final = 4
NFTA_SET_ELEM_KEY: Final = 1
NFTA_SET_ELEM_DATA: Final = 2
NFTA_SET_ELEM_FLAGS: Final = 3
NFTA_SET_ELEM_USERDATA: Final = 6
NFT_SET_ELEM_INTERVAL_END: Final = 0x1

# enum nft_data_attributes and nft_verdict_attributes
NFTA_DATA_VALUE: Final = 1
NFTA_DATA_VERDICT: Final = 2
NFTA_VERDICT_CODE: Final = 1
NFTA_VERDICT_CHAIN: Final = 2
NFT_DATA_VERDICT: Final = 0xFFFFFF00
"""The type of values of a map of verdicts."""

# enum nft_verdicts, and NF_DROP and NF_ACCEPT of linux/netfilter.h
NF_DROP: Final = 0
NF_ACCEPT: Final = 1
NFT_CONTINUE: Final = -1
NFT_JUMP: Final = -3
NFT_GOTO: Final = -4
NFT_RETURN: Final = -5

# enum nft_registers: of 16 bytes from NFT_REG_1 on, and the same in parts of 4 from NFT_REG32_00 on
NFT_REG_VERDICT: Final = 0
NFT_REG_1: Final = 1
NFT_REG32_00: Final = 8

# enum nft_expr_attributes, and those of each kind of expression
NFTA_EXPR_NAME: Final = 1
NFTA_EXPR_DATA: Final = 2
NFTA_IMMEDIATE_DREG: Final = 1
NFTA_IMMEDIATE_DATA: Final = 2
NFTA_BITWISE_SREG: Final = 1
NFTA_BITWISE_DREG: Final = 2
NFTA_BITWISE_LEN: Final = 3
NFTA_BITWISE_MASK: Final = 4
NFTA_BITWISE_XOR: Final = 5
NFTA_BITWISE_OP: Final = 6
NFT_BITWISE_BOOL: Final = 0
NFTA_CMP_SREG: Final = 1
NFTA_CMP_OP: Final = 2
NFTA_CMP_DATA: Final = 3
NFT_CMP_EQ: Final = 0
NFT_CMP_NEQ: Final = 1
NFTA_LOOKUP_SET: Final = 1
NFTA_LOOKUP_SREG: Final = 2
NFTA_LOOKUP_DREG: Final = 3
NFTA_LOOKUP_SET_ID: Final = 4
NFTA_LOOKUP_FLAGS: Final = 5
NFT_LOOKUP_F_INV: Final = 0x1
NFTA_DYNSET_SET_NAME: Final = 1
NFTA_DYNSET_OP: Final = 3
NFTA_DYNSET_SREG_KEY: Final = 4
NFT_DYNSET_OP_UPDATE: Final = 1
NFTA_PAYLOAD_DREG: Final = 1
NFTA_PAYLOAD_BASE: Final = 2
NFTA_PAYLOAD_OFFSET: Final = 3
NFTA_PAYLOAD_LEN: Final = 4
NFT_PAYLOAD_NETWORK_HEADER: Final = 1
NFT_PAYLOAD_TRANSPORT_HEADER: Final = 2
NFTA_META_DREG: Final = 1
NFTA_META_KEY: Final = 2
NFTA_META_SREG: Final = 3
NFT_META_MARK: Final = 3
NFT_META_IIFNAME: Final = 6
NFT_META_L4PROTO: Final = 16
NFTA_NAT_TYPE: Final = 1
NFTA_NAT_FAMILY: Final = 2
NFTA_NAT_REG_ADDR_MIN: Final = 3
NFTA_NAT_REG_PROTO_MIN: Final = 5
NFTA_NAT_FLAGS: Final = 7
NFT_NAT_DNAT: Final = 1
NFTA_FIB_DREG: Final = 1
NFTA_FIB_RESULT: Final = 2
NFTA_FIB_FLAGS: Final = 3
NFT_FIB_RESULT_ADDRTYPE: Final = 3
NFTA_FIB_F_SADDR: Final = 1
NFTA_NG_DREG: Final = 1
NFTA_NG_MODULUS: Final = 2
NFTA_NG_TYPE: Final = 3
NFTA_NG_OFFSET: Final = 4
NFT_NG_INCREMENTAL: Final = 0
NFT_NG_RANDOM: Final = 1

# linux/rtnetlink.h
RTN_LOCAL: Final = 2
# linux/netfilter/nfnetlink.h
NFNL_MSG_BATCH_BEGIN: Final = 0x10
NFNL_MSG_BATCH_END: Final = 0x11
NFNL_BATCH_GENID: Final = 1
# linux/netfilter/nf_nat.h
NF_NAT_RANGE_PROTO_SPECIFIED: Final = 0x2
# linux/if.h
IFNAMSIZ: Final = 16

FAMILIES: Mapping[NFTFamily, int] = MappingProxyType({"ip": 2, "ip6": 10})
"""``NFPROTO_IPV4`` and ``NFPROTO_IPV6`` of linux/netfilter.h."""

# Of nftables and libnftnl, which the kernel keeps and does not read: include/datatype.h and
# include/libnftnl/udata.h.
TYPES: Mapping[int, str] = MappingProxyType(
    {4: "integer", 7: "ipv4_addr", 8: "ipv6_addr", 12: "inet_proto", 13: "inet_service"}
)
"""Names of types that parts of keys have."""
TYPE_BITS: Final = 6
"""So many bits each type has in the number of a concatenation."""
NFTNL_UDATA_COMMENT: Final = 0
"""``NFTNL_UDATA_RULE_COMMENT`` and ``NFTNL_UDATA_SET_ELEM_COMMENT``."""
NFTNL_UDATA_SET_ELEM_FLAGS: Final = 1
SET_ELEM_F_INTERVAL_OPEN: Final = 1
# enum nftnl_udata_set_types, and what is in those of typeof
NFTNL_UDATA_SET_KEYBYTEORDER: Final = 0
NFTNL_UDATA_SET_DATABYTEORDER: Final = 1
NFTNL_UDATA_SET_MERGE_ELEMENTS: Final = 2
NFTNL_UDATA_SET_KEY_TYPEOF: Final = 3
NFTNL_UDATA_SET_DATA_TYPEOF: Final = 4
NFTNL_UDATA_SET_DATA_INTERVAL: Final = 6
NFTNL_UDATA_SET_TYPEOF_EXPR: Final = 0
NFTNL_UDATA_SET_TYPEOF_DATA: Final = 1
NFTNL_UDATA_SET_KEY_PAYLOAD_DESC: Final = 0
NFTNL_UDATA_SET_KEY_PAYLOAD_TYPE: Final = 1
# nftables's include/datatype.h, include/expression.h and include/proto.h
BYTEORDER_INVALID: Final = 0
BYTEORDER_HOST_ENDIAN: Final = 1
BYTEORDER_BIG_ENDIAN: Final = 2
EXPR_VERDICT: Final = 1
EXPR_PAYLOAD: Final = 7
PROTO_DESC_IP: Final = 12
PROTO_DESC_IP6: Final = 13
IPHDR_SADDR: Final = 11
IP6HDR_SADDR: Final = 8
