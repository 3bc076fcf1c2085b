"""What runs inside of a build, in the builder image, with Debian's Python: stdlib only, but for what makes the SBOM."""
