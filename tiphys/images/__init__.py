"""The images: one Dockerfile a step below ``images/``, built by whichever builder is there."""
