"""The schema, one linear history: each revision runs the plain SQL file of its own name.

`python -m deploy.migrations upgrade --dsn postgresql://sema_migrator@…/sema` is the deployment's
migration job. It is no part of a service image, and nothing here goes backwards: a mistake is mended by
the next revision.
"""
