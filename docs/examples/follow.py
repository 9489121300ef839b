"""Makes a picture and waits on the WebSocket, as ComfyUI's websockets_api_example.py does; only the token is new.

usage: python follow.py SERVER TOKEN_FILE OUT.png      needs websocket-client
"""

import json
import sys
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import websocket

server, token_file, out = sys.argv[1:]
token = Path(token_file).read_text().strip()
client_id = str(uuid.uuid4())


def ask(path, body=None):
    request = urllib.request.Request(f"https://{server}{path}", body, {"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def pictures(socket, workflow):
    prompt_id = str(uuid.uuid4())
    ask("/prompt", json.dumps({"prompt": workflow, "client_id": client_id, "prompt_id": prompt_id}).encode())
    while True:
        message = socket.recv()
        if isinstance(message, bytes):
            continue  # A preview.
        event = json.loads(message)
        # A job that failed has no pictures: its history says why.
        data = event["data"]
        if event["type"] == "executing" and data["node"] is None and data["prompt_id"] == prompt_id:
            break
    outputs = json.loads(ask(f"/history/{prompt_id}"))[prompt_id]["outputs"]
    for output in outputs.values():
        for image in output.get("images", []):
            yield ask(f"/view?{urllib.parse.urlencode(image)}")


workflow = json.loads(Path("comfyui/workflows/text-to-image-lightning.api.json").read_text())
workflow["sampler"]["inputs"]["seed"] = 6
socket = websocket.WebSocket()
socket.connect(f"wss://{server}/ws?clientId={client_id}", header=[f"Authorization: Bearer {token}"])
(picture,) = pictures(socket, workflow)
socket.close()
Path(out).write_bytes(picture)
