"""A stand-in for ComfyUI 0.33.0: its HTTP and WebSocket contract without the model's arithmetic."""
