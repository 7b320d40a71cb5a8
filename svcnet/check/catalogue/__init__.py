"""Every rule, with what to do and examples: a module for each hundred of their numbers."""
