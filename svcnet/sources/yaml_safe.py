"""YAML through PyYAML's safe loader, for whatever the fast way does not cover."""

from __future__ import annotations

from typing import Any

from svcnet import checks
from svcnet.sources.parse import MAX_ALIASED, ParseError


def safe_documents(data: bytes) -> list[Any]:
    """Return the documents of a YAML stream. Raises :class:`ParseError`.

    As Kubernetes reads it, a plain timestamp is text. A document whose aliases multiply
    into more than :data:`~svcnet.sources.parse.MAX_ALIASED` nodes is refused.
    """
    import yaml

    loader = _loader_class()(data)
    documents = []
    try:
        while loader.check_node():
            node = loader.get_node()
            _refuse_bomb(node)
            documents.append(loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise ParseError(line, f"is no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ParseError(0, f"is no YAML: {error}") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # What PyYAML's constructors raise for a tag that does not fit its scalar.
        raise ParseError(0, f"is no YAML: {error}") from None
    except RecursionError:
        raise ParseError(0, "is nested too deeply", checks.DEPTH) from None
    finally:
        loader.dispose()
    return documents


def _loader_class() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):
        """The safe loader, without timestamps."""

    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _refuse_bomb(root: Any) -> None:
    """Raise if following every alias of a document meets too many nodes.

    Each node is counted once and its size remembered, so the check itself is linear.
    What counts is how much the aliases add, not how large the document is.
    """
    sizes: dict[int, int] = {}
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        children = _children(node)
        if done:
            size = 1 + sum(sizes.get(id(child), 1) for child in children)
            sizes[id(node)] = min(size, _ENDLESS)
            continue
        if id(node) in sizes:
            continue
        sizes[id(node)] = 1
        stack.append((node, True))
        stack += [(child, False) for child in children]
    if sizes[id(root)] - len(sizes) > MAX_ALIASED:
        line = root.start_mark.line + 1
        raise ParseError(line, "its aliases multiply into too many values", checks.ALIASES)


# A bound on sums, which would otherwise grow to numbers of thousands of digits.
_ENDLESS = 1 << 60


def _children(node: Any) -> list[Any]:
    if isinstance(node.value, str):
        return []
    return [
        child for item in node.value for child in (item if isinstance(item, tuple) else (item,))
    ]
