"""Step ``checkout``: fetch a git revision of the code, and put it where the next steps find it."""
