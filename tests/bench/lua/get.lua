-- The bare endpoint: GET of the URL as it is.
require("summary")
