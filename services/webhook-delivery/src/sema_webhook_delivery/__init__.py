"""Signs every fact and delivers it to the customers' own endpoints."""
