"""Tests of `comfystack models`."""
