"""OpenAI's images API on the packaged workflows: models, generations, edits, and the links to results."""
