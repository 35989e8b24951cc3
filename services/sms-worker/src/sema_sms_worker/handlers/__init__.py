"""What the room does with each wire message: read, decide (in `rules`), write, publish.

submit     SmsJobs: the story of a job, from its claim to its facts
settle     SettleAttempts: claims that nobody finished, and doubts
gathering  what many bulks write together: claims, outcomes, facts
letters    dead letters of both lanes
"""
