"""Other forms of the exported model: how they are made, measured, compared, and which one is released."""
