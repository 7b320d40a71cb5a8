"""What containers make of the variables that they are told."""

from __future__ import annotations

import pytest

from svcnet.discovery.environment import ContainerEnvironment, notes, pod_environment
from svcnet.models import ClusterState, Container, EnvVar, Pod
from svcnet.testing import make_service

WEB = make_service("web", "10.96.0.10")


def started(*containers: Container, **fields: object) -> tuple[ContainerEnvironment, ...]:
    pod = Pod(namespace="shop", name="client", containers=containers, **fields)  # type: ignore[arg-type]
    return pod_environment(ClusterState.of([WEB]), pod)[1]


def started_with(*env: EnvVar, env_from: bool = False) -> ContainerEnvironment:
    [found] = started(Container("app", env=env, env_from=env_from))
    return found


def test_a_container_without_variables_has_those_of_services() -> None:
    """Without ``env`` a container gets what the Services set, and overrides nothing."""
    found = started_with()
    assert found.values["WEB_SERVICE_HOST"] == "10.96.0.10"
    assert found.overrides == ()


def test_own_variables_win() -> None:
    """A variable of the container takes the place of a Service's; others are added."""
    found = started_with(EnvVar("WEB_SERVICE_HOST", "localhost"), EnvVar("MODE", "test"))
    assert found.values["WEB_SERVICE_HOST"] == "localhost"
    assert found.values["MODE"] == "test"
    [override] = found.overrides
    assert (override.value, override.replaced.value) == ("localhost", "10.96.0.10")
    assert list(found.values) == sorted(found.values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://$(WEB_SERVICE_HOST):$(WEB_SERVICE_PORT)/", "http://10.96.0.10:80/"),
        ("$$(WEB_SERVICE_PORT)", "$(WEB_SERVICE_PORT)"),
        ("$$$(WEB_SERVICE_PORT)", "$80"),
        ("$(NOT_THERE)", "$(NOT_THERE)"),
        ("$(BELOW)", "$(BELOW)"),
        ("$(ABOVE)", "a"),
        ("$(SECRET)", "$(SECRET)"),
        ("$WEB_SERVICE_PORT ${WEB_SERVICE_PORT}", "$WEB_SERVICE_PORT ${WEB_SERVICE_PORT}"),
        ("$(WEB_SERVICE_PORT", "$(WEB_SERVICE_PORT"),
        ("$($$", "$($"),
        ("$()", "$()"),
        ("$", "$"),
        ("$(A$(ABOVE))", "$(A$(ABOVE))"),
    ],
)
def test_references(text: str, expected: str) -> None:
    """``$(NAME)`` stands for a Service's variable or one above, ``$$`` for a dollar sign."""
    above, secret, below = EnvVar("ABOVE", "a"), EnvVar("SECRET", None), EnvVar("BELOW", "b")
    found = started_with(above, secret, EnvVar("IT", text), below)
    assert found.values["IT"] == expected


def test_a_variable_may_refer_to_the_one_it_replaces() -> None:
    """A reference to its own name is to the Service's variable, later ones to its own."""
    found = started_with(
        EnvVar("WEB_SERVICE_PORT", "$(WEB_SERVICE_PORT)80"),
        EnvVar("COPY", "$(WEB_SERVICE_PORT)"),
        EnvVar("WEB_SERVICE_HOST", None),
        EnvVar("HOST", "$(WEB_SERVICE_HOST)"),
    )
    assert found.values["WEB_SERVICE_PORT"] == found.values["COPY"] == "8080"
    assert found.values["HOST"] == "$(WEB_SERVICE_HOST)"
    assert found.values["WEB_SERVICE_HOST"] is None


def test_each_container_for_itself() -> None:
    """Init containers come first, and what one sets is nothing to another."""
    own = Container("app", env=(EnvVar("WEB_SERVICE_HOST", "a"),))
    found = started(own, Container("log"), init_containers=(Container("setup"),))
    assert [one.name for one in found] == ["setup", "app", "log"]
    assert [len(one.overrides) for one in found] == [0, 1, 0]


def test_without_service_links() -> None:
    """Where the Pod wants no service links, a variable of a Service's name replaces nothing."""
    [found] = started(
        Container("app", env=(EnvVar("WEB_SERVICE_HOST", "a"),)), enable_service_links=False
    )
    assert found.overrides == ()
    assert found.values == {"WEB_SERVICE_HOST": "a"}


def test_notes_stay_on_their_lines() -> None:
    """A value that begins a new line does not end the comment that shows it."""
    hostile = "\ntouch owned\r\x85\u2028$(touch owned) \N{GRINNING FACE}\ud800"
    found = started_with(
        EnvVar("WEB_SERVICE_HOST", hostile), EnvVar("WEB_PORT", None), env_from=True
    )
    lines = notes([found]).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("# container app ") for line in lines)
    assert lines[0].endswith("sets WEB_PORT by valueFrom")
    assert lines[2].endswith("has envFrom, which may replace any of these")
