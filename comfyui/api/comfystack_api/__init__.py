"""The service beside ComfyUI: who may come in, whose job is whose, and what a deployment says of itself."""
