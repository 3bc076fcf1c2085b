"""Step ``canary``: let artificial riders and a share of the live ones ask the candidate beside production, and judge it."""
