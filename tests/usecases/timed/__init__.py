"""The kettle with a clock: a question says when it is switched on, so that its world can be rehearsed faster than time passes."""
