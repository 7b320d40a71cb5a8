"""Sphinx's settings. `nox -s docs` builds, with every warning an error."""

import importlib
import sys
import typing
from pathlib import Path

import click

import svcnet
from svcnet.cli import main
from svcnet.cli.modal import ModalCommand

# What these pages need beside Sphinx is in their own folder.
sys.path.insert(0, str(Path(__file__).parent))

# The verbs' signatures name classes that are imported late. Make those names known here.
typing.TYPE_CHECKING = True
importlib.reload(svcnet)
typing.TYPE_CHECKING = False

# A page of the command has the options that modes declare, too.
for verb in main.list_commands(click.Context(main)):
    command = main.get_command(click.Context(main), verb)
    if isinstance(command, ModalCommand):
        context = click.Context(command)
        own = [*command.get_params(context), None]
        command.params = own[: own.index(command.manner[0])]

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
    "rule_lines",
]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["rules.css"]
html_title = f"svcnet {version}"
# The tables of charts are parts of pages.
exclude_patterns = ["_build", "charts/*.md"]

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
        r"(_socket|collections|concurrent|contextlib|fractions|functools|io|ipaddress|os|pathlib|random|ssl|time|typing|types)\..*",
    ),
    ("py:.*", r"(bool|bytes|float|frozenset|int|str|tuple|dict|list|object|KeyError|Exception)"),
    # What gives values a repr that fits a screen.
    ("py:class", r"svcnet\.brief\.Brief"),
    # Where an object was read, which svcnet.sources keeps to itself.
    ("py:class", r"svcnet\.sources\.findings\.(Findings|ObjectPlace)"),
    # Where a rule of a machine leads.
    ("py:class", r"svcnet\.meaning\.aims\.RuleAim"),
    # What a rule of svcnet check looks at.
    ("py:class", r"svcnet\.check\.repository\.Repository"),
    # A named tuple keeps the name of an alias that stands for a few texts.
    ("py:class", "Family|Role|SetType|TableKey|ZoneOf"),
    # A type variable of a function, and what asyncio calls its loop inside.
    ("py:class", r"svcnet\.testing\.fake_time\.Value|svcnet\..*\._Value|asyncio\.unix_events\..*"),
    # What modes are generic in, and names of what is one executor's own.
    ("py:.*", r"(svcnet\.|svcnet\.modes\.(mode|executor)\.)?_?(Artifact|Delta|Step)|abc\.ABC"),
    ("py:class", "AnyMode|OptionValues|Listen|PathLike|Paths|Show|TableKey|Variant"),
    # An alias that stands for two classes, and what is imported for types alone.
    ("py:class", "Edit|EndpointChoice|EndpointSource|NFTObject|IPFamily|ExitStack|RenderableType"),
    # What a ServiceGraph is made of; who tests manifests has it from a fixture.
    ("py:class", "Fraction|InputScope|Inputs|Path|Question"),
    # What holds the state of one walk, or is an error that users meet as one of its kinds.
    ("py:class", r"svcnet\.discovery\.endpoints\.finder\.Finder"),
    ("py:class", r"svcnet\.executors\.iptables\.commands\.RestoreError"),
    # What a look at a table has seen, for the plan of a repair.
    ("py:class", r"svcnet\.executors\.nftables\.dump\.TableObservation"),
    # What rules in each language are to the comparison of packets, which keeps it to itself.
    (
        "py:class",
        r"svcnet\.meaning\.(aims|comparison\.cells|facts|flow|rule_ways|sources|(iptables|nftables|userspace)\.\w+)\..*",
    ),
    ("py:class", r"svcnet\.netfilter\.(ipvs\.)?listing\.(Listing|SavedServer)"),
    # What service ports refer to, and what their rules are written into and made of.
    ("py:class", r"(svcnet\.compiler\.service_ports\.)?ServiceFacts"),
    ("py:class", r"svcnet\.renderers\.iptables\.(service\.Writing|forest\.\w+)"),
    ("py:class", r"svcnet\.renderers\.nftables\.words\.NodeWords"),
    ("py:.*", r"(attrs|click|dns|immutables|netaddr)\..*"),
]
