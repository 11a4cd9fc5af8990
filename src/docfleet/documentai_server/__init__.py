"""A server that speaks Document AI's own gRPC and REST, answered by docfleet's engines; also its emulator."""
