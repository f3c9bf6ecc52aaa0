"""TCP connections of the backend: how many there are, how long each may take, and which one ends first.

uvicorn parses and answers the requests. It has no deadline for a client that sends or reads slowly, and its limit of
connections refuses everybody who comes later, Label Studio's webhooks too. This package adds both.
"""
