"""What a rule or a virtual server that was read does to a packet, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from svcnet.netfilter.rules import target

_ENDS: Mapping[str, str] = MappingProxyType(
    {
        "accept": "accepted here",
        "drop": "dropped",
        "reject": "refused",
        "return": "back to where it came from",
        "continue": "nothing",
    }
)
_NOTHING = "goes on"


def effect(mode: str, text: str) -> str:
    """Return what a rule does, of a mode's language; of a policy, what that does."""
    if text.startswith("(policy "):
        return f"the policy: {_ENDS.get(text[len('(policy ') : -1].lower(), text)}"
    return _of_nft(text.split()) if mode == "nftables" else _of_iptables(text)


def server_effect(text: str) -> str:
    """Return what a line of ipvsadm does: a virtual server chooses, a real one gets the packet."""
    verb, *words = text.split()
    if verb in ("-A", "--add-service"):
        scheduler = _option(words, "-s", "--scheduler")
        seconds = _option(words, "-p", "--persistent")
        chooses = f", which chooses by {scheduler}" if scheduler else ""
        stays = f"; a client stays for {seconds} s" if seconds else ""
        return f"a virtual server{chooses}{stays}"
    real = _option(words, "-r", "--real-server")
    if {"-g", "--gatewaying", "-i", "--ipip"} & {*words}:
        return f"handed to {real} as it is"
    return f"sent to {real}"


def _option(words: list[str], *names: str) -> str:
    """Return the value of an option by one of its names, empty without one."""
    return next((found for name in names if (found := _value(words, name))), "")


def _of_iptables(rule: str) -> str:
    name = target(rule)
    rest = rule.rpartition(f" {name} ")[2].split()
    match name:
        case "":
            return _NOTHING
        case "DNAT":
            return f"sent to {_value(rest, '--to-destination')}"
        case "REDIRECT":
            port = _value(rest, "--to-ports")
            return f"sent to {f'port {port} of ' if port else ''}the machine itself"
        case "MASQUERADE":
            return "the source becomes the node's"
        case "SNAT":
            return f"the source becomes {_value(rest, '--to-source')}"
        case "MARK" | "CONNMARK":
            return "marked"
    if name.lower() in _ENDS:
        return _ENDS[name.lower()]
    return f"on to {name}"


def _value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else ""


def _of_nft(words: list[str]) -> str:
    for at, word in enumerate(words):
        match word:
            case "jump" | "goto" if "vmap" not in words[:at] and at + 1 < len(words):
                return f"on to {words[at + 1]}"
            case "vmap":
                return "what the map says"
            case "dnat" if "status" not in words[max(at - 1, 0) : at]:
                return f"sent {' '.join(words[at + 1 :])}"
            case "masquerade":
                return "the source becomes the node's"
            case "snat":
                return f"the source becomes {' '.join(words[at + 1 :])}"
            case "accept" | "drop" | "return" | "reject":
                return _ENDS[word]
    return "marked" if "mark set" in " ".join(words) else _NOTHING
