"""The diffusion nodes: they carry identities along the graph, and KSampler turns them into pixels."""

from __future__ import annotations

from typing import Any

from PIL import Image

from . import pictures
from .node_run import NodeFunction, NodeResult, NodeRun
from .scaling import latent_crop
from .values import Conditioning, Images, Latent, Weights, fingerprint
from .weights_file import check_weights_file


def _load(run: NodeRun, kind: str, folders: tuple[str, ...], name: str, *how: Any) -> NodeResult:
    for folder in folders[:-1]:
        if run.setup.folders.find_model_file(folder, name):
            file = run.setup.folders.model_file(folder, name)
            break
    else:
        file = run.setup.folders.model_file(folders[-1], name)
    check_weights_file(file)
    return NodeResult((Weights(kind, fingerprint(kind, name, *how), name),))


def unet_loader(run: NodeRun, unet_name: str, weight_dtype: str = "default") -> NodeResult:
    return _load(run, "MODEL", ("diffusion_models",), unet_name, weight_dtype)


def unet_loader_gguf(run: NodeRun, unet_name: str) -> NodeResult:
    return _load(run, "MODEL", ("unet_gguf",), unet_name)


def clip_loader(run: NodeRun, clip_name: str, type: str, device: str = "default") -> NodeResult:
    return _load(run, "CLIP", ("text_encoders",), clip_name, type)


def clip_loader_gguf(run: NodeRun, clip_name: str, type: str) -> NodeResult:
    return _load(run, "CLIP", ("text_encoders", "clip_gguf"), clip_name, type)


def qwen_vl_clip_loader(run: NodeRun, model_name: str) -> NodeResult:
    return _load(run, "CLIP", ("text_encoders",), model_name, "qwen_image")


def vae_loader(run: NodeRun, vae_name: str) -> NodeResult:
    if vae_name == "pixel_space":
        return NodeResult((Weights("VAE", fingerprint("VAE", vae_name), vae_name),))
    return _load(run, "VAE", ("vae",), vae_name)


def control_net_loader(run: NodeRun, control_net_name: str) -> NodeResult:
    return _load(run, "CONTROL_NET", ("controlnet",), control_net_name)


def model_patch_loader(run: NodeRun, name: str) -> NodeResult:
    return _load(run, "MODEL_PATCH", ("model_patches",), name)


def lora_loader_model_only(run: NodeRun, model: Weights, lora_name: str, strength_model: float) -> NodeResult:
    if strength_model == 0:
        return NodeResult((model,))
    check_weights_file(run.setup.folders.model_file("loras", lora_name))
    return NodeResult((model.patched("lora", lora_name, strength_model),))


def lora_loader(
    run: NodeRun, model: Weights, clip: Weights, lora_name: str, strength_model: float, strength_clip: float
) -> NodeResult:
    check_weights_file(run.setup.folders.model_file("loras", lora_name))
    patched_model = model.patched("lora", lora_name, strength_model)
    return NodeResult((patched_model, clip.patched("lora", lora_name, strength_clip)))


def model_sampling(run: NodeRun, model: Weights, shift: float) -> NodeResult:
    return NodeResult((model.patched("shift", shift),))


def cfg_norm(run: NodeRun, model: Weights, strength: float, pre_cfg: bool = False) -> NodeResult:
    return NodeResult((model.patched("cfg_norm", strength, pre_cfg),))


def diffsynth_controlnet(
    run: NodeRun,
    model: Weights,
    model_patch: Weights,
    vae: Weights,
    image: Images,
    strength: float,
    mask: Any = None,
) -> NodeResult:
    return NodeResult(
        (model.patched("diffsynth", model_patch.identity, vae.identity, image.identity, strength),)
    )


def clip_text_encode(run: NodeRun, text: str, clip: Weights) -> NodeResult:
    return NodeResult((Conditioning(text, fingerprint("text", clip.identity, text)),))


def text_encode_qwen_edit(
    run: NodeRun, clip: Weights, prompt: str, vae: Weights | None = None, image: Images | None = None
) -> NodeResult:
    return text_encode_qwen_edit_plus(run, clip, prompt, vae, image)


def text_encode_qwen_edit_plus(
    run: NodeRun,
    clip: Weights,
    prompt: str,
    vae: Weights | None = None,
    image1: Images | None = None,
    image2: Images | None = None,
    image3: Images | None = None,
) -> NodeResult:
    shown = [image for image in (image1, image2, image3) if image is not None]
    identity = fingerprint(
        "edit",
        clip.identity,
        vae.identity if vae else None,
        prompt,
        *(image.identity if image else None for image in (image1, image2, image3)),
    )
    # Only with a VAE does the encoder hand the pictures themselves to the sampler.
    references = tuple(image.frames[0] for image in shown) if vae else ()
    return NodeResult((Conditioning(prompt, identity, references),))


