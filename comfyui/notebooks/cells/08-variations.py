"""Cellule 8 : faire varier un paramètre, tout le reste restant égal."""

etapes = lessons.generate_variations(client, chat, [5, 10, 20], ["sampler", "inputs", "steps"])
montrer([image for _, image in etapes], [f"{valeur} étapes" for valeur, _ in etapes], "L'effet de steps")

fidelite = lessons.generate_variations(client, chat, [1.0, 2.5, 4.0], ["sampler", "inputs", "cfg"])
montrer([image for _, image in fidelite], [f"cfg {valeur}" for valeur, _ in fidelite], "L'effet de cfg")
