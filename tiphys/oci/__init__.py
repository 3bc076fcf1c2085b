"""Container images without a daemon and without privileges: their form, and the registries and buckets that keep them."""
