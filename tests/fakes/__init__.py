"""Hand-written fakes: small, honest stand-ins for networks, the queue and Label Studio, without any mocking library."""
