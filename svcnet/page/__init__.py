"""A page to look at: what becomes of packets, drawn, as one file of HTML that asks nobody.

`services` has what is told of one Service, `problems` what is wrong and comes first, `site` puts
these together, and `html` makes a page of it with the template, the style and the script in
``parts``.
"""
