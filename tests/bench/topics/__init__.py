"""One module for each topic; see tests/bench."""
