"""The place, in the installer's words: site.yaml, its checks, and the compiled plan."""
