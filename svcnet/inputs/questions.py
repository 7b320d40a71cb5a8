"""What packets are asked about, of what the input options name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.inputs import Inputs
    from svcnet.meaning.explanation.question import Question
    from svcnet.sources import LoadResult


def question_of(inputs: Inputs, loaded: LoadResult, family: str | None) -> Question:
    """Return the objects as the node sees them in an IP family, by the word for it."""
    from svcnet.compiler import node_view
    from svcnet.meaning.explanation.question import Question

    view = inputs.view(family)

    def view_of(node: str) -> NodeView:
        return node_view(
            state=inputs.state,
            config=inputs.config,
            node=node,
            family=view.family,
            rules=inputs.settings.rules,
        )

    return Question(
        inputs.state,
        view,
        inputs.mode,
        inputs.settings,
        locate=loaded.places,
        excerpt=loaded.excerpt,
        view_of=view_of,
    )
