"""The content rules: words, patterns and shorteners by which every text is judged.

Doors in    HTTP: `/v1/admin/content-rules…`, `/v1/admin/content-refusals`.
Writes      `core.content_blocklist`, whose version the database moves; audit lines.
Never       a rule that cannot be compiled, or that would refuse what everybody sends, without being told to; a
            text shown unmasked; a change without its audit line.

Every process reads the version every second and compiles what changed: no restart, no message to anybody.
"""
