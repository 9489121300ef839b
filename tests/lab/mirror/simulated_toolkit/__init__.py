"""Stand-in for NVIDIA's container toolkit: injects the simulated cards into containers of the real engine.

Standard library only, because it is installed into a GPU host as a package. It models what version 1.20
does: the nvidia runtime edits the OCI specification as a just-in-time CDI spec would, the hook serves
`--gpus` and Compose's device reservations, nvidia-ctk writes daemon.json entries and CDI files.
"""
