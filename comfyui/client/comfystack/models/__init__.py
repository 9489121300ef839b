"""`comfystack models`: the files of a models lock, fetched, proved by their SHA-256, and left alone when they are good.

aria2 transfers, OpenSSL hashes (through hashlib). Imports nothing beyond the standard library, PyYAML and, for the bar
on a terminal, rich: the role `comfyui_models` runs this package on a Docker host that has no more than that.
"""
