"""Cellule 12 : comparer des phrases et des réglages."""

phrases = [
    "A futuristic city skyline at night, neon lights",
    "A peaceful zen garden with a koi pond, cherry blossoms",
]
lignes = lessons.compare_prompts_and_params(client, chat, phrases, steps_list=[8, 16], cfg_list=[4.0])

for phrase in phrases:
    choisies = [ligne for ligne in lignes if ligne["prompt"] == phrase]
    titres = [f"{ligne['steps']} étapes, cfg {ligne['cfg']}, {ligne['time']:.1f} s" for ligne in choisies]
    montrer([ligne["image"] for ligne in choisies], titres, phrase)

# Et voici comment une erreur se lit : le serveur refuse, la classe et l'étape suivante sont dans le message.
try:
    executer(lessons.changed(chat, {("sampler", "inputs", "sampler_name"): "magique"}), verbose=False)
except ComfyError as erreur:
    print(type(erreur).__name__, "-", erreur.found)
    print("Étape suivante :", erreur.next_step)
