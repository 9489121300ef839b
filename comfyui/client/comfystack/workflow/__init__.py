"""`comfystack workflow`: what a ComfyUI graph needs, what is wrong with it, and how to mend it."""
