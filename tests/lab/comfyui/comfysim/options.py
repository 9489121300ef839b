"""ComfyUI 0.33.0's command line: every option it knows is known here, and each one is modelled or refused.

Three kinds: options that change something a client or an operator can see (modelled), options that only tune
arithmetic and memory (accepted, no effect on simulated arithmetic), and options whose subsystem is not
simulated (refused by name, so that nobody deploys one untested).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

LOG_LEVELS = ("DEBUG", "DETAIL", "INFO", "WARNING", "ERROR", "CRITICAL")
PREVIEW_METHODS = ("none", "auto", "latent2rgb", "taesd")

# No effect on simulated arithmetic. Options of one tuple exclude each other, as in the real program.
_TUNING_FLAGS: tuple[tuple[str, ...], ...] = (
    ("--force-fp32", "--force-fp16"),
    (
        "--fp32-unet",
        "--fp64-unet",
        "--bf16-unet",
        "--fp16-unet",
        "--fp8_e4m3fn-unet",
        "--fp8_e5m2-unet",
        "--fp8_e8m0fnu-unet",
    ),
    ("--fp16-vae", "--fp32-vae", "--bf16-vae"),
    ("--cpu-vae",),
    (
        "--fp8_e4m3fn-text-enc",
        "--fp8_e5m2-text-enc",
        "--fp16-text-enc",
        "--fp32-text-enc",
        "--bf16-text-enc",
    ),
    ("--fp16-intermediates",),
    ("--force-channels-last",),
    ("--supports-fp8-compute",),
    ("--enable-triton-backend",),
    ("--disable-triton-backend",),
    (
        "--use-split-cross-attention",
        "--use-quad-cross-attention",
        "--use-pytorch-cross-attention",
        "--use-sage-attention",
        "--use-flash-attention",
        "--use-ck-attention",
    ),
    ("--disable-xformers",),
    ("--force-upcast-attention", "--dont-upcast-attention"),
    ("--disable-nvml-pressure",),
    ("--disable-async-offload",),
    ("--disable-dynamic-vram",),
    ("--enable-dynamic-vram",),
    ("--fast-disk",),
    ("--disable-cuda-graphs",),
    ("--force-non-blocking",),
    ("--disable-smart-memory",),
    ("--deterministic",),
    ("--disable-pinned-memory",),
    ("--mmap-torch-files",),
    ("--disable-mmap",),
    ("--disable-api-nodes",),
)

# Known to the real program, not simulated: refused by name.
_REFUSED_FLAGS = (
    "--auto-launch",
    "--enable-manager",
    "--disable-manager-ui",
    "--enable-manager-legacy-ui",
    "--debug-hang",
    "--quick-test-for-ci",
    "--windows-standalone-build",
    "--multi-user",
    "--enable-assets",
    "--enable-asset-hashing",
    "--list-feature-flags",
)
_REFUSED_VALUES = (
    "--tls-keyfile",
    "--tls-certfile",
    "--directml",
    "--oneapi-device-selector",
    "--front-end-version",
    "--front-end-root",
    "--comfy-api-base",
    "--database-url",
    "--feature-flag",
)


class _Refuse(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        parser.error(f"simulator: option {option_string} is not modelled")


class _Verbose(argparse.Action):
    """No value, one console level, or a level and a file; may be repeated."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        words = [str(word) for word in values] if isinstance(values, list) else []
        if len(words) > 2 or (words and words[0] not in LOG_LEVELS):
            parser.error(f"{option_string} expects no values, a console LEVEL, or LEVEL FILE")
        level = words[0] if words else "DEBUG"
        file = words[1] if len(words) == 2 else None
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), (level, file)])


