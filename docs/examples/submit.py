"""Queues a picture and does not wait for it, as ComfyUI's basic_api_example.py does; only the token is new.

usage: python submit.py SERVER TOKEN_FILE      SERVER is the public name, such as qwen-image-edit.example.org
"""

import json
import sys
import urllib.request
from pathlib import Path

server, token_file = sys.argv[1:]
token = Path(token_file).read_text().strip()
workflow = json.loads(Path("comfyui/workflows/text-to-image-lightning.api.json").read_text())
workflow["positive"]["inputs"]["text"] = "a lighthouse at dusk"
workflow["sampler"]["inputs"]["seed"] = 5

body = json.dumps({"prompt": workflow}).encode()
request = urllib.request.Request(f"https://{server}/prompt", body, {"Authorization": f"Bearer {token}"})
with urllib.request.urlopen(request) as answer:
    print(json.load(answer)["prompt_id"])
