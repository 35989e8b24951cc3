"""Takes raw delivery reports from aggregators over HTTP and puts them on dlr.inbound."""