def _existing_directory(text: str) -> str:
    if not os.path.isdir(text):  # noqa: PTH112 - the message shows the text exactly as it was given
        problem = "is not a directory" if os.path.exists(text) else "does not exist"  # noqa: PTH110
        raise argparse.ArgumentTypeError(f"The path '{text}' {problem}.")
    if not os.access(text, os.R_OK):
        raise argparse.ArgumentTypeError(f"You do not have read permissions for '{text}'.")
    return text


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="ComfyUI simulator: the command line of ComfyUI 0.33.0.")
    _add_server_options(parser)
    _add_directory_options(parser)
    _add_device_options(parser)
    _add_behaviour_options(parser)
    for group in _TUNING_FLAGS:
        target = parser.add_mutually_exclusive_group() if len(group) > 1 else parser
        for flag in group:
            target.add_argument(flag, action="store_true", help="accepted; tunes arithmetic only")
    for flag in _REFUSED_FLAGS:
        parser.add_argument(flag, action=_Refuse, nargs=0, help="not modelled: refused")
    for option in _REFUSED_VALUES:
        parser.add_argument(option, action=_Refuse, nargs="?", help="not modelled: refused")
    return parser


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--listen", default="127.0.0.1", metavar="IP", nargs="?", const="0.0.0.0,::", help="address(es)")
    add("--port", type=int, default=8188)
    add("--enable-cors-header", default=None, metavar="ORIGIN", nargs="?", const="*")
    add("--max-upload-size", type=float, default=100, help="largest request body, in MiB")
    add("--enable-compress-response-body", action="store_true")
    add("--disable-auto-launch", action="store_true", help="accepted; nothing is ever launched")
    add("--dont-print-server", action="store_true")
    add("--verbose", action=_Verbose, nargs="*", default=[], metavar="LEVEL FILE")
    add("--log-stdout", action="store_true")


def _add_directory_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--base-directory", default=None, help="models, custom_nodes, input, output, temp and user stand here"
    )
    add("--extra-model-paths-config", default=None, metavar="PATH", nargs="+", action="append")
    for kind in ("output", "temp", "input"):
        add(f"--{kind}-directory", default=None)
    for kind in ("user", "models"):
        add(f"--{kind}-directory", type=_existing_directory, default=None)


def _add_device_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cuda-device", default=None, metavar="DEVICE_ID", help="overwrites CUDA_VISIBLE_DEVICES")
    add("--default-device", type=int, default=None, metavar="DEFAULT_DEVICE_ID")
    malloc = parser.add_mutually_exclusive_group()
    malloc.add_argument("--cuda-malloc", action="store_true")
    malloc.add_argument("--disable-cuda-malloc", action="store_true")
    memory = parser.add_mutually_exclusive_group()
    for flag in ("--gpu-only", "--highvram", "--lowvram", "--novram", "--cpu"):
        memory.add_argument(flag, action="store_true")
    add("--reserve-vram", type=float, default=None)
    add("--vram-headroom", type=float, default=0)
    add("--async-offload", nargs="?", const=2, type=int, default=None, metavar="NUM_STREAMS")


def _add_behaviour_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preview-method", choices=PREVIEW_METHODS, default="none")
    add("--preview-size", type=int, default=512)
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache-ram", nargs="*", type=float, default=[], metavar="GB")
    cache.add_argument("--cache-classic", action="store_true")
    cache.add_argument("--cache-lru", type=int, default=0)
    cache.add_argument("--cache-none", action="store_true")
    cache.add_argument("--high-ram", action="store_true")
    add("--default-hashing-function", choices=("md5", "sha1", "sha256", "sha512"), default="sha256")
    add(
        "--fast",
        nargs="*",
        choices=("fp16_accumulation", "fp8_matrix_mult", "cublas_ops", "autotune"),
        default=None,
    )
    add("--disable-metadata", action="store_true")
    add("--disable-all-custom-nodes", action="store_true")
    add("--whitelist-custom-nodes", nargs="+", default=[])


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed command line; ends the process with argparse's message and status 2 on a bad one."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if len(options.cache_ram) > 2:
        parser.error("--cache-ram accepts at most two values: active GB and inactive GB")
    if options.high_ram:
        options.cache_classic = True
    return options
