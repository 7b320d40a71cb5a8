"""The table as one JSON document, for programs and golden files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from svcnet.netfilter.nft import NFTChain, NFTElement, NFTRule, NFTSet
from svcnet.renderers.nftables.flat.endpoints import EndpointRow
from svcnet.renderers.nftables.frame import COMMENT
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.text import SortedObjects


def document(ruleset: Ruleset) -> str:
    """Return the JSON text; its lists are in the order of the lines of the text."""
    by_name = SortedObjects.of(ruleset)
    value = {
        "family": ruleset.family,
        "table": {**ruleset.table._asdict(), "comment": COMMENT},
        "chains": [_chain(each, by_name.rules.get(each.name, [])) for each in by_name.chains],
        "sets": [
            _set(each, by_name.elements.get(each.name, []))
            for each in by_name.sets
            if not each.value
        ],
        "maps": [
            _set(each, by_name.elements.get(each.name, [])) for each in by_name.sets if each.value
        ],
    }
    return json.dumps(value, indent=1) + "\n"


def _chain(chain: NFTChain, rules: list[NFTRule]) -> dict[str, Any]:
    value: dict[str, Any] = {"name": chain.name}
    if chain.hook is not None:
        value |= chain.hook._asdict()
    value |= _comment(chain.comment)
    value["rules"] = [{"rule": rule.text, **_comment(rule.comment)} for rule in rules]
    return value


def _set(found: NFTSet, elements: list[NFTElement | EndpointRow]) -> dict[str, Any]:
    kind = "typeof" if found.type.startswith("typeof ") else "type"
    parts = found.type.removeprefix("typeof ").split(" . ")
    value: dict[str, Any] = {"name": found.name, kind: parts}
    if found.value:
        value["value"] = found.value
    if found.size:
        value["size"] = found.size
    if found.seconds:
        value["timeout"] = found.seconds
    value |= _comment(found.comment)
    value["elements"] = [_element(each) for made in elements for each in _each(made)]
    return value


def _each(made: NFTElement | EndpointRow) -> Iterable[NFTElement]:
    return made.elements() if isinstance(made, EndpointRow) else (made,)


def _element(element: NFTElement) -> dict[str, Any]:
    value: dict[str, Any] = {"key": element.key.split(" . ")}
    if element.value:
        value["value"] = element.value
    return value | _comment(element.comment)


def _comment(text: str) -> dict[str, str]:
    return {"comment": text} if text else {}
