"""Step ``claim-training``: show that a yes of the governor started this run, and no other."""
