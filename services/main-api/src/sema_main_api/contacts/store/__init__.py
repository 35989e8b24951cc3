"""SQL of contact lists: the lists, their contacts, the jobs that validate them."""
