"""Cellule 6 : une première image."""

chat = parameters.fill(
    "text-to-image",
    {
        "prompt": "A cute fluffy orange cat sitting on a windowsill, looking at a sunny garden, pet photography",
        "negative": "blurry, low quality, watermark, text",
        "width": 512,
        "height": 512,
        "seed": 42,
    },
)
resultat = executer(chat)
image_chat = resultat["images"][0]
montrer([image_chat], [f"{resultat['time']:.1f} s, seed 42"], "Une image depuis une phrase")
