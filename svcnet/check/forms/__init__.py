"""Findings as text that people, continuous integration and editors read.

Each form is a function from a report, and from what fails, to the whole text.
"""

from collections.abc import Callable, Mapping

from svcnet.check.forms.github import github
from svcnet.check.forms.junit import junit
from svcnet.check.forms.listing import json_list, text
from svcnet.check.forms.sarif import sarif
from svcnet.check.result import CheckResult

FORMS: Mapping[str, Callable[[CheckResult], str]] = {
    "text": text,
    "json": json_list,
    "github": github,
    "sarif": sarif,
    "junit": junit,
}
"""Every form, by the word that ``-o`` has for it."""
