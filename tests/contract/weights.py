"""Model files that are whole and tiny, under the names that the recorded workflows ask for."""

from __future__ import annotations

from pathlib import Path

# The shortest whole safetensors file: an empty header, no tensors.
SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)

_FILES = {
    "diffusion_models": (
        "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
        "qwen_image_fp8_e4m3fn.safetensors",
        "Qwen-Image-Edit-2509-Q4_K_M.gguf",
    ),
    "text_encoders": ("qwen_2.5_vl_7b_fp8_scaled.safetensors",),
    "vae": ("qwen_image_vae.safetensors",),
    "loras": (
        "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
        "Qwen-Image-Lightning-8steps-V1.0.safetensors",
    ),
    "controlnet": ("Qwen-Image-InstantX-ControlNet-Union.safetensors",),
}


def lay_models(base: Path) -> None:
    """Fills base/models."""
    for folder, names in _FILES.items():
        (base / "models" / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            content = GGUF if name.endswith(".gguf") else SAFETENSORS
            (base / "models" / folder / name).write_bytes(content)
