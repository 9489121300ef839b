"""Where models, inputs, outputs and user data stand, and which files each model folder offers."""

from __future__ import annotations

import argparse
import mimetypes
import os
from dataclasses import dataclass, field
from pathlib import Path

from .extra_paths import read_extra_paths

MODEL_EXTENSIONS = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})

# Folder type -> directories below models/, in the order in which a real server searches and lists them.
_MODEL_FOLDERS: dict[str, tuple[str, ...]] = {
    "checkpoints": ("checkpoints",),
    "configs": ("configs",),
    "loras": ("loras",),
    "vae": ("vae",),
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "clip_vision": ("clip_vision",),
    "style_models": ("style_models",),
    "embeddings": ("embeddings",),
    "diffusers": ("diffusers",),
    "vae_approx": ("vae_approx",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "gligen": ("gligen",),
    "upscale_models": ("upscale_models",),
    "latent_upscale_models": ("latent_upscale_models",),
    "custom_nodes": (),
    "datasets": (),
    "hypernetworks": ("hypernetworks",),
    "photomaker": ("photomaker",),
    "classifiers": ("classifiers",),
    "model_patches": ("model_patches",),
    "audio_encoders": ("audio_encoders",),
    "background_removal": ("background_removal",),
    "frame_interpolation": ("frame_interpolation",),
    "geometry_estimation": ("geometry_estimation",),
    "optical_flow": ("optical_flow",),
    "detection": ("detection",),
}
_OTHER_EXTENSIONS: dict[str, frozenset[str]] = {
    "configs": frozenset({".yaml"}),
    "diffusers": frozenset({"folder"}),
    "classifiers": frozenset({""}),
    "custom_nodes": frozenset(),
    "datasets": frozenset(),
}
_OLD_NAMES = {"unet": "diffusion_models", "clip": "text_encoders"}
_ALSO_IN_OUTPUT = ("checkpoints", "clip", "vae", "diffusion_models", "loras")


@dataclass
class ModelFolder:
    """The directories searched for one kind of model; no extensions means every file counts."""

    paths: list[Path]
    extensions: frozenset[str]


@dataclass
class Folders:
    base: Path
    models: Path
    input: Path
    output: Path
    temp: Path
    user: Path
    by_type: dict[str, ModelFolder] = field(default_factory=dict)

    def add(self, kind: str, path: Path, first: bool = False) -> None:
        kind = _OLD_NAMES.get(kind, kind)
        folder = self.by_type.setdefault(kind, ModelFolder([], frozenset()))
        if path in folder.paths:
            if not first:
                return
            folder.paths.remove(path)
        folder.paths.insert(0 if first else len(folder.paths), path)

    def listing(self, kind: str) -> list[str]:
        """Names relative to the folder, sorted; subdirectories are searched, missing ones are empty."""
        folder = self.by_type[_OLD_NAMES.get(kind, kind)]
        names: set[str] = set()
        for root in folder.paths:
            for parent, directories, files in os.walk(root, followlinks=True):
                directories[:] = [name for name in directories if name != ".git"]
                for file in files:
                    if not folder.extensions or Path(file).suffix.lower() in folder.extensions:
                        names.add(str((Path(parent) / file).relative_to(root)))
        return sorted(names)

    def model_file(self, kind: str, name: str) -> Path:
        """The file behind a listed name. A dangling link is listed but is no file, as on a real server."""
        found = self.find_model_file(kind, name)
        if found is None:
            raise FileNotFoundError(f"Model in folder '{kind}' with filename '{name}' not found.")
        return found

    def find_model_file(self, kind: str, name: str) -> Path | None:
        folder = self.by_type.get(_OLD_NAMES.get(kind, kind))
        relative = os.path.relpath(os.path.join("/", name), "/")  # noqa: PTH118 - cuts any leading ../
        for root in folder.paths if folder else []:
            if (root / relative).is_file():
                return root / relative
        return None

    def directory(self, kind: str | None) -> Path | None:
        """The directory of an `input`, `output` or `temp` reference; None for any other word."""
        return {"input": self.input, "output": self.output, "temp": self.temp}.get(kind or "")

    def split_annotation(self, name: str) -> tuple[str, Path | None]:
        """("a.png", <output>) for "a.png [output]"; the directory is None where nothing is annotated."""
        for kind in ("output", "input", "temp"):
            if name.endswith(f"[{kind}]"):
                return name[: -len(kind) - 3], self.directory(kind)
        return name, None

    def annotated_file(self, name: str) -> Path:
        plain, directory = self.split_annotation(name)
        root = directory or self.input
        path = plain_path(root / plain)
        if not is_within(root, path):
            raise ValueError(f"Invalid file path: {plain!r}")
        return path

    def annotated_file_exists(self, name: str) -> bool:
        plain, directory = self.split_annotation(name)
        root = directory or self.input
        path = plain_path(root / plain)
        return is_within(root, path) and path.exists()

    def input_files(self, kind: str) -> list[str]:
        """Files directly in input/: of a media kind ("image") or of an extension (".latent")."""
        names = [entry.name for entry in os.scandir(self.input) if entry.is_file()]
        if kind.startswith("."):
            return sorted(name for name in names if name.endswith(kind))
        return sorted(name for name in names if _media_kind(name) == kind)


def plain_path(path: Path) -> Path:
    """Absolute, without `..`; symbolic links are kept: names are compared before they are followed."""
    return Path(os.path.normpath(path.absolute()))


def is_within(root: Path, path: Path) -> bool:
    """Whether `path` stays in `root` after symbolic links are followed."""
    return path.resolve().is_relative_to(root.resolve())


def _media_kind(name: str) -> str:
    guessed, _ = mimetypes.guess_type(name, strict=False)
    return (guessed or "").split("/")[0]


def lay_out(options: argparse.Namespace, tree: Path) -> Folders:
    """The folders that a command line asks for; `tree` is where main.py stands."""

    def chosen(option: str | None, default: Path) -> Path:
        return plain_path(Path(option)) if option else default

    base = chosen(options.base_directory, tree)
    models = chosen(options.models_directory, base / "models")
    temp = plain_path(Path(options.temp_directory)) / "temp" if options.temp_directory else base / "temp"
    folders = Folders(
        base=base,
        models=models,
        input=chosen(options.input_directory, base / "input"),
        output=chosen(options.output_directory, base / "output"),
        temp=temp,
        user=chosen(options.user_directory, base / "user"),
    )
    for kind, names in _MODEL_FOLDERS.items():
        paths = [models / name for name in names] or [base / kind]
        folders.by_type[kind] = ModelFolder(paths, _OTHER_EXTENSIONS.get(kind, MODEL_EXTENSIONS))
    extra = [tree / "extra_model_paths.yaml"] if (tree / "extra_model_paths.yaml").is_file() else []
    extra += [Path(path) for group in options.extra_model_paths_config or [] for path in group]
    for file in extra:
        for entry in read_extra_paths(file):
            folders.add(entry.kind, entry.path, entry.first)
    for kind in _ALSO_IN_OUTPUT:
        folders.add(kind, folders.output / kind)
    return folders
