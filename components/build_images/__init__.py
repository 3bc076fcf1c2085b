"""Step ``build-images``: build the images of a git revision and push them by digest."""
