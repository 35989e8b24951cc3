"""The MNO registry as staff keep it: which MNO a prefix was issued to, in two tiers.

`curated` is the team's own and wins; `libphonenumber` is carrier data and answers where no curated row does. Every
process reads the registry again within 5 s of a change (main-api for prices and admission, phone-validator for lists).
A row of the second tier whose prefix is a calling code stands for all of that country's unknown networks: that is
how staff allow them.

What must never happen here: an import that was half done; an empty registry; a change without its audit line.

    rules      tables read, compared and written; where the tiers disagree
    endpoints  list, look up, put, delete; import with a dry run, export; disagreements and their correction
"""
