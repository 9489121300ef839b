"""A package index as companies have them: behind a password, with a certificate of an authority of their own."""
