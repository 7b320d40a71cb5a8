"""What rules look for, as plain functions from a repository to remarks about its objects."""
