"""Renderers write a rule graph in the languages that a node understands. All are pure."""
