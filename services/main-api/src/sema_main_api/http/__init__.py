"""The one HTTP floor that every module of this service stands on.

Who is calling and may they, how large a body may be and what it may hold, how fast, how a list is paged, how a
refusal reads, and the description of all of it in OpenAPI. It knows none of the modules above it. What must
never happen here: a decision about a message, a price or a balance.
"""
