"""Watching what serves: pure arithmetic on answers and outcomes, from counts to a verdict. It knows no server and no clock."""
