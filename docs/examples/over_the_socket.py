"""Gets a picture over the WebSocket, so that the server keeps no file of it.

As ComfyUI's websockets_api_example_ws_images.py does; only the token is new.

usage: python over_the_socket.py SERVER TOKEN_FILE OUT.png      needs websocket-client
"""

import json
import sys
import urllib.request
import uuid
from pathlib import Path

import websocket

server, token_file, out = sys.argv[1:]
token = Path(token_file).read_text().strip()
client_id = str(uuid.uuid4())

workflow = json.loads(Path("comfyui/workflows/text-to-image-lightning.api.json").read_text())
workflow["sampler"]["inputs"]["seed"] = 7
# In place of the node that saves a file.
del workflow["saved"]
workflow["sent"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["decoded", 0]}}

socket = websocket.WebSocket()
# A program that can set no header says it in the address: `…&token=TOKEN`.
socket.connect(f"wss://{server}/ws?clientId={client_id}", header=[f"Authorization: Bearer {token}"])
body = json.dumps({"prompt": workflow, "client_id": client_id}).encode()
request = urllib.request.Request(f"https://{server}/prompt", body, {"Authorization": f"Bearer {token}"})
with urllib.request.urlopen(request) as answer:
    prompt_id = json.load(answer)["prompt_id"]

node, pictures = "", []
while node is not None:
    message = socket.recv()
    if isinstance(message, bytes):
        if node == "sent":
            pictures.append(message[8:])  # Eight bytes say that it is a picture, and that it is a PNG.
        continue
    event = json.loads(message)
    if event["type"] == "executing" and event["data"]["prompt_id"] == prompt_id:
        node = event["data"]["node"]
socket.close()
Path(out).write_bytes(pictures[0])
