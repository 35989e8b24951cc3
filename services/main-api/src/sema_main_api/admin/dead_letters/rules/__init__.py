"""What a letter holds and what may be done with it.

letters      a letter, and what it names
known        what the database knows of that
effects      what sending it again would do, in words
corrections  what may not be changed
masking      what is shown to whom
"""
