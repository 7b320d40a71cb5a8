"""Texts of a given size that would take a careless reader too long, or too much memory.

As a program it reads each in a process of its own, and prints a line of JSON: the name, the
text's bytes, the seconds of the processor, the bytes of memory, and how it ended.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], "
SLICE = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\n"
PORTS = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports:\n"

REPEATED = {
    "numbers": ("{'a': [", "1,", "]}"),
    "scalars": ("[", "a,", "]"),
    "mappings": ("a: [", "{},", "]"),
    "lists": ("a: [", "[],", "]"),
    "members": ("", "- a\n", ""),
    "members that are mappings": ("", "- a: b\n", ""),
    "documents": ("", "---\na: 1\n", ""),
    "empty documents": ("", "---\n", ""),
    "document ends": ("", "...\n", ""),
    "documents of another kind": ("", "---\nkind: X\napiVersion: v1\n", ""),
    "a plain scalar": ("a: ", "a ", ""),
    "a plain scalar of lines": ("a:\n", "  a\n", ""),
    "a quoted scalar": ('a: "', "a", '"'),
    "a quoted scalar of escapes": ('a: "', "\\x41", '"'),
    "a quoted scalar without end": ('a: "', "a\n", ""),
    "a literal": ("a: |\n", "  a\n", ""),
    "comments": ("", "# a\n", ""),
    "one comment": ("", "#", ""),
    "empty lines": ("", "\n", ""),
    "spaces": ("", " ", ""),
    "tabs": ("", "\t", ""),
    "carriage returns": ("", "\r", ""),
    "aliases": ("a: &a [x,x,x]\nb: [", "*a,", "]"),
    "merges": ("a: &a {x: y}\nb:\n", "- <<: *a\n", ""),
    "tags": ("", "- !x y\n", ""),
    "brackets": ("", "[", ""),
    "braces": ("", "{a: ", ""),
    "closing brackets": ("", "]", ""),
    "pairs of braces": ("", "{}", ""),
    "dashes": ("", "- ", ""),
    "question marks": ("", "? ", ""),
    "colons": ("", ": ", ""),
    "double quotes": ("", '"', ""),
    "single quotes": ("", "'", ""),
    "empty texts": ("", '"" ', ""),
    "exclamation marks": ("", "!", ""),
    "ampersands": ("", "&", ""),
    "asterisks": ("", "*", ""),
    "directives": ("", "%a\n", ""),
    "bars": ("", "|\n", ""),
    "commas": ("", ",", ""),
    "a name": ("apiVersion: v1\nkind: Service\nmetadata:\n  name: ", "a", ""),
    "a key": ("? ", "a", ""),
    "a kind": ("apiVersion: v1\nkind: ", "a", ""),
    "one key": ("", "a: 1\n", ""),
    "one key of JSON": ("{", '"a":1,', '"a":1}'),
    "one key of JSON in lists": ("[", '{"a":1,"a":1},', "1]"),
    "objects of JSON": ("", "{}", ""),
    "members of a List": ('{"kind":"List","apiVersion":"v1","items":[', "{},", "{}]}"),
    "objects in objects": ("", '{"a":', ""),
    "escapes of JSON": ('{"a":"', "\\u0041", '"}'),
    "Services that are wrong": (
        "",
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: A}\n",
        "",
    ),
    "Services of one name": ("", f"---\n{SERVICE}}}\n", ""),
    "endpoints": (f"{SLICE}addressType: IPv4\nendpoints:\n", "- addresses: [10.0.0.1]\n", ""),
    "endpoints that are wrong": (f"{SLICE}addressType: IPv4\nendpoints:\n", "- 1\n", ""),
}
"""A head, what is repeated, and a tail."""

NUMBERED = {
    "keys": ("", "a{0}: 1\n", ""),
    "keys of JSON": ("{", '"a{0}":1,', '"a":1}'),
    "kinds": ("", "---\nkind: X{0}\napiVersion: v1\n", ""),
    "anchors": ("", "- &a{0} x\n", ""),
    "unknown fields": (SERVICE, "x{0}: 1, ", "}\n"),
    "fields with another end": (SERVICE, "externalIPs{0}: 1, ", "}\n"),
    "labels": (f"{SERVICE}selector: {{", "a{0}: b, ", "}}\n"),
    "ports": (PORTS, "  - {{name: p{0}, port: {0}}}\n", ""),
    "addresses": (f"{SERVICE}externalIPs: [", "'fd00::{0}', ", "]}\n"),
    "names": ("", "---\napiVersion: v1\nkind: Node\nmetadata: {{name: a{0}}}\n", ""),
}
"""The same, with a number in what is repeated."""


def shapes(size: int) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each, of about `size` bytes."""
    for name, (head, unit, tail) in REPEATED.items():
        yield name, head + unit * (size // len(unit)) + tail
    for name, (head, unit, tail) in NUMBERED.items():
        yield name, head + "".join(map(unit.format, range(1, size // (len(unit) + 2)))) + tail
    yield "indentation", "".join(f"{' ' * depth}a:\n" for depth in range(int((2 * size) ** 0.5)))
    doubled = "".join(f"a{n}: &a{n} [{f'*a{n - 1},' * 9}]\n" for n in range(1, 40))
    yield "aliases of aliases", f"a0: &a0 [x,x,x]\n{doubled}"
    merged = "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1},' * 9}]}}\n" for n in range(1, 40))
    yield "merges of merges", f"a0: &a0 {{x: y}}\n{merged}"


def main(size: int) -> None:
    """Read each in a child, which ends with what it took."""
    from svcnet.errors import InputError
    from svcnet.sources import load_bytes

    load_bytes(f"{SERVICE}}}".encode())

    def read(data: bytes) -> str:
        try:
            load_bytes(data, "x.yaml")
        except InputError:
            return "refused"
        return "read"

    for name, text in shapes(size):
        print(json.dumps([name, len(text), *measured(read, text.encode())]), flush=True)


def measured(read: Callable[[bytes], str], data: bytes) -> tuple[float, int, str]:
    """Return the seconds and bytes that reading took in a child, and how it ended."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        try:
            end = read(data)
        except BaseException as error:  # whatever it is, it is what is looked for
            end = repr(error)[:200]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os.write(writing, json.dumps([time.process_time() - start, grown * 1024, end]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as result:
        text = result.read()
    os.waitpid(child, 0)
    seconds, grown, end = json.loads(text or '[0, 0, "died"]')
    return seconds, grown, end


if __name__ == "__main__":
    main(int(sys.argv[1]))
