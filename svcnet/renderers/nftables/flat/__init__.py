"""The flat layout: Services are elements of maps, and chains are shared by how many endpoints."""
