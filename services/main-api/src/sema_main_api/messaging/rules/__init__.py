"""The decisions of messaging, pure: a product person could read them.

admission  what may be accepted, and at what price
guarding   how much may go to one recipient, to one range of numbers, and be spent in an hour
crediting  who fits his balance, and what is a replay
"""
