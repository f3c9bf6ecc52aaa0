"""The shared core: what two or more of backend, worker, training and cli need, and nothing else.

A mammogram becomes findings; `pipeline.Prelabeller` composes the steps. Nothing here reads the environment
or opens a connection on import.
"""
