"""What the room decides, as pure functions of what it is told; no clock, no I/O.

jobs      which job goes where, and which is too late
outcomes  what an aggregator's answer means for the message; the retry schedule
doubt     what is done about a submit of which nobody knows whether it arrived, by lane
breaker   when an aggregator is left alone, and when it is tried again
facts     what customers are told
"""
