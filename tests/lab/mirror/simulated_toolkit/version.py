"""The toolkit's version; the package build writes the one of the package here."""

VERSION = "0.0.0"
