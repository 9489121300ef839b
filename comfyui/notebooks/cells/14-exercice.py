"""Cellule 14 : à vous.

1. Choisissez un thème et écrivez une phrase précise.
2. Produisez trois variations, en ne changeant que `seed`.
3. Comparez-les, puis éditez votre préférée.
La solution est repliée sous la cellule.
"""

from IPython.display import Markdown, display

mon_theme = "…"
ma_phrase = "…"
ma_phrase_negative = "blurry, low quality, text"

mes_images = []
# Votre code ici : un graphe avec parameters.fill, puis lessons.generate_variations sur ["sampler", "inputs", "seed"].

SOLUTION = """
{{ solution }}"""
display(Markdown(f"<details><summary>Solution</summary>\n\n```python{SOLUTION}```\n\n</details>"))
