"""One file per resource: what a request means, in terms of services. Routes do not import one another."""
