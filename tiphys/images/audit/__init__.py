"""What can be proved of the supply chain: pins, locks, known vulnerabilities, and what lies in the images that were built."""
