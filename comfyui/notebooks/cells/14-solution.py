mon_theme = "Jardin japonais"
ma_phrase = "A serene Japanese zen garden at dawn, raked gravel, stone lanterns, morning mist"
mon_graphe = parameters.fill("text-to-image", {"prompt": ma_phrase, "width": 512, "height": 512, "steps": 8})
variations = lessons.generate_variations(client, mon_graphe, [42, 123, 999], ["sampler", "inputs", "seed"])
mes_images = [image for _, image in variations]
montrer(mes_images, [f"seed {seed}" for seed, _ in variations], mon_theme)
