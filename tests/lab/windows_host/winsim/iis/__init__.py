"""IIS, URL Rewrite and Application Request Routing as the simulated Windows machine runs them.

`server.serve` is the entry. Every request reads the machine's state anew, so that what a role has just
written is what the next request meets. What is not modelled answers 500 and names itself.

Left out, and without a trace in the answers: HTTP/2, response compression and IIS's own output cache (the
deployed site turns both off; ARR's cache is there), the pings that IIS sends on idle WebSockets, server
farms, logs other than a site's own.
"""
