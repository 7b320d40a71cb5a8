"""Lines for nft as values: what is there after them, and what is refused."""

from __future__ import annotations

import pytest

from svcnet.netfilter.nft import NFTState, ScriptError, load

BASE = """\
add table ip t { comment "a table" ; }
add chain ip t in { type filter hook input priority filter - 5 ; policy drop ; }
add chain ip t a { comment "for a; b" ; }
add chain ip t b
add set ip t s { type ipv4_addr ; flags dynamic,timeout ; timeout 90s ; comment "some" ; }
add map ip t m { type ipv4_addr . inet_proto . inet_service : verdict ; }
add rule ip t in ip saddr @s counter jump a comment "to a"
add rule ip t a drop
add element ip t m { 10.0.0.1 . 6 . 80 comment "x:y" : goto b }
"""


def rules(state: NFTState, chain: str = "a") -> list[str]:
    return [rule.text for rule in state.tables["ip", "t"].chains[chain].rules]


def test_what_is_added_is_there() -> None:
    """With hooks, comments, flags, times and elements in the forms of a listing."""
    table = load(NFTState(), BASE).tables["ip", "t"]
    assert table.comment == "a table"
    assert (table.chains["in"].hook, table.chains["a"].comment) == (
        ("filter", "input", -5, "drop", ()),
        "for a; b",
    )
    [rule] = table.chains["in"].rules
    assert (rule.text, rule.comment, rule.line) == ("ip saddr @s counter jump a", "to a", 7)
    found = table.sets["s"]
    assert found.flags == {"dynamic", "timeout"}
    assert (found.timeout, found.size) == (90, 0)
    assert [each[:3] for each in table.sets["m"].elements.values()] == [
        ("10.0.0.1 . tcp . 80", "goto b", "x:y")
    ]
    handles = [rule.handle]
    handles += [each.handle for each in table.chains.values()]
    handles += [each.handle for each in table.sets.values()]
    assert len(set(handles)) == len(handles)


def test_a_set_that_rules_of_its_text_fill_has_a_size() -> None:
    """nft gives it one then, and not if the rule comes in another text."""
    made = (
        "add table ip t\nadd chain ip t a\nadd set ip t s { type mark ; flags dynamic,timeout ; }\n"
    )
    rule = "add rule ip t a update @s { meta mark }\n"
    for texts, size in (((made + rule,), 65535), ((made, rule), 0)):
        state = NFTState()
        for text in texts:
            state = load(state, text)
        assert state.tables["ip", "t"].sets["s"].size == size


def test_rules_go_to_their_places() -> None:
    """At the end, at the head, beside another by handle or index, and in the place of one."""
    state = load(NFTState(), f"{BASE}flush chain ip t a\nadd rule ip t a accept\n")
    [first] = state.tables["ip", "t"].chains["a"].rules
    more = (
        f"insert rule ip t a handle {first.handle} jump b\n"
        f"add rule ip t a handle {first.handle} return\n"
        "insert rule ip t a drop\n"
        "add rule ip t a index 0 continue\n"
    )
    state = load(state, more)
    assert rules(state) == ["drop", "continue", "jump b", "accept", "return"]
    state = load(state, f"replace rule ip t a handle {first.handle} reject\ndelete chain ip t in\n")
    assert rules(state) == ["drop", "continue", "jump b", "reject", "return"]
    last = state.tables["ip", "t"].chains["a"].rules[-1]
    state = load(state, f"delete rule ip t a handle {last.handle}\n")
    assert rules(state) == ["drop", "continue", "jump b", "reject"]


def test_a_text_can_be_loaded_again() -> None:
    """What is there stays, rules come again, and another timeout is taken over."""
    again = BASE.replace("90s", "2m").replace("policy drop", "policy accept")
    state = load(load(NFTState(), BASE), again)
    table = state.tables["ip", "t"]
    assert rules(state) == ["drop", "drop"]
    assert table.sets["s"].timeout == 120
    assert table.chains["in"].hook is not None
    assert table.chains["in"].hook.policy == "accept"
    assert len(table.sets["m"].elements) == 1


def test_what_is_destroyed_need_not_be_there() -> None:
    """``destroy`` is ``delete`` that minds nothing."""
    state = load(NFTState(), BASE)
    gone = "destroy chain ip t x\ndestroy set ip t x\ndestroy table ip x\n"
    gone += "destroy element ip t m { 10.0.0.9 . tcp . 80 }\ndestroy rule ip t a handle 999\n"
    assert load(state, gone).tables == state.tables
    assert load(state, "flush ruleset").tables == {}
    assert not load(state, "flush table ip t").tables["ip", "t"].chains["a"].rules


REFUSED = {
    "add chain ip x a": "No such file or directory",
    "add rule ip t x drop": "No such file or directory",
    "add rule ip t a jump x": "No such file or directory",
    "add rule ip t a ip saddr @x drop": "No such file or directory",
    "add element ip t m { 10.0.0.2 . tcp . 80 : goto x }": "No such file or directory",
    "add element ip t m { 10.0.0.1 . tcp . 80 : drop }": "File exists",
    "create element ip t m { 10.0.0.1 . tcp . 80 : goto b }": "File exists",
    "create chain ip t a": "File exists",
    "create table ip t": "File exists",
    "add set ip t s { type ipv6_addr ; }": "File exists",
    "add chain ip t in { type filter hook input priority 0 ; }": "File exists",
    "delete chain ip t a": "Device or resource busy",
    "delete chain ip t b": "Device or resource busy",
    "delete set ip t s": "Device or resource busy",
    "delete rule ip t a handle 99": "No such file or directory",
    "delete element ip t m { 10.0.0.1 . tcp . 81 }": "No such file or directory",
    "delete table ip x": "No such file or directory",
    "add element ip t m { 10.0.0.2 . 80 : drop }": "syntax error",
    "add element ip t m { 10.0.0.2 . tcp . 80 }": "syntax error",
    "add element ip t m 10.0.0.2": "syntax error",
    "add set ip t z { nonsense ; }": "syntax error",
    "add chain ip t z { nonsense ; }": "syntax error",
    "frobnicate rule ip t a drop": "syntax error",
    "rubbish": "syntax error",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_the_kernel_refuses(line: str) -> None:
    """The line is told with the kernel's reason, and nothing of the text has taken effect."""
    state = load(NFTState(), BASE)
    with pytest.raises(ScriptError, match=REFUSED[line]) as caught:
        load(state, f"# first\nadd chain ip t c\n{line}\n")
    assert caught.value.line == 3
    assert "c" not in state.tables["ip", "t"].chains


def test_what_nothing_leads_to_any_more_can_go() -> None:
    """In one text: rules and elements first, and then what they led to."""
    text = (
        "flush chain ip t in\ndelete chain ip t a\ndelete set ip t s\n"
        "delete element ip t m { 10.0.0.1 . tcp . 80 : goto b }\ndelete chain ip t b\n"
    )
    table = load(load(NFTState(), BASE), text).tables["ip", "t"]
    assert (list(table.chains), list(table.sets)) == (["in"], ["m"])
