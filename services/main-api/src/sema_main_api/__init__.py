"""HTTP in, priced and paid messages out: the only room that customers and staff talk to."""
