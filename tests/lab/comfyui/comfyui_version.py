"""The release whose command line, routes and JSON this tree simulates."""

__version__ = "0.33.0"