def conditioning_zero_out(run: NodeRun, conditioning: Conditioning) -> NodeResult:
    return NodeResult(
        (Conditioning("", fingerprint("zero", conditioning.identity), conditioning.references),)
    )


def control_net_apply_advanced(
    run: NodeRun,
    positive: Conditioning,
    negative: Conditioning,
    control_net: Weights,
    image: Images,
    strength: float,
    start_percent: float,
    end_percent: float,
    vae: Weights | None = None,
) -> NodeResult:
    if strength == 0:
        return NodeResult((positive, negative))
    how = (control_net.identity, image.identity, strength, start_percent, end_percent)
    return NodeResult((positive.changed(*how), negative.changed(*how)))


def empty_latent(run: NodeRun, width: int, height: int, batch_size: int = 1) -> NodeResult:
    return NodeResult((Latent(width // 8 * 8, height // 8 * 8, batch_size),))


def vae_encode(run: NodeRun, pixels: Images, vae: Weights) -> NodeResult:
    cropped = latent_crop(pixels)
    return NodeResult((Latent(*cropped.size, len(cropped.frames), cropped.frames),))


def vae_decode(run: NodeRun, samples: Latent, vae: Weights) -> NodeResult:
    blank = Image.new("RGB", (samples.width, samples.height), (127, 127, 127))
    return NodeResult((Images(samples.frames or (blank,) * samples.batch),))


def k_sampler(
    run: NodeRun,
    model: Weights,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: float = 1.0,
) -> NodeResult:
    size = (latent_image.width, latent_image.height)
    # At cfg 1 the negative prompt is not evaluated at all, so it cannot show in the result.
    negative_identity = None if cfg == 1.0 else negative.identity
    identity = fingerprint(
        model.identity,
        seed,
        steps,
        cfg,
        sampler_name,
        scheduler,
        positive.identity,
        negative_identity,
        denoise,
        size,
    )
    finished = []
    for place in range(latent_image.batch):
        references = positive.references
        if denoise < 1.0 and latent_image.frames:
            references = (latent_image.frames[place], *references[1:])
        drawn = pictures.draw(size, references, positive.text, f"{identity}/{place}")
        if latent_image.mask and latent_image.frames:
            area = latent_image.mask.resize(size, Image.Resampling.BILINEAR)
            drawn = Image.composite(drawn, latent_image.frames[place], area)
        finished.append(drawn)
    for step in range(1, steps + 1):
        run.wait_a_step()
        preview = None
        if run.setup.options.preview_method != "none":
            preview = pictures.in_progress(finished[0], step, steps, identity)
        run.report(step, steps, preview)
    return NodeResult((Latent(*size, latent_image.batch, tuple(finished)),))


MODEL_NODES: dict[str, NodeFunction] = {
    "UNETLoader": unet_loader,
    "UnetLoaderGGUF": unet_loader_gguf,
    "CLIPLoader": clip_loader,
    "CLIPLoaderGGUF": clip_loader_gguf,
    "QwenVLCLIPLoader": qwen_vl_clip_loader,
    "VAELoader": vae_loader,
    "ControlNetLoader": control_net_loader,
    "ModelPatchLoader": model_patch_loader,
    "LoraLoaderModelOnly": lora_loader_model_only,
    "LoraLoader": lora_loader,
    "ModelSamplingAuraFlow": model_sampling,
    "ModelSamplingSD3": model_sampling,
    "CFGNorm": cfg_norm,
    "QwenImageDiffsynthControlnet": diffsynth_controlnet,
    "CLIPTextEncode": clip_text_encode,
    "TextEncodeQwenImageEdit": text_encode_qwen_edit,
    "TextEncodeQwenImageEditPlus": text_encode_qwen_edit_plus,
    "ConditioningZeroOut": conditioning_zero_out,
    "ControlNetApplyAdvanced": control_net_apply_advanced,
    "EmptyLatentImage": empty_latent,
    "EmptySD3LatentImage": empty_latent,
    "QwenVLEmptyLatent": empty_latent,
    "VAEEncode": vae_encode,
    "VAEDecode": vae_decode,
    "KSampler": k_sampler,
}
