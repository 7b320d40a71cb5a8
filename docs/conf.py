"""Sphinx's settings. `nox -s docs` builds, with every warning an error."""

import importlib
import typing

import svcnet

# The verbs' signatures name classes that are imported late. Make those names known here.
typing.TYPE_CHECKING = True
importlib.reload(svcnet)
typing.TYPE_CHECKING = False

project = "svcnet"
author = "The svcnet contributors"
copyright = author
version = release = svcnet.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.viewcode",
    "sphinx_click",
]
html_theme = "furo"
html_title = f"svcnet {version}"
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

nitpicky = True
# Names of Python itself and of libraries, which these pages do not describe.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(_socket|collections|concurrent|fractions|functools|io|ipaddress|os|pathlib|random|ssl|time|typing|types)\..*",
    ),
    ("py:.*", r"(bool|bytes|float|frozenset|int|str|tuple|dict|list|object|KeyError|Exception)"),
    # Where an object was read, which svcnet.sources keeps to itself.
    ("py:class", r"svcnet\.sources\.findings\.Place"),
    # A named tuple keeps the name of an alias that stands for a few texts.
    ("py:class", "Family|Role|SetType|ZoneOf"),
    # A type variable of a function, and what asyncio calls its loop inside.
    ("py:class", r"svcnet\.testing\.fake_time\.Value|asyncio\.unix_events\..*"),
    ("py:.*", r"(attrs|click|dns|immutables|netaddr)\..*"),
]
