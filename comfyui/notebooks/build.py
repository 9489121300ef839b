"""The notebook of the course, made of its cells: `python comfyui/notebooks/build.py [--check]`.

Figures, parameters and node tables come from the package and the models lock, so that the course cannot say anything
else than they do. Exit code 1 with --check where the notebook that is committed is not what the cells make.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml
from comfystack import Graph, graphs, parameters
from jinja2 import Environment, StrictUndefined

HERE = Path(__file__).parent
CELLS = HERE / "cells"
NOTEBOOK = HERE / "qwen-image-edit.ipynb"
SOLUTION = CELLS / "14-solution.py"
ROLES = {
    "UNETLoader": "charge le modèle de diffusion",
    "CLIPLoader": "charge le lecteur de phrases",
    "VAELoader": "charge le passage entre pixels et latents",
    "LoraLoaderModelOnly": "ajoute l'adaptateur Lightning",
    "ModelSamplingAuraFlow": "règle le calendrier du bruit",
    "CFGNorm": "tempère la fidélité à la phrase",
    "LoadImage": "lit l'image envoyée",
    "FluxKontextImageScale": "la met à la taille du modèle",
    "VAEEncode": "encode l'image en latent",
    "CLIPTextEncode": "lit la phrase",
    "TextEncodeQwenImageEditPlus": "lit la phrase avec l'image",
    "EmptySD3LatentImage": "prépare un latent vide",
    "KSampler": "calcule, étape par étape",
    "VAEDecode": "décode le latent en pixels",
    "SaveImage": "enregistre l'image",
}
TYPES = {"text": "texte", "integer": "entier", "number": "nombre", "image": "image"}


def _default(name: str, parameter: parameters.Parameter | str) -> str:
    one = parameters.schema(name).parameters[parameter] if isinstance(parameter, str) else parameter
    if one.required:
        return "à donner"
    value = str(parameters.default(graphs.load(name), one))
    return value if one.type != "text" else f"« {value} »" if value.strip() else "vide"


def _gigabytes(name: str) -> str:
    lock = yaml.safe_load((HERE.parent / "models.lock.yml").read_text(encoding="utf-8"))
    size = sum(lock["files"][one]["bytes"] for one in lock["sets"][name])
    return f"{size / 1e9:.1f}".replace(".", ",")


def _load(name: str) -> Graph:
    return graphs.load(name)


def build() -> nbformat.NotebookNode:
    """The notebook, without outputs."""
    # Code has braces of its own; only what stands in double ones is filled in.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - no HTML
    known: dict[str, Any] = {
        "graph": _load,
        "schema": parameters.schema,
        "default": _default,
        "gigabytes": _gigabytes,
        "role": ROLES.__getitem__,
        "type_name": lambda one: TYPES[one.type],
        "solution": SOLUTION.read_text(encoding="utf-8"),
    }
    cells = []
    for path in sorted(set(CELLS.iterdir()) - {SOLUTION}):
        text = environment.from_string(path.read_text(encoding="utf-8")).render(known).rstrip("\n")
        if path.suffix == ".py":
            cells.append(nbformat.v4.new_code_cell(text, id=path.stem))
        else:
            cells.append(nbformat.v4.new_markdown_cell(text, id=path.stem))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook: nbformat.NotebookNode = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    return notebook


def main(arguments: list[str]) -> int:
    """Writes the notebook, or with --check only compares."""
    text = nbformat.writes(build()) + "\n"
    if arguments == ["--check"]:
        if NOTEBOOK.exists() and NOTEBOOK.read_text(encoding="utf-8") == text:
            return 0
        print(
            f"found: {NOTEBOOK.name} is not what its cells make\nexpected: a notebook in step with them\n"
            "next step: make notebook",
            file=sys.stderr,
        )
        return 1
    NOTEBOOK.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
