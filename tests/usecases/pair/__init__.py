"""A third use case: two models that answer as one. How much heat the water takes, and how long the kettle needs for that."""
