"""Cellule 10 : éditer l'image de la cellule 6."""

import io

tampon = io.BytesIO()
image_chat.save(tampon, "PNG")
envoyee = client.upload_image(tampon.getvalue())

edition = graphs.edit("edit-lightning", [envoyee], "dramatic sunset lighting, warm golden hour", seed=42)
resultat = executer(edition)
image_editee = resultat["images"][0]
montrer([image_chat, image_editee], ["avant", f"après ({resultat['time']:.1f} s)"], "Éditer une image")
