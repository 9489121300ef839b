"""`make bench`: what is promised about speed, as ratios of two figures that were measured side by side in one run.

A topic is a module of tests/bench/topics with a function `rows()`, which measures and yields `Row`s; its docstring's
first line says what it measures. Nothing here is asserted by `make test`: a figure belongs to a machine and an hour.
"""
