"""What the room decides, as pure functions of what it is told; no clock, no I/O.

routing   which aggregator gets a message, why, and what was passed over
health    how an aggregator has done lately: what counts, windows, verdicts, caution
gates     when a route is left alone, and how it is tried again
jobs      which jobs travel together, and which are too late
outcomes  what an aggregator's answer means for the message; the retry schedule
doubt     what is done about a submit of which nobody knows whether it arrived, by lane
facts     what customers are told
"""
