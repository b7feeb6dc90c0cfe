"""Open data: what there is to see, for dashboards and metrics. It reads, and orders nothing."""
