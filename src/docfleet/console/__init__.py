"""The web console: pages in the browser over the REST API, which is all it knows of the service."""
