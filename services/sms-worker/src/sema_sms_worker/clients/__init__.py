"""The way out: to the aggregators over HTTP, and to the other workers through Redis.

ways    one call to an aggregator, one outcome per message
health  how the aggregators do, of all workers together: windows, gates, who may try
enquiry questions about single reports
pacing  how quickly messages may leave, of all workers together
"""
