"""Cellule 4 : envoyer un graphe et attendre ses images."""


def executer(graphe, **options):
    """Exécute un graphe ; {"images": [PIL.Image], "count", "time" en secondes, "prompt_id"}."""
    return lessons.execute_workflow(client, graphe, **options)


def montrer(images, titres, titre=""):
    """Affiche des images côte à côte."""
    figure, axes = plt.subplots(1, len(images), figsize=(5 * len(images), 5), squeeze=False)
    figure.suptitle(titre, fontsize=15)
    for axe, image, texte in zip(axes[0], images, titres, strict=True):
        axe.imshow(image)
        axe.set_title(texte, fontsize=11)
        axe.axis("off")
    plt.tight_layout()
    plt.show()


file = client.queue()
print("En cours  :", len(file["queue_running"]))
print("En attente:", len(file["queue_pending"]))
