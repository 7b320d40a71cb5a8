"""Putting a cluster's names on servers of others."""
