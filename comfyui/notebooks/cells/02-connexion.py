"""Cellule 2 : les bibliothèques et la connexion."""

import os

import matplotlib.pyplot as plt
from comfystack import ComfyError, graphs, lessons, parameters

plt.rcParams["figure.figsize"] = (12, 8)

# La seule ligne à changer d'un service à l'autre : le fichier access.json que son déploiement a écrit.
ACCESS = os.environ.get("COMFYSTACK_ACCESS", "build/lab/access.json")

client = lessons.connect(ACCESS)
stats = client.system_stats()
print("ComfyUI", stats["system"]["comfyui_version"])
print("Carte  ", stats["devices"][0]["name"])
print("Graphes", ", ".join(graphs.names()))
