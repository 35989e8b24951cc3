"""What the room does with each wire message: read, decide (in `rules`), write, publish.

lanes      what comes over a lane's queue: jobs and settlements side by side
submit     SmsJobs: the story of a job until its attempt
attempts   from the claim to the facts, and the end of jobs that no way gets
routing    which jobs of a batch go where, now
settle     SettleAttempts: claims that nobody finished, and doubts
gathering  what many bulks write together: claims, outcomes, facts
hands      what must not be cut short, and what waits for a way
reports    the delivery reports of test mode
"""
