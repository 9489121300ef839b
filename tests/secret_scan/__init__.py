"""No secret in the repository: detect-secrets reads what may be committed; what it finds must be allowed by name."""
