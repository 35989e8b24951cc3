"""The decisions of messaging, pure: a product person could read them.

admission  what may be accepted, and at what price
crediting  who fits his balance, and what is a replay
"""
